/* Conway's game of life three ways: counting neighbours, by bit-parallel adders, and by a table of rows. */
#include <string.h>

#include "check.h"

enum { N = 32 };
static unsigned char a[N][N], b[N][N];

static NOINLINE void step_cells(void) {
    for (int y = 0; y < N; y++) {
        for (int x = 0; x < N; x++) {
            int around = 0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    if (dy || dx) around += a[(y + dy + N) % N][(x + dx + N) % N];
            b[y][x] = around == 3 || (around == 2 && a[y][x]);
        }
    }
    memcpy(a, b, sizeof a);
}

static uint32_t left(uint32_t r) { return r << 1 | r >> 31; }
static uint32_t right(uint32_t r) { return r >> 1 | r << 31; }

static NOINLINE void step_bits(uint32_t *rows) {
    uint32_t next[N];
    for (int y = 0; y < N; y++) {
        uint32_t up = rows[(y + N - 1) % N], here = rows[y], down = rows[(y + 1) % N];
        uint32_t around[8] = {left(up), up, right(up), left(here), right(here), left(down), down, right(down)};
        uint32_t ones = 0, twos = 0, fours = 0;
        for (int i = 0; i < 8; i++) {
            uint32_t carry = ones & around[i], carry2 = twos & carry;
            ones ^= around[i];
            twos ^= carry;
            fours |= carry2;
        }
        next[y] = twos & ~fours & (ones | here);
    }
    memcpy(rows, next, sizeof next);
}

static NOINLINE void step_table(uint32_t *rows) {
    static unsigned char lookup[512];
    if (!lookup[7]) {
        for (int pattern = 0; pattern < 512; pattern++) {
            int around = __builtin_popcount((unsigned)pattern & ~16u);
            lookup[pattern] = around == 3 || (around == 2 && pattern >> 4 & 1);
        }
    }
    uint32_t next[N];
    for (int y = 0; y < N; y++) {
        next[y] = 0;
        for (int x = 0; x < N; x++) {
            unsigned pattern = 0;
            for (int row = -1; row <= 1; row++) {
                uint32_t r = rows[(y + row + N) % N];
                for (int column = -1; column <= 1; column++) pattern = pattern << 1 | (r >> ((x + column) & 31) & 1);
            }
            next[y] |= (uint32_t)lookup[pattern] << x;
        }
    }
    memcpy(rows, next, sizeof next);
}

int main(void) {
    uint64_t state = 2024;
    uint32_t bits[N], table[N];
    for (int y = 0; y < N; y++) {
        bits[y] = table[y] = (uint32_t)(next_random(&state) & next_random(&state));
        for (int x = 0; x < N; x++) a[y][x] = bits[y] >> x & 1;
    }
    for (int generation = 0; generation < 40; generation++) {
        step_cells();
        step_bits(bits);
        step_table(table);
        int same = 1;
        for (int i = 0; i < N * N; i++) same &= a[i / N][i % N] == (bits[i / N] >> i % N & 1);
        CHECK(same && !memcmp(bits, table, sizeof bits));
        note(bits[generation % N]);
    }
    memset(bits, 0, sizeof bits);
    bits[1] = 2, bits[2] = 4, bits[3] = 7; /* a glider moves by one cell diagonally every four generations */
    for (int i = 0; i < 4 * N; i++) step_bits(bits);
    CHECK(bits[1] == 2 && bits[2] == 4 && bits[3] == 7);
    return finish();
}
