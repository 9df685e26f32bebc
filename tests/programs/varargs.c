/* Variable arguments: ints, longs, doubles, pointers and structs in every mixture, past what registers hold. */
#include <stdarg.h>
#include <string.h>

#include "check.h"

struct pair { double x; int y; };
struct big { long v[5]; };

static NOINLINE double collect(const char *kinds, ...) {
    va_list arguments;
    double sum = 0;
    va_start(arguments, kinds);
    for (int weight = 1; *kinds; kinds++, weight++) {
        switch (*kinds) {
        case 'i': sum += weight * va_arg(arguments, int); break;
        case 'l': sum += weight * (double)va_arg(arguments, long); break;
        case 'd': sum += weight * va_arg(arguments, double); break;
        case 's': sum += weight * (double)strlen(va_arg(arguments, const char *)); break;
        case 'p': { struct pair p = va_arg(arguments, struct pair); sum += weight * (p.x + p.y); break; }
        case 'b': { struct big b = va_arg(arguments, struct big); sum += weight * (double)(b.v[0] + b.v[4]); break; }
        case 'L': sum += weight * (double)va_arg(arguments, long double); break;
        }
    }
    va_end(arguments);
    return sum;
}

static NOINLINE int total(int n, va_list arguments) {
    int sum = 0;
    while (n-- > 0) sum += va_arg(arguments, int);
    return sum;
}

/* Reads its arguments twice, from a copy made in the middle. */
static NOINLINE int twice(int n, ...) {
    va_list first, second;
    va_start(first, n);
    int head = va_arg(first, int);
    va_copy(second, first);
    int a = total(n - 1, first), b = total(n - 1, second);
    va_end(second);
    va_end(first);
    return a == b ? head * 1000 + a : -1;
}

static NOINLINE int formatted(char *out, size_t size, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(out, size, format, arguments);
    va_end(arguments);
    return n;
}

static NOINLINE void *last_of(void *first, ...) {
    va_list arguments;
    void *last = NULL;
    va_start(arguments, first);
    for (void *p = first; p; p = va_arg(arguments, void *)) last = p;
    va_end(arguments);
    return last;
}

int main(void) {
    struct pair p = {0.5, 3};
    struct big b = {{1, 0, 0, 0, 41}};
    CHECK(collect("") == 0);
    CHECK(collect("idlsi", 1, 2.5, 30L, "four", -5) == 1 + 5 + 90 + 16 - 25);
    CHECK(collect("pbpb", p, b, p, b) == 3.5 * 4 + 42 * 6);
    CHECK(collect("LiLd", 1.5L, 7, -2.25L, 0.125) == 1.5 + 14 - 6.75 + 0.5);
    CHECK(collect("iiiiiiiiii", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) == 385);
    CHECK(collect("dddddddddddd", 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.) == 78);
    CHECK(collect("idididididididididid", 1, 1., 1, 1., 1, 1., 1, 1., 1, 1., 1, 1., 1, 1., 1, 1., 1, 1., 1, 1.) == 210);
    CHECK(twice(3, 7, 8, 9) == 7017 && twice(9, 1, 2, 3, 4, 5, 6, 7, 8, 9) == 1044 && twice(1, 5) == 5000);
    char text[40];
    CHECK(formatted(text, sizeof text, "%d-%s-%c-%.2f-%lx", 12, "ab", 'z', 0.125, 255L) == 15);
    CHECK(!strcmp(text, "12-ab-z-0.12-ff"));
    CHECK(formatted(text, 4, "%s", "truncated") == 9 && !strcmp(text, "tru"));
    int x, y;
    CHECK(last_of(NULL) == NULL && last_of(&x, &y, text, (void *)NULL) == text);
    note((uint64_t)collect("ild", 3, 4L, 5.0));
    return finish();
}
