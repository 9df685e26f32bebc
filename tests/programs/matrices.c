/* Integer matrices: products in three loop orders and by blocks, determinants two ways, powers, spirals. */
#include <string.h>

#include "check.h"

enum { N = 17 };
typedef int64_t matrix[N][N];
static matrix a, b, c, d;

static NOINLINE void ijk(matrix r, matrix x, matrix y) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            r[i][j] = 0;
            for (int k = 0; k < N; k++) r[i][j] += x[i][k] * y[k][j];
        }
}
static NOINLINE void kij(matrix r, matrix x, matrix y) {
    memset(r, 0, sizeof(matrix));
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) r[i][j] += x[i][k] * y[k][j];
}
static NOINLINE void blocked(matrix r, matrix x, matrix y) {
    memset(r, 0, sizeof(matrix));
    for (int ii = 0; ii < N; ii += 5)
        for (int kk = 0; kk < N; kk += 4)
            for (int i = ii; i < ii + 5 && i < N; i++)
                for (int k = kk; k < (kk + 4 < N ? kk + 4 : N); k++)
                    for (int j = 0; j < N; j++) r[i][j] += x[i][k] * y[k][j];
}
static NOINLINE int64_t bareiss(int n, matrix m) {
    int64_t previous = 1, sign = 1;
    for (int k = 0; k < n - 1; k++) {
        if (!m[k][k]) {
            int row = k + 1;
            while (row < n && !m[row][k]) row++;
            if (row == n) return 0;
            for (int j = 0; j < n; j++) {
                int64_t t = m[k][j];
                m[k][j] = m[row][j];
                m[row][j] = t;
            }
            sign = -sign;
        }
        for (int i = k + 1; i < n; i++)
            for (int j = k + 1; j < n; j++) m[i][j] = (m[i][j] * m[k][k] - m[i][k] * m[k][j]) / previous;
        previous = m[k][k];
    }
    return sign * m[n - 1][n - 1];
}
static NOINLINE int64_t laplace(int n, matrix m, unsigned columns, int row) {
    if (row == n) return 1;
    int64_t sum = 0, sign = 1;
    for (int j = 0; j < n; j++) {
        if (!(columns >> j & 1)) continue;
        if (m[row][j]) sum += sign * m[row][j] * laplace(n, m, columns & ~(1u << j), row + 1);
        sign = -sign;
    }
    return sum;
}
static NOINLINE int spiral(int n, int *out) {
    int top = 0, bottom = n - 1, left = 0, right = n - 1, count = 0;
    while (top <= bottom && left <= right) {
        for (int j = left; j <= right; j++) out[count++] = top * n + j;
        top++;
        for (int i = top; i <= bottom; i++) out[count++] = i * n + right;
        right--;
        for (int j = right; j >= left && top <= bottom; j--) out[count++] = bottom * n + j;
        bottom--;
        for (int i = bottom; i >= top && left <= right; i--) out[count++] = i * n + left;
        left++;
    }
    return count;
}

int main(void) {
    uint64_t state = 70;
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < N * N; i++) a[i / N][i % N] = (int64_t)(next_random(&state) >> 59) - 16, b[i / N][i % N] = (int64_t)(next_random(&state) >> 60) - 7;
        ijk(c, a, b);
        kij(d, a, b);
        CHECK(!memcmp(c, d, sizeof c));
        blocked(d, a, b);
        CHECK(!memcmp(c, d, sizeof c));
        note((uint64_t)c[3][round]);
        int n = 2 + round % 6;
        if (round % 4 == 0) a[0][0] = 0;
        if (round % 5 == 4) memcpy(a[1], a[0], sizeof a[0]);
        int64_t expected = laplace(n, a, (1u << n) - 1, 0);
        memcpy(d, a, sizeof d);
        CHECK(bareiss(n, d) == expected && (round % 5 != 4 || expected == 0));
    }
    for (int n = 1; n < 12; n++) {
        int out[144] = {0}, seen[144] = {0}, near = 1;
        CHECK(spiral(n, out) == n * n);
        for (int i = 0; i < n * n; i++) {
            seen[out[i]]++;
            int step = i ? out[i] - out[i - 1] : 1;
            near &= step == 1 || step == -1 || step == n || step == -n;
        }
        for (int i = 0; i < n * n; i++) near &= seen[i] == 1;
        CHECK(near);
    }
    return finish();
}
