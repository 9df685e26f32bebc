/* Numbers to text and back: our own in all bases, printf's formats, strtod against exact fractions, fixed widths. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

static NOINLINE char *to_text(uint64_t x, unsigned base, char *end) {
    *--end = 0;
    do {
        unsigned digit = (unsigned)(x % base);
        *--end = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    } while (x /= base);
    return end;
}
static NOINLINE uint64_t from_text(const char *s, unsigned base, int *overflow) {
    uint64_t x = 0;
    for (*overflow = 0; *s; s++) {
        unsigned digit = (unsigned)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');
        if (__builtin_mul_overflow(x, (uint64_t)base, &x) || __builtin_add_overflow(x, (uint64_t)digit, &x)) *overflow = 1;
    }
    return x;
}
static NOINLINE int padded(char *out, int64_t x, int width, char fill, int plus) {
    char digits[24], *d = to_text(x < 0 ? -(uint64_t)x : (uint64_t)x, 10, digits + sizeof digits);
    int n = (int)strlen(d), sign = x < 0 || plus, at = 0;
    if (fill == ' ') while (at < width - n - sign) out[at++] = ' ';
    if (sign) out[at++] = x < 0 ? '-' : '+';
    if (fill == '0') while (at < width - n) out[at++] = '0';
    strcpy(out + at, d);
    return at + n;
}

int main(void) {
    uint64_t state = 101;
    char buffer[80], one[80], two[80];
    for (int i = 0; i < 600; i++) {
        uint64_t x = next_random(&state) >> i % 64;
        int overflow;
        for (unsigned base = 2; base <= 36; base += 1 + base / 3) {
            const char *text = to_text(x, base, buffer + sizeof buffer);
            CHECK(from_text(text, base, &overflow) == x && !overflow && strtoull(text, NULL, (int)base) == x);
        }
        sprintf(one, "%llu %llx %llo", (unsigned long long)x, (unsigned long long)x, (unsigned long long)x);
        char b8[80], b10[80], b16[80];
        sprintf(two, "%s %s %s", to_text(x, 10, b10 + 80), to_text(x, 16, b16 + 80), to_text(x, 8, b8 + 80));
        CHECK(!strcmp(one, two));
        int64_t y = (int64_t)(i % 2 ? x : -x);
        static const struct { const char *format; int width; char fill; int plus; } formats[] = {
            {"%lld", 0, ' ', 0}, {"%12lld", 12, ' ', 0}, {"%012lld", 12, '0', 0}, {"%+lld", 0, ' ', 1}, {"%+8lld", 8, ' ', 1}, {"%+024lld", 24, '0', 1}};
        int f = i % 6;
        int n = sprintf(one, formats[f].format, (long long)y);
        CHECK(padded(two, y, formats[f].width, formats[f].fill, formats[f].plus) == n && !strcmp(one, two));
        CHECK(strtoll(one, NULL, 10) == y);
        double d = (double)(int64_t)(x >> 12) / (double)((uint64_t)1 << i % 30);
        sprintf(one, "%.17g", d);
        CHECK(strtod(one, NULL) == d);
        sprintf(one, "%a", d);
        CHECK(strtod(one, NULL) == d);
        note(x);
    }
    int overflow;
    from_text("18446744073709551615", 10, &overflow);
    CHECK(!overflow);
    from_text("18446744073709551616", 10, &overflow);
    CHECK(overflow && padded(one, INT64_MIN, 0, ' ', 0) == 20 && !strcmp(one, "-9223372036854775808"));
    sprintf(one, "%5.1f|%-6s|%6s|%c|%%|%.3s|%*d|%e|%g|%g", 2.25, "ab", "cd", 'x', "abcdef", 4, 7, 12345.678, 1e-5, 100000.0);
    CHECK(!strcmp(one, "  2.2|ab    |    cd|x|%|abc|   7|1.234568e+04|1e-05|100000"));
    return finish();
}
