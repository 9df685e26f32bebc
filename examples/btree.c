/*
 * btree.c - an ordered map from integers to integers as a B-tree in a pool of fixed-size nodes, as
 * one would keep it in pages of flash or a memory-mapped file: insertion that splits full nodes on
 * the way down, deletion that refills poor ones, range scans with a cursor, and a full check of
 * the invariants.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MIN_DEGREE 4
#define MAX_KEYS (2 * MIN_DEGREE - 1)
#define MIN_KEYS (MIN_DEGREE - 1)
#define MAX_NODES 1024
#define MAX_HEIGHT 16
#define NO_NODE UINT16_MAX

typedef uint16_t node_id;

struct node {
    uint8_t num_keys;
    bool leaf;
    int32_t keys[MAX_KEYS];
    int32_t values[MAX_KEYS];
    node_id children[MAX_KEYS + 1]; /* of a free node: the first is the next free one */
};

struct btree {
    struct node nodes[MAX_NODES];
    node_id root;
    node_id free_list;
    uint16_t num_free;
    uint32_t count;
};

enum btree_status { BTREE_OK, BTREE_REPLACED, BTREE_NOT_FOUND, BTREE_FULL };

static void btree_init(struct btree *tree) {
    memset(tree, 0, sizeof *tree);
    for (int i = 0; i < MAX_NODES; i++)
        tree->nodes[i].children[0] = i + 1 < MAX_NODES ? (node_id)(i + 1) : NO_NODE;
    tree->free_list = 0;
    tree->num_free = MAX_NODES;
    tree->root = NO_NODE;
}

static node_id allocate(struct btree *tree, bool leaf) {
    node_id id = tree->free_list;
    struct node *node = &tree->nodes[id];
    tree->free_list = node->children[0];
    tree->num_free--;
    memset(node, 0, sizeof *node);
    node->leaf = leaf;
    return id;
}

static void release(struct btree *tree, node_id id) {
    tree->nodes[id].children[0] = tree->free_list;
    tree->free_list = id;
    tree->num_free++;
}

