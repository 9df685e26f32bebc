/* Hash tables by chaining, linear probing with deletion, and cuckoo: the same operations, the same answers. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { SIZE = 64, KEYS = 45 };
static uint32_t mix(uint32_t x) { x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; return x ^ x >> 16; }

struct entry { struct entry *next; uint32_t key; int value; };
static struct entry *chains[SIZE];
static NOINLINE struct entry **chain_find(uint32_t key) {
    struct entry **at = &chains[mix(key) % SIZE];
    while (*at && (*at)->key != key) at = &(*at)->next;
    return at;
}
static NOINLINE void chain_set(uint32_t key, int value) {
    struct entry **at = chain_find(key);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at) exit(3);
        (*at)->key = key;
    }
    (*at)->value = value;
}
static NOINLINE void chain_drop(uint32_t key) {
    struct entry **at = chain_find(key), *gone = *at;
    if (gone) *at = gone->next, free(gone);
}

static struct { uint32_t key; int value, used; } slots[SIZE];
static NOINLINE unsigned probe(uint32_t key) {
    unsigned at = mix(key) % SIZE;
    while (slots[at].used && slots[at].key != key) at = (at + 1) % SIZE;
    return at;
}
static NOINLINE void probe_drop(uint32_t key) {
    unsigned hole = probe(key);
    if (!slots[hole].used) return;
    for (unsigned at = (hole + 1) % SIZE; slots[at].used; at = (at + 1) % SIZE) {
        unsigned home = mix(slots[at].key) % SIZE;
        if ((at - home) % SIZE >= (at - hole) % SIZE) slots[hole] = slots[at], hole = at;
    }
    slots[hole].used = 0;
}

static struct { uint32_t key; int value, used; } nests[2][SIZE];
static unsigned nest(uint32_t key, int side) { return mix(key + 77u * (unsigned)side) % SIZE; }
static NOINLINE int *cuckoo_find(uint32_t key) {
    for (int side = 0; side < 2; side++) {
        unsigned at = nest(key, side);
        if (nests[side][at].used && nests[side][at].key == key) return &nests[side][at].value;
    }
    return NULL;
}
static NOINLINE int cuckoo_set(uint32_t key, int value) {
    int *known = cuckoo_find(key), side = 0;
    if (known) return *known = value, 1;
    for (int moves = 0; moves < 200; moves++, side = !side) {
        unsigned at = nest(key, side);
        uint32_t old_key = nests[side][at].key;
        int old_value = nests[side][at].value, was_used = nests[side][at].used;
        nests[side][at].key = key, nests[side][at].value = value, nests[side][at].used = 1;
        if (!was_used) return 1;
        key = old_key, value = old_value;
    }
    return 0;
}
static NOINLINE void cuckoo_drop(uint32_t key) {
    for (int side = 0; side < 2; side++) {
        unsigned at = nest(key, side);
        if (nests[side][at].used && nests[side][at].key == key) nests[side][at].used = 0;
    }
}

int main(void) {
    int model[KEYS];
    memset(model, -1, sizeof model);
    uint64_t state = 13;
    for (int i = 0; i < 2500; i++) {
        uint64_t r = next_random(&state);
        uint32_t index = (uint32_t)(r >> 40) % KEYS, key = index * 2654435761u;
        if (r & 3) {
            int value = (int)(r >> 34 & 0xFFFF);
            model[index] = value;
            chain_set(key, value);
            unsigned at = probe(key);
            slots[at].key = key, slots[at].value = value, slots[at].used = 1;
            CHECK(cuckoo_set(key, value));
        } else {
            model[index] = -1;
            chain_drop(key);
            probe_drop(key);
            cuckoo_drop(key);
        }
        if (i % 25) continue;
        for (uint32_t k = 0; k < KEYS; k++) {
            struct entry *e = *chain_find(k * 2654435761u);
            unsigned at = probe(k * 2654435761u);
            int *c = cuckoo_find(k * 2654435761u);
            CHECK((e ? e->value : -1) == model[k] && (slots[at].used ? slots[at].value : -1) == model[k] && (c ? *c : -1) == model[k]);
        }
        note((uint64_t)model[i % KEYS]);
    }
    for (uint32_t k = 0; k < KEYS; k++) chain_drop(k * 2654435761u);
    for (int i = 0; i < SIZE; i++) CHECK(!chains[i]);
    return finish();
}
