/* Switches of every shape (dense, sparse, ranges, fall-through, 64-bit, nested), against chains of comparisons. */
#include "check.h"

static NOINLINE int dense(int x) {
    switch (x) {
    case -3: return 17;
    case -2: return 4;
    case -1: return 99;
    case 0: return -5;
    case 1: return 12;
    case 2: return 12;
    case 3: return 31;
    case 5: return 7;
    case 6: return 1;
    case 7: return 2;
    case 8: return 3;
    default: return x;
    }
}

static NOINLINE int linear(unsigned x) {
    switch (x) {
    case 10: return 30;
    case 11: return 33;
    case 12: return 36;
    case 13: return 39;
    case 14: return 42;
    default: return -1;
    }
}

static NOINLINE int sparse(int64_t x) {
    switch (x) {
    case INT64_MIN: return 1;
    case -1000000007: return 2;
    case 0: return 3;
    case 77: return 4;
    case 0x100000000: return 5;
    case 0x100000001: return 6;
    case INT64_MAX: return 7;
    }
    return 0;
}

static NOINLINE int ranges(int c) {
    switch (c) {
    case 'a' ... 'f': return c - 'a' + 10;
    case 'A' ... 'F': return c - 'A' + 10;
    case '0' ... '9': return c - '0';
    case 'g' ... 'z': return -2;
    default: return -1;
    }
}

static NOINLINE int falling(int x, int y) {
    int result = 0;
    switch (x & 7) {
    case 6: result += 64; /* fall through */
    case 3: result += 8;  /* fall through */
    default: result += 1; /* fall through */
    case 1:
        switch (y) {
        case 0: result *= 2; break;
        case 1: result = -result; /* fall through */
        case 2: result -= 3;
        }
        break;
    case 4: return -100;
    }
    return result;
}

static NOINLINE int bit_set(unsigned c) {
    switch (c) {
    case ' ': case '\t': case '\n': case '\r': case '\v': case '\f': case ',': case ';': return 1;
    default: return 0;
    }
}

static int dense_model(int x) {
    static const int table[] = {17, 4, 99, -5, 12, 12, 31, 4, 7, 1, 2, 3};
    return x >= -3 && x <= 8 ? table[x + 3] : x;
}

static int falling_model(int x, int y) {
    x &= 7;
    if (x == 4) return -100;
    int result = x == 1 ? 0 : x == 6 ? 73 : x == 3 ? 9 : 1;
    return y == 0 ? result * 2 : y == 1 ? -result - 3 : y == 2 ? result - 3 : result;
}

int main(void) {
    for (int x = -20; x < 300; x++) {
        CHECK(dense(x) == dense_model(x));
        CHECK(linear((unsigned)x) == (x >= 10 && x <= 14 ? 3 * x : -1));
        const char *digits = "0123456789abcdefABCDEF";
        int hex = -1;
        for (int i = 0; digits[i]; i++) {
            if (digits[i] == x) hex = i > 15 ? i - 6 : i;
        }
        CHECK(ranges(x) == (hex >= 0 ? hex : x >= 'g' && x <= 'z' ? -2 : -1));
        CHECK(bit_set((unsigned)x) == ((x >= 9 && x <= 13) || x == 32 || x == 44 || x == 59));
        for (int y = -1; y < 4; y++) CHECK(falling(x, y) == falling_model(x, y));
        note((uint64_t)(uint32_t)(dense(x) + ranges(x)));
    }
    static const int64_t keys[] = {INT64_MIN, -1000000007, 0, 77, 0x100000000, 0x100000001, INT64_MAX};
    for (int i = 0; i < 7; i++) {
        CHECK(sparse(keys[i]) == i + 1);
        CHECK(sparse((int64_t)((uint64_t)keys[i] ^ 0x4000)) == 0);
    }
    return finish();
}
