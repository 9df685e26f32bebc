/* Dynamic programming against exhaustive recursion: knapsack, longest common subsequence, coins, partitions, matrix chains. */
#include <string.h>

#include "check.h"

static NOINLINE int knapsack(const int *w, const int *v, int n, int room) {
    int best[64] = {0};
    for (int i = 0; i < n; i++)
        for (int r = room; r >= w[i]; r--)
            if (best[r - w[i]] + v[i] > best[r]) best[r] = best[r - w[i]] + v[i];
    return best[room];
}
static int all_subsets(const int *w, const int *v, int n, int room) {
    int best = 0;
    for (unsigned set = 0; set < 1u << n; set++) {
        int weight = 0, value = 0;
        for (int i = 0; i < n; i++)
            if (set >> i & 1) weight += w[i], value += v[i];
        if (weight <= room && value > best) best = value;
    }
    return best;
}
static NOINLINE int common(const char *a, const char *b) {
    int table[2][40] = {{0}}, row = 0, n = (int)strlen(b);
    for (; *a; a++, row ^= 1)
        for (int j = 1; j <= n; j++) {
            int up = table[row][j], left = table[!row][j - 1];
            table[!row][j] = *a == b[j - 1] ? table[row][j - 1] + 1 : up > left ? up : left;
        }
    return table[row][n];
}
static int common_slow(const char *a, const char *b) {
    if (!*a || !*b) return 0;
    if (*a == *b) return 1 + common_slow(a + 1, b + 1);
    int x = common_slow(a + 1, b), y = common_slow(a, b + 1);
    return x > y ? x : y;
}
static NOINLINE uint64_t partitions(int n) {
    uint64_t ways[101] = {1};
    for (int part = 1; part <= n; part++)
        for (int s = part; s <= n; s++) ways[s] += ways[s - part];
    return ways[n];
}
static NOINLINE int coins(const int *values, int n, int sum) {
    int fewest[200];
    fewest[0] = 0;
    for (int s = 1; s <= sum; s++) {
        fewest[s] = 1000;
        for (int i = 0; i < n; i++)
            if (values[i] <= s && fewest[s - values[i]] + 1 < fewest[s]) fewest[s] = fewest[s - values[i]] + 1;
    }
    return fewest[sum];
}
static NOINLINE long chain(const int *sizes, int n) {
    long cost[12][12] = {{0}};
    for (int length = 2; length <= n; length++)
        for (int i = 0; i + length <= n; i++) {
            int j = i + length - 1;
            cost[i][j] = 1L << 60;
            for (int k = i; k < j; k++) {
                long c = cost[i][k] + cost[k + 1][j] + (long)sizes[i] * sizes[k + 1] * sizes[j + 1];
                if (c < cost[i][j]) cost[i][j] = c;
            }
        }
    return cost[0][n - 1];
}
static NOINLINE int longest_rise(const int *v, int n) {
    int tops[64], size = 0;
    for (int i = 0; i < n; i++) {
        int low = 0, high = size;
        while (low < high) {
            int middle = (low + high) / 2;
            if (tops[middle] < v[i]) low = middle + 1;
            else high = middle;
        }
        tops[low] = v[i];
        size += low == size;
    }
    return size;
}

int main(void) {
    uint64_t state = 27;
    for (int round = 0; round < 40; round++) {
        int w[10], v[10], longest[50], rises[50], best = 0;
        char a[11], b[10];
        for (int i = 0; i < 10; i++) w[i] = (int)(next_random(&state) >> 60) + 1, v[i] = (int)(next_random(&state) >> 57);
        for (int room = 1; room < 60; room += 13) CHECK(knapsack(w, v, 10, room) == all_subsets(w, v, 10, room));
        for (int i = 0; i < 10; i++) a[i] = "abcd"[next_random(&state) >> 62], b[i] = "abcd"[next_random(&state) >> 62];
        a[10] = b[9] = 0;
        CHECK(common(a, b) == common_slow(a, b));
        for (int i = 0; i < 50; i++) {
            rises[i] = (int)(next_random(&state) >> 55);
            longest[i] = 1;
            for (int j = 0; j < i; j++)
                if (rises[j] < rises[i] && longest[j] >= longest[i]) longest[i] = longest[j] + 1;
            best = longest[i] > best ? longest[i] : best;
        }
        CHECK(longest_rise(rises, 50) == best);
        note((uint64_t)best);
    }
    CHECK(partitions(5) == 7 && partitions(50) == 204226 && partitions(100) == 190569292);
    static const int values[] = {1, 7, 10, 25}, sizes[] = {30, 35, 15, 5, 10, 20, 25};
    CHECK(coins(values, 4, 14) == 2 && coins(values, 4, 99) == 6 && coins(values, 4, 0) == 0);
    CHECK(chain(sizes, 6) == 15125);
    return finish();
}
