/* Searches with pruning: a sudoku, queens, knights, exact sums; counts and solutions that are known. */
#include <string.h>

#include "check.h"

static unsigned char cells[81];
static unsigned rows[9], columns[9], boxes[9], steps;

static NOINLINE int solve(void) {
    int best = -1, fewest = 10;
    for (int c = 0; c < 81; c++) {
        if (cells[c]) continue;
        unsigned used = rows[c / 9] | columns[c % 9] | boxes[c / 27 * 3 + c % 9 / 3];
        int choices = 9 - __builtin_popcount(used);
        if (choices < fewest) fewest = choices, best = c;
    }
    if (best < 0) return 1;
    unsigned *row = &rows[best / 9], *column = &columns[best % 9], *box = &boxes[best / 27 * 3 + best % 9 / 3];
    for (unsigned free = ~(*row | *column | *box) & 511; free; free &= free - 1) {
        unsigned bit = free & -free;
        cells[best] = (unsigned char)(__builtin_ctz(bit) + 1);
        *row |= bit, *column |= bit, *box |= bit;
        steps++;
        if (solve()) return 1;
        *row ^= bit, *column ^= bit, *box ^= bit;
    }
    cells[best] = 0;
    return 0;
}

static NOINLINE int queens(unsigned all, unsigned down, unsigned left, unsigned right) {
    if (down == all) return 1;
    int count = 0;
    for (unsigned free = all & ~(down | left | right); free;) {
        unsigned bit = free & -free;
        free ^= bit;
        count += queens(all, down | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

static NOINLINE int sums(const int *v, int n, int wanted) {
    if (wanted == 0 && n == 0) return 1;
    return n == 0 ? 0 : sums(v + 1, n - 1, wanted) + sums(v + 1, n - 1, wanted - *v);
}

static int visited[6][6];
static NOINLINE int tour(int x, int y, int done) {
    static const signed char jumps[8][2] = {{1, 2}, {2, 1}, {2, -1}, {1, -2}, {-1, -2}, {-2, -1}, {-2, 1}, {-1, 2}};
    visited[y][x] = done;
    if (done == 25) return 1;
    int found = 0;
    for (int j = 0; j < 8 && !found; j++) {
        int nx = x + jumps[j][0], ny = y + jumps[j][1];
        if (nx >= 0 && nx < 5 && ny >= 0 && ny < 5 && !visited[ny][nx]) found = tour(nx, ny, done + 1);
    }
    if (!found) visited[y][x] = 0;
    return found;
}

int main(void) {
    static const char puzzle[] = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
    static const char solution[] = "534678912672195348198342567859761423426853791713924856961537284287419635345286179";
    for (int c = 0; c < 81; c++) {
        if (puzzle[c] == '.') continue;
        unsigned bit = 1u << (puzzle[c] - '1');
        cells[c] = (unsigned char)(puzzle[c] - '0');
        rows[c / 9] |= bit, columns[c % 9] |= bit, boxes[c / 27 * 3 + c % 9 / 3] |= bit;
    }
    CHECK(solve());
    for (int c = 0; c < 81; c++) CHECK(cells[c] == solution[c] - '0');
    static const int known[] = {1, 1, 0, 0, 2, 10, 4, 40, 92, 352};
    for (int n = 1; n < 10; n++) CHECK(queens((1u << n) - 1, 0, 0, 0) == known[n]);
    int v[14], counts[106] = {1};
    for (int i = 0; i < 14; i++) v[i] = i + 1;
    for (int i = 1; i <= 14; i++)
        for (int s = 105; s >= i; s--) counts[s] += counts[s - i];
    for (int s = 0; s <= 105; s += 5) CHECK(sums(v, 14, s) == counts[s]);
    CHECK(tour(0, 0, 1));
    int seen = 0;
    for (int i = 0; i < 25; i++) seen |= 1 << (visited[i / 5][i % 5] - 1);
    CHECK(seen == (1 << 25) - 1);
    note(steps);
    return finish();
}
