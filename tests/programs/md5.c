/* MD5 with its table computed from sines, against the test suite of RFC 1321. */
#include <math.h>
#include <string.h>

#include "check.h"

static uint32_t table[64];
static const unsigned char turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static NOINLINE void block(uint32_t *state, const unsigned char *p) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], words[16];
    for (int i = 0; i < 16; i++) words[i] = p[4 * i] | p[4 * i + 1] << 8 | p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f;
        unsigned g;
        switch (i / 16) {
        case 0: f = (b & c) | (~b & d), g = i; break;
        case 1: f = (d & b) | (~d & c), g = (5 * i + 1) % 16; break;
        case 2: f = b ^ c ^ d, g = (3 * i + 5) % 16; break;
        default: f = c ^ (b | ~d), g = 7 * i % 16;
        }
        uint32_t sum = a + f + table[i] + words[g], n = turns[i / 16][i % 4];
        a = d, d = c, c = b;
        b += sum << n | sum >> (32 - n);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

static void md5(const char *text, char *hex) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    size_t n = strlen(text), padded = (n + 8) / 64 * 64 + 64;
    unsigned char data[256] = {0};
    memcpy(data, text, n);
    data[n] = 0x80;
    for (int i = 0; i < 8; i++) data[padded - 8 + (size_t)i] = (unsigned char)((uint64_t)n * 8 >> 8 * i);
    for (size_t at = 0; at < padded; at += 64) block(state, data + at);
    for (int i = 0; i < 16; i++) sprintf(hex + 2 * i, "%02x", state[i / 4] >> 8 * (i % 4) & 0xFF);
}

int main(void) {
    static const char *const cases[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (int i = 0; i < 64; i++) table[i] = (uint32_t)(fabs(sin(i + 1)) * 4294967296.0);
    for (int i = 0; i < 6; i++) {
        char hex[33];
        md5(cases[i][0], hex);
        CHECK(!strcmp(hex, cases[i][1]));
        note((uint64_t)hex[0]);
    }
    return finish();
}
