/* Shortest paths by three algorithms, components by union-find and by flooding, a topological order. */
#include <string.h>

#include "check.h"

enum { N = 40, FAR = 1000000 };
static int weight[N][N], all[N][N];

static NOINLINE void floyd(void) {
    memcpy(all, weight, sizeof all);
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                if (all[i][k] + all[k][j] < all[i][j]) all[i][j] = all[i][k] + all[k][j];
}

static NOINLINE void dijkstra(int from, int *distance) {
    struct entry { int d, node; } heap[N * N];
    int size = 0;
    for (int i = 0; i < N; i++) distance[i] = FAR;
    heap[size++] = (struct entry){0, from};
    while (size) {
        struct entry top = heap[0], last = heap[--size];
        int at = 0;
        for (int child; (child = 2 * at + 1) < size; at = child) {
            if (child + 1 < size && heap[child + 1].d < heap[child].d) child++;
            if (heap[child].d >= last.d) break;
            heap[at] = heap[child];
        }
        heap[at] = last;
        if (top.d >= distance[top.node]) continue;
        distance[top.node] = top.d;
        for (int next = 0; next < N; next++) {
            int d = top.d + weight[top.node][next];
            if (weight[top.node][next] >= FAR || d >= distance[next]) continue;
            int i = size++;
            for (; i && heap[(i - 1) / 2].d > d; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
            heap[i] = (struct entry){d, next};
        }
    }
}

static NOINLINE int bellman(int from, int *distance) {
    int rounds = 0, changed = 1;
    for (int i = 0; i < N; i++) distance[i] = i == from ? 0 : FAR;
    while (changed) {
        changed = 0;
        rounds++;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                if (weight[i][j] < FAR && distance[i] + weight[i][j] < distance[j]) distance[j] = distance[i] + weight[i][j], changed = 1;
    }
    return rounds;
}

static int parent[N];
static int find(int x) { return parent[x] == x ? x : (parent[x] = find(parent[x])); }
static void flood(int x, int color, int *colors) {
    colors[x] = color;
    for (int y = 0; y < N; y++)
        if ((weight[x][y] < FAR || weight[y][x] < FAR) && colors[y] < 0) flood(y, color, colors);
}

int main(void) {
    uint64_t state = 15;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                uint64_t r = next_random(&state) >> 30;
                weight[i][j] = i == j ? 0 : r % (8u + 10u * (unsigned)round) == 0 ? (int)(r >> 8 & 255) + 1 : FAR;
            }
        floyd();
        int one[N], two[N], colors[N];
        for (int from = 0; from < N; from++) {
            dijkstra(from, one);
            CHECK(bellman(from, two) <= N);
            for (int i = 0; i < N; i++) CHECK(one[i] == two[i] && (one[i] == all[from][i] || (one[i] >= FAR && all[from][i] >= FAR)));
            note((uint64_t)one[(from * 7) % N]);
        }
        for (int i = 0; i < N; i++) parent[i] = i, colors[i] = -1;
        for (int i = 0; i < N * N; i++)
            if (weight[i / N][i % N] < FAR) parent[find(i / N)] = find(i % N);
        for (int i = 0; i < N; i++)
            if (colors[i] < 0) flood(i, i, colors);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < i; j++) CHECK((find(i) == find(j)) == (colors[i] == colors[j]));
    }
    return finish();
}
