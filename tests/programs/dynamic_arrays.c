/* Variable-length arrays, alloca, flexible array members and stack that is given back in loops. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

static NOINLINE long vla_sum(int n, int m) {
    int grid[n][m];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) grid[i][j] = i * 100 + j;
    long sum = (long)sizeof grid;
    for (int j = m; j--;)
        for (int i = n; i--;) sum += grid[i][j];
    return sum;
}

static NOINLINE long transpose(int n, int m, const int from[n][m], int to[m][n]) {
    long checksum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) to[j][i] = from[i][j], checksum += (long)from[i][j] * (i - j);
    return checksum;
}

static NOINLINE unsigned fresh_each_round(int rounds) {
    unsigned sum = 0;
    for (int i = 1; i <= rounds; i++) {
        unsigned char block[i * 37 % 900 + 1];
        memset(block, i, sizeof block);
        sum += block[0] + block[sizeof block - 1] + (unsigned)sizeof block;
    }
    return sum;
}

struct node { struct node *next; int value; };
static NOINLINE int on_stack(int n) {
    struct node *head = NULL;
    for (int i = 0; i < n; i++) {
        struct node *fresh = __builtin_alloca(sizeof *fresh);
        fresh->next = head;
        fresh->value = i * i;
        head = fresh;
    }
    int sum = 0;
    for (; head; head = head->next) sum = sum * 3 % 10007 + head->value;
    return sum;
}

struct message { unsigned short length; char text[]; };
static NOINLINE struct message *build(const char *s, int times) {
    size_t n = strlen(s);
    struct message *m = malloc(sizeof *m + n * (size_t)times);
    if (!m) exit(3);
    m->length = (unsigned short)(n * (size_t)times);
    for (int i = 0; i < times; i++) memcpy(m->text + (size_t)i * n, s, n);
    return m;
}

int main(void) {
    for (int n = 1; n < 14; n++) {
        for (int m = 1; m < 12; m += 2) {
            CHECK(vla_sum(n, m) == (long)n * m * 4 + 50L * n * (n - 1) * m + (long)m * (m - 1) / 2 * n);
            int from[13][11], to[11][13];
            int (*a)[m] = (int (*)[m])from, (*b)[n] = (int (*)[n])to;
            for (int i = 0; i < n * m; i++) a[i / m][i % m] = i * 7 % 31;
            long sum = transpose(n, m, a, b);
            for (int i = 0; i < n * m; i++) {
                CHECK(b[i % m][i / m] == i * 7 % 31);
                sum -= (long)(i * 7 % 31) * (i / m - i % m);
            }
            CHECK(sum == 0);
        }
        int expected = 0;
        for (int i = n * 5; i--;) expected = expected * 3 % 10007 + i * i;
        CHECK(on_stack(n * 5) == expected);
        struct message *m = build("ab-", n);
        CHECK(m->length == 3 * n && !memcmp(m->text, "ab-", 3) && m->text[3 * n - 1] == '-');
        note((uint64_t)expected);
        free(m);
    }
    unsigned sum = 0;
    for (unsigned i = 1; i <= 500; i++) sum += 2 * (i & 255) + i * 37 % 900 + 1;
    CHECK(fresh_each_round(500) == sum);
    CHECK(sizeof(struct message) == 2);
    return finish();
}
