/* Leaving nested loops by break, continue, goto and return, with clean-up on the way; counted in two ways. */
#include <stdlib.h>

#include "check.h"

#define N 12
static int grid[N][N];
static int opened, closed;

static NOINLINE int *open_cell(int i) {
    opened++;
    int *p = malloc(sizeof *p);
    if (p) *p = i;
    return p;
}

static NOINLINE void close_cell(int *p) {
    closed += p != NULL;
    free(p);
}

/* The first cell, row by row, that equals the sum of two cells above it in its column. */
static NOINLINE int find_sum(int *row, int *column) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            for (int a = 0; a < i; a++) {
                if (grid[a][j] > grid[i][j]) continue;
                for (int b = a + 1; b < i; b++) {
                    if (grid[a][j] + grid[b][j] == grid[i][j]) {
                        *row = i;
                        *column = j;
                        goto found;
                    }
                    if (grid[b][j] < 0) break;
                }
            }
        }
    }
    return 0;
found:
    return grid[*row][*column];
}

static int find_sum_model(int *row, int *column) {
    for (int cell = 0; cell < N * N; cell++) {
        int i = cell / N, j = cell % N;
        for (int pair = 0; pair < N * N; pair++) {
            int a = pair / N, b = pair % N, stopped = 0;
            if (!(a < b && b < i) || grid[a][j] > grid[i][j]) continue;
            for (int between = a + 1; between < b; between++) {
                if (grid[between][j] < 0 && grid[a][j] + grid[between][j] != grid[i][j]) stopped = 1;
            }
            if (!stopped && grid[a][j] + grid[b][j] == grid[i][j]) {
                *row = i;
                *column = j;
                return grid[i][j];
            }
        }
    }
    return 0;
}

/* Acquires in stages and releases in reverse, whatever stage fails. */
static NOINLINE int stages(int fail_at) {
    int result = -1;
    int *a = fail_at == 0 ? NULL : open_cell(1), *b = NULL, *c = NULL;
    if (!a) goto out;
    b = fail_at == 1 ? NULL : open_cell(2);
    if (!b) goto out_a;
    c = fail_at == 2 ? NULL : open_cell(3);
    if (!c) goto out_b;
    result = *a + *b + *c;
    close_cell(c);
out_b:
    close_cell(b);
out_a:
    close_cell(a);
out:
    return result * 10 + fail_at;
}

int main(void) {
    uint64_t state = 11;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < N * N; i++) grid[i / N][i % N] = (int)(next_random(&state) >> 54) % (200 + 10 * round) - round % 7;
        int row[2] = {-1, -1}, column[2] = {-1, -1};
        CHECK(find_sum(&row[0], &column[0]) == find_sum_model(&row[1], &column[1]));
        CHECK(row[0] == row[1] && column[0] == column[1]);
        note((uint64_t)(uint32_t)(row[0] * 100 + column[0]));
    }
    for (int fail = 0; fail < 5; fail++) {
        int before = opened;
        CHECK(stages(fail) == (fail < 3 ? -10 : 60) + fail);
        CHECK(opened - before == (fail < 3 ? fail : 3) && opened == closed);
    }
    return finish();
}
