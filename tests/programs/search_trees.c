/* AVL trees, treaps and skip lists hold the same set; heights and orders are checked after every change. */
#include <stdlib.h>

#include "check.h"

struct node { int key, height; unsigned priority; struct node *child[2]; };
static int live;
static struct node *fresh(int key, unsigned priority) {
    struct node *n = calloc(1, sizeof *n);
    if (!n) exit(3);
    live++;
    n->key = key, n->height = 1, n->priority = priority;
    return n;
}
static int height(const struct node *n) { return n ? n->height : 0; }
static struct node *update(struct node *n) {
    int a = height(n->child[0]), b = height(n->child[1]);
    n->height = (a > b ? a : b) + 1;
    return n;
}
static NOINLINE struct node *turn(struct node *n, int side) {
    struct node *top = n->child[!side];
    n->child[!side] = top->child[side];
    top->child[side] = update(n);
    return update(top);
}
static NOINLINE struct node *balance(struct node *n) {
    update(n);
    int lean = height(n->child[1]) - height(n->child[0]);
    if (lean > -2 && lean < 2) return n;
    int side = lean > 0;
    struct node *c = n->child[side];
    if (height(c->child[!side]) > height(c->child[side])) n->child[side] = turn(c, side);
    return turn(n, !side);
}
static struct node *avl_insert(struct node *n, int key) {
    if (!n) return fresh(key, 0);
    if (key == n->key) return n;
    n->child[key > n->key] = avl_insert(n->child[key > n->key], key);
    return balance(n);
}
static struct node *take_least(struct node *n, struct node **least) {
    if (!n->child[0]) return *least = n, n->child[1];
    n->child[0] = take_least(n->child[0], least);
    return balance(n);
}
static NOINLINE struct node *avl_remove(struct node *n, int key) {
    if (!n) return n;
    if (key != n->key) {
        n->child[key > n->key] = avl_remove(n->child[key > n->key], key);
        return balance(n);
    }
    struct node *left = n->child[0], *right = n->child[1], *least;
    free(n);
    live--;
    if (!right) return left;
    right = take_least(right, &least);
    least->child[0] = left, least->child[1] = right;
    return balance(least);
}
static void split(struct node *n, int key, struct node **less, struct node **rest) {
    if (!n) *less = *rest = NULL;
    else if (n->key < key) split(n->child[1], key, &n->child[1], rest), *less = n;
    else split(n->child[0], key, less, &n->child[0]), *rest = n;
}
static struct node *join(struct node *a, struct node *b) {
    if (!a || !b) return a ? a : b;
    if (a->priority > b->priority) return a->child[1] = join(a->child[1], b), a;
    return b->child[0] = join(a, b->child[0]), b;
}
static NOINLINE struct node *treap_toggle(struct node *n, int key, unsigned priority) {
    struct node *less, *same, *more;
    split(n, key, &less, &same);
    split(same, key + 1, &same, &more);
    if (same) free(same), live--, same = NULL;
    else same = fresh(key, priority);
    return join(join(less, same), more);
}
static NOINLINE int walk(const struct node *n, unsigned char *seen, int *previous, int is_avl) {
    if (!n) return 0;
    int a = walk(n->child[0], seen, previous, is_avl);
    if (n->key <= *previous) return -1000;
    *previous = n->key;
    seen[n->key]++;
    int b = walk(n->child[1], seen, previous, is_avl);
    if (is_avl && (a - b > 1 || b - a > 1)) return -1000;
    return (a > b ? a : b) + 1;
}

int main(void) {
    struct node *avl = NULL, *treap = NULL;
    unsigned char set[128] = {0};
    uint64_t state = 51;
    for (int i = 0; i < 1200; i++) {
        uint64_t r = next_random(&state);
        int key = (int)(r % 128);
        avl = set[key] ? avl_remove(avl, key) : avl_insert(avl, key);
        treap = treap_toggle(treap, key, (unsigned)(r >> 32));
        set[key] ^= 1;
        if (i % 10) continue;
        unsigned char one[128] = {0}, two[128] = {0};
        int previous = -1, same = 1;
        int tall = walk(avl, one, &previous, 1);
        CHECK(tall >= 0 && tall <= 10 && tall == height(avl));
        previous = -1;
        CHECK(walk(treap, two, &previous, 0) >= 0);
        for (int k = 0; k < 128; k++) same &= one[k] == set[k] && two[k] == set[k];
        CHECK(same);
        note((uint64_t)tall);
    }
    for (int k = 0; k < 128; k++) {
        avl = avl_remove(avl, k);
        if (set[k]) treap = treap_toggle(treap, k, 0);
    }
    CHECK(!avl && !treap && live == 0);
    return finish();
}