/* The index of the first key that is not less. */
static int lower_bound(const struct node *node, int32_t key) {
    int low = 0, high = node->num_keys;
    while (low < high) {
        int middle = (low + high) / 2;
        if (node->keys[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_key_at(const struct node *node, int index, int32_t key) {
    return index < node->num_keys && node->keys[index] == key;
}

static struct node *child_of(struct btree *tree, const struct node *node, int index) {
    return &tree->nodes[node->children[index]];
}

static int32_t *find(struct btree *tree, int32_t key) {
    if (tree->root == NO_NODE)
        return NULL;
    struct node *node = &tree->nodes[tree->root];
    for (;;) {
        int index = lower_bound(node, key);
        if (has_key_at(node, index, key))
            return &node->values[index];
        if (node->leaf)
            return NULL;
        node = child_of(tree, node, index);
    }
}

static enum btree_status btree_get(struct btree *tree, int32_t key, int32_t *value) {
    const int32_t *found = find(tree, key);
    if (!found)
        return BTREE_NOT_FOUND;
    *value = *found;
    return BTREE_OK;
}

/* ---- moving keys about --------------------------------------------------------------------- */

/* Opens a gap at the key index, and at the child index behind or before it. */
static void open_gap(struct node *node, int index, int child_index) {
    size_t keys = (size_t)(node->num_keys - index);
    memmove(&node->keys[index + 1], &node->keys[index], keys * sizeof node->keys[0]);
    memmove(&node->values[index + 1], &node->values[index], keys * sizeof node->values[0]);
    if (!node->leaf) {
        size_t children = (size_t)(node->num_keys + 1 - child_index);
        memmove(&node->children[child_index + 1], &node->children[child_index], children * sizeof node->children[0]);
    }
    node->num_keys++;
}

static void close_gap(struct node *node, int index, int child_index) {
    size_t keys = (size_t)(node->num_keys - index - 1);
    memmove(&node->keys[index], &node->keys[index + 1], keys * sizeof node->keys[0]);
    memmove(&node->values[index], &node->values[index + 1], keys * sizeof node->values[0]);
    if (!node->leaf) {
        size_t children = (size_t)(node->num_keys - child_index);
        memmove(&node->children[child_index], &node->children[child_index + 1], children * sizeof node->children[0]);
    }
    node->num_keys--;
}

static void copy_key(struct node *to, int to_index, const struct node *from, int from_index) {
    to->keys[to_index] = from->keys[from_index];
    to->values[to_index] = from->values[from_index];
}

/* Appends the keys of another node from an index on, and the children that go with them. */
static void append(struct node *to, const struct node *from, int first) {
    int count = from->num_keys - first;
    memcpy(&to->keys[to->num_keys], &from->keys[first], (size_t)count * sizeof to->keys[0]);
    memcpy(&to->values[to->num_keys], &from->values[first], (size_t)count * sizeof to->values[0]);
    if (!from->leaf)
        memcpy(&to->children[to->num_keys], &from->children[first], (size_t)(count + 1) * sizeof to->children[0]);
    to->num_keys = (uint8_t)(to->num_keys + count);
}

/* ---- insertion ----------------------------------------------------------------------------- */

/* Splits the full child at index in two; its middle key moves up into the node, which has room. */
static void split_child(struct btree *tree, struct node *node, int index) {
    struct node *left = child_of(tree, node, index);
    node_id right_id = allocate(tree, left->leaf);
    append(&tree->nodes[right_id], left, MIN_DEGREE);
    left->num_keys = MIN_KEYS;
    open_gap(node, index, index + 1);
    copy_key(node, index, left, MIN_KEYS);
    node->children[index + 1] = right_id;
}

static enum btree_status btree_put(struct btree *tree, int32_t key, int32_t value) {
    int32_t *found = find(tree, key);
    if (found) {
        *found = value;
        return BTREE_REPLACED;
    }
    /* A split on every level and a new root are the most it can take. */
    if (tree->num_free < MAX_HEIGHT + 1)
        return BTREE_FULL;
    if (tree->root == NO_NODE)
        tree->root = allocate(tree, true);
    if (tree->nodes[tree->root].num_keys == MAX_KEYS) {
        node_id old_root = tree->root;
        tree->root = allocate(tree, false);
        tree->nodes[tree->root].children[0] = old_root;
        split_child(tree, &tree->nodes[tree->root], 0);
    }

    struct node *node = &tree->nodes[tree->root];
    int index = lower_bound(node, key);
    while (!node->leaf) {
        if (child_of(tree, node, index)->num_keys == MAX_KEYS) {
            split_child(tree, node, index);
            if (node->keys[index] < key)
                index++;
        }
        node = child_of(tree, node, index);
        index = lower_bound(node, key);
    }
    open_gap(node, index, 0);
    node->keys[index] = key;
    node->values[index] = value;
    tree->count++;
    return BTREE_OK;
}

/* ---- deletion ------------------------------------------------------------------------------ */

/* Joins the children on both sides of the key at index, and the key itself, into the left one. */
static void merge_children(struct btree *tree, struct node *node, int index) {
    struct node *left = child_of(tree, node, index);
    node_id right_id = node->children[index + 1];
    copy_key(left, left->num_keys, node, index);
    left->num_keys++;
    append(left, &tree->nodes[right_id], 0);
    close_gap(node, index, index + 1);
    release(tree, right_id);
}

static void borrow_from_left(struct btree *tree, struct node *node, int index) {
    struct node *child = child_of(tree, node, index), *left = child_of(tree, node, index - 1);
    open_gap(child, 0, 0);
    copy_key(child, 0, node, index - 1);
    copy_key(node, index - 1, left, left->num_keys - 1);
    if (!child->leaf)
        child->children[0] = left->children[left->num_keys];
    left->num_keys--;
}

static void borrow_from_right(struct btree *tree, struct node *node, int index) {
    struct node *child = child_of(tree, node, index), *right = child_of(tree, node, index + 1);
    copy_key(child, child->num_keys, node, index);
    copy_key(node, index, right, 0);
    child->num_keys++;
    if (!child->leaf)
        child->children[child->num_keys] = right->children[0];
    close_gap(right, 0, 0);
}

/* Makes sure the child at index can lose a key. Returns the index of the child that now covers
 * what it covered. */
static int refill_child(struct btree *tree, struct node *node, int index) {
    if (child_of(tree, node, index)->num_keys > MIN_KEYS)
        return index;
    if (index > 0 && child_of(tree, node, index - 1)->num_keys > MIN_KEYS) {
        borrow_from_left(tree, node, index);
        return index;
    }
    if (index < node->num_keys && child_of(tree, node, index + 1)->num_keys > MIN_KEYS) {
        borrow_from_right(tree, node, index);
        return index;
    }
    if (index == node->num_keys)
        index--;
    merge_children(tree, node, index);
    return index;
}

/* Removes the smallest or the largest key below, and stores it at target's target_index. */
static void take_extreme(struct btree *tree, struct node *node, bool largest, struct node *target, int target_index) {
    while (!node->leaf) {
        int index = refill_child(tree, node, largest ? node->num_keys : 0);
        node = child_of(tree, node, index);
    }
    int index = largest ? node->num_keys - 1 : 0;
    copy_key(target, target_index, node, index);
    close_gap(node, index, 0);
}

static void remove_below(struct btree *tree, struct node *node, int32_t key) {
    for (;;) {
        int index = lower_bound(node, key);
        bool here = has_key_at(node, index, key);
        if (node->leaf) {
            close_gap(node, index, 0);
            return;
        }
        if (!here) {
            node = child_of(tree, node, refill_child(tree, node, index));
            continue;
        }
        struct node *left = child_of(tree, node, index), *right = child_of(tree, node, index + 1);
        if (left->num_keys > MIN_KEYS) {
            take_extreme(tree, left, true, node, index);
            return;
        }
        if (right->num_keys > MIN_KEYS) {
            take_extreme(tree, right, false, node, index);
            return;
        }
        merge_children(tree, node, index);
        node = left;
    }
}

static enum btree_status btree_delete(struct btree *tree, int32_t key) {
    if (!find(tree, key))
        return BTREE_NOT_FOUND;
    remove_below(tree, &tree->nodes[tree->root], key);
    tree->count--;

    struct node *root = &tree->nodes[tree->root];
    if (root->num_keys == 0) {
        node_id emptied = tree->root;
        tree->root = root->leaf ? NO_NODE : root->children[0];
        release(tree, emptied);
    }
    return BTREE_OK;
}

/* ---- cursor -------------------------------------------------------------------------------- */

/* The path to the next key. A level's index is that of the key to visit after its child is done. */
struct cursor {
    const struct btree *tree;
    int height;
    struct {
        node_id node;
        uint8_t index;
    } path[MAX_HEIGHT];
};

/* Goes to the first key that is not less. The tree must not change while the cursor is in use. */
static void cursor_seek(struct cursor *cursor, const struct btree *tree, int32_t key) {
    cursor->tree = tree;
    cursor->height = 0;
    node_id id = tree->root;
    while (id != NO_NODE) {
        const struct node *node = &tree->nodes[id];
        int index = lower_bound(node, key);
        cursor->path[cursor->height].node = id;
        cursor->path[cursor->height].index = (uint8_t)index;
        cursor->height++;
        if (has_key_at(node, index, key))
            return;
        id = node->leaf ? NO_NODE : node->children[index];
    }
}

static bool cursor_next(struct cursor *cursor, int32_t *key, int32_t *value) {
    const struct node *node = NULL;
    int index = 0;
    while (cursor->height > 0) {
        node = &cursor->tree->nodes[cursor->path[cursor->height - 1].node];
        index = cursor->path[cursor->height - 1].index;
        if (index < node->num_keys)
            break;
        cursor->height--;
    }
    if (cursor->height == 0)
        return false;
    *key = node->keys[index];
    *value = node->values[index];
    cursor->path[cursor->height - 1].index++;
    node_id id = node->leaf ? NO_NODE : node->children[index + 1];
    while (id != NO_NODE) {
        node = &cursor->tree->nodes[id];
        cursor->path[cursor->height].node = id;
        cursor->path[cursor->height].index = 0;
        cursor->height++;
        id = node->leaf ? NO_NODE : node->children[0];
    }
    return true;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;
static struct btree tree;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("btree.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

struct census {
    uint32_t keys;
    uint16_t nodes;
    int leaf_depth; /* -1 before the first leaf */
    bool sound;
};

/* Counts what is below, and checks fill, order within (low, high), and that leaves are level. */
static void survey(node_id id, int64_t low, int64_t high, int depth, struct census *census) {
    const struct node *node = &tree.nodes[id];
    census->nodes++;
    census->keys += node->num_keys;
    if (node->num_keys > MAX_KEYS || node->num_keys < (id == tree.root ? 1 : MIN_KEYS))
        census->sound = false;
    for (int i = 0; i < node->num_keys; i++) {
        int64_t previous = i == 0 ? low : node->keys[i - 1];
        if (node->keys[i] <= previous || node->keys[i] >= high)
            census->sound = false;
    }
    if (node->leaf) {
        if (census->leaf_depth < 0)
            census->leaf_depth = depth;
        if (census->leaf_depth != depth)
            census->sound = false;
        return;
    }
    for (int i = 0; i <= node->num_keys; i++) {
        int64_t from = i == 0 ? low : node->keys[i - 1], to = i == node->num_keys ? high : node->keys[i];
        survey(node->children[i], from, to, depth + 1, census);
    }
}

static void check_invariants(void) {
    struct census census = {0, 0, -1, true};
    if (tree.root != NO_NODE)
        survey(tree.root, INT64_MIN, INT64_MAX, 0, &census);
    CHECK(census.sound);
    CHECK(census.keys == tree.count);
    CHECK(census.nodes + tree.num_free == MAX_NODES);
}

static uint32_t random_below(uint32_t bound) {
    static uint32_t state = 0x9e3779b9u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % bound;
}

/* The reference: one entry a key, zero for absent. */
#define KEY_RANGE 2000
static int32_t reference[KEY_RANGE];

static void check_scan(int32_t from) {
    struct cursor cursor;
    int32_t key, value, expected = from < 0 ? 0 : from;
    bool same = true;
    cursor_seek(&cursor, &tree, from);
    while (cursor_next(&cursor, &key, &value)) {
        while (expected < KEY_RANGE && reference[expected] == 0)
            expected++;
        same = same && expected < KEY_RANGE && key == expected && value == reference[expected];
        expected++;
    }
    while (expected < KEY_RANGE && reference[expected] == 0)
        expected++;
    CHECK(same && expected >= KEY_RANGE);
}

static void check_random(void) {
    static const uint32_t put_percent[] = {90, 30, 70, 10, 50};
    btree_init(&tree);
    for (size_t phase = 0; phase < sizeof put_percent / sizeof put_percent[0]; phase++) {
        for (int step = 0; step < 4000; step++) {
            int32_t key = (int32_t)random_below(KEY_RANGE), value = 0;
            bool present = reference[key] != 0;
            if (random_below(100) < put_percent[phase]) {
                value = (int32_t)random_below(1000000) + 1;
                CHECK(btree_put(&tree, key, value) == (present ? BTREE_REPLACED : BTREE_OK));
                reference[key] = value;
            } else {
                CHECK(btree_delete(&tree, key) == (present ? BTREE_OK : BTREE_NOT_FOUND));
                reference[key] = 0;
            }
            CHECK(btree_get(&tree, key, &value) == (reference[key] ? BTREE_OK : BTREE_NOT_FOUND));
            CHECK(value == reference[key] || reference[key] == 0);
            if (step % 250 == 0) {
                check_invariants();
                check_scan(-1);
                check_scan((int32_t)random_below(KEY_RANGE));
            }
        }
    }
    for (int32_t key = 0; key < KEY_RANGE; key++)
        CHECK(btree_delete(&tree, key) == (reference[key] ? BTREE_OK : BTREE_NOT_FOUND));
    CHECK(tree.root == NO_NODE && tree.num_free == MAX_NODES && tree.count == 0);
}

/* Ascending keys leave half-full nodes behind: the tree fills up, and every key stays readable. */
static void check_full(void) {
    static const int32_t first = -2000000000, step = 500009;
    int32_t end = first, key, value;
    struct cursor cursor;
    btree_init(&tree);
    for (; btree_put(&tree, end, end / 3) == BTREE_OK; end += step)
        continue;
    check_invariants();
    CHECK(tree.count == (uint32_t)(((int64_t)end - first) / step));
    CHECK(tree.num_free < MAX_HEIGHT + 1 && tree.count > 2 * MAX_NODES);
    cursor_seek(&cursor, &tree, INT32_MIN);
    for (int32_t expected = first; expected < end; expected += step)
        CHECK(cursor_next(&cursor, &key, &value) && key == expected && value == expected / 3);
    CHECK(!cursor_next(&cursor, &key, &value));
    for (int32_t expected = first; expected < end; expected += step)
        CHECK(btree_delete(&tree, expected) == BTREE_OK);
    check_invariants();
    CHECK(tree.root == NO_NODE);
}

int main(void) {
    check_random();
    check_full();
    if (checks_failed) {
        printf("btree: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("btree: ok (%d checks)\n", checks_run);
    return 0;
}
