/* Base64, UTF-8, hex and run lengths: encoded, decoded again, and refused where broken. */
#include <string.h>

#include "check.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static NOINLINE size_t to_base64(const unsigned char *p, size_t n, char *out) {
    char *start = out;
    for (; n >= 3; n -= 3, p += 3) {
        unsigned x = p[0] << 16 | p[1] << 8 | p[2];
        for (int shift = 18; shift >= 0; shift -= 6) *out++ = digits[x >> shift & 63];
    }
    if (n) {
        unsigned x = p[0] << 16 | (n == 2 ? p[1] << 8 : 0);
        *out++ = digits[x >> 18];
        *out++ = digits[x >> 12 & 63];
        *out++ = n == 2 ? digits[x >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = 0;
    return (size_t)(out - start);
}

static NOINLINE int from_base64(const char *s, unsigned char *out) {
    unsigned bits = 0, count = 0;
    int n = 0;
    for (; *s && *s != '='; s++) {
        const char *at = strchr(digits, *s);
        if (!at) return -1;
        bits = bits << 6 | (unsigned)(at - digits);
        if (++count % 4 != 1) out[n++] = (unsigned char)(bits >> (count % 4 == 2 ? 4 : count % 4 == 3 ? 2 : 0));
    }
    return n;
}

static NOINLINE int encode_utf8(uint32_t c, unsigned char *out) {
    if (c < 0x80) return out[0] = (unsigned char)c, 1;
    if (c < 0x800) return out[0] = (unsigned char)(0xC0 | c >> 6), out[1] = (unsigned char)(0x80 | (c & 63)), 2;
    int n = c < 0x10000 ? 3 : 4;
    out[0] = (unsigned char)((n == 3 ? 0xE0 : 0xF0) | c >> 6 * (n - 1));
    for (int i = 1; i < n; i++) out[i] = (unsigned char)(0x80 | (c >> 6 * (n - 1 - i) & 63));
    return n;
}

static NOINLINE int32_t decode_utf8(const unsigned char *p, int *used) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (!n) return -1;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7F >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return -2;
        c = c << 6 | (p[i] & 63);
    }
    *used = n;
    return c < least[n] ? -3 : c > 0x10FFFF || c >> 11 == 27 ? -4 : (int32_t)c;
}

static NOINLINE size_t pack(const unsigned char *p, size_t n, unsigned char *out) {
    size_t size = 0;
    for (size_t i = 0; i < n;) {
        size_t run = 1;
        while (run < 255 && i + run < n && p[i + run] == p[i]) run++;
        out[size++] = (unsigned char)run;
        out[size++] = p[i];
        i += run;
    }
    return size;
}

int main(void) {
    unsigned char data[300], back[300], packed[600];
    char text[500];
    uint64_t state = 6;
    for (size_t n = 0; n < 60; n++) {
        for (size_t i = 0; i < n; i++) data[i] = (unsigned char)(next_random(&state) >> 33);
        CHECK(to_base64(data, n, text) == (n + 2) / 3 * 4 && from_base64(text, back) == (int)n && !memcmp(data, back, n));
        note((unsigned char)text[0]);
    }
    to_base64((const unsigned char *)"foobar", 5, text);
    CHECK(!strcmp(text, "Zm9vYmE=") && from_base64("a*b", back) == -1);
    for (uint32_t c = 0; c < 0x110000; c += 1 + c / 50) {
        int used = 0, n = encode_utf8(c, data);
        int32_t decoded = decode_utf8(data, &used);
        CHECK(c >= 0xD800 && c < 0xE000 ? decoded == -4 : decoded == (int32_t)c && used == n);
        if (n > 1) CHECK(decode_utf8(data + 1, &used) < 0);
    }
    int used;
    CHECK(decode_utf8((const unsigned char *)"\xC0\x80", &used) == -3 && decode_utf8((const unsigned char *)"\xE2\x82x", &used) == -2);
    for (size_t i = 0; i < 300; i++) data[i] = (unsigned char)(i < 280 ? i / 70 : i);
    size_t size = pack(data, 300, packed), at = 0;
    for (size_t i = 0; i < size; i += 2) memset(back + at, packed[i + 1], packed[i]), at += packed[i];
    CHECK(at == 300 && size == 2 * (4 + 20) && !memcmp(data, back, 300));
    return finish();
}
