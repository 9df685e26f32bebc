/*
 * hashmap.c - a map from strings to integers: open addressing with linear probing, Robin Hood
 * order, deletion by shifting back (no tombstones), growing and shrinking by powers of two.
 * A word counter on top of it, and a naive list to check it against.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 8

/* An empty slot has no key. Slots are ordered such that along a run the distance from home never
 * drops by more than the step, so a search may stop at the first slot closer to home than it is. */
struct slot {
    char *key;
    uint32_t hash;
    int64_t value;
};

struct map {
    struct slot *slots;
    size_t capacity; /* a power of two, or 0 before the first insertion */
    size_t count;
};

enum map_status { MAP_OK, MAP_REPLACED, MAP_NOT_FOUND, MAP_NO_MEMORY };

/* FNV-1a, then a finaliser, as the low bits alone choose the slot. */
static uint32_t hash_string(const char *key) {
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    hash ^= hash >> 16;
    hash *= 0x85ebca6bu;
    hash ^= hash >> 13;
    return hash;
}

static char *copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

static size_t next_index(const struct map *map, size_t index) { return (index + 1) & (map->capacity - 1); }

static size_t distance_from_home(const struct map *map, size_t index) {
    return (index - map->slots[index].hash) & (map->capacity - 1);
}

static void map_init(struct map *map) {
    map->slots = NULL;
    map->capacity = 0;
    map->count = 0;
}

static void map_free(struct map *map) {
    for (size_t i = 0; i < map->capacity; i++)
        free(map->slots[i].key);
    free(map->slots);
    map_init(map);
}

static struct slot *find_slot(const struct map *map, const char *key, uint32_t hash) {
    if (map->count == 0)
        return NULL;
    size_t index = hash & (map->capacity - 1);
    for (size_t distance = 0; map->slots[index].key; distance++) {
        struct slot *slot = &map->slots[index];
        if (distance_from_home(map, index) < distance)
            return NULL;
        if (slot->hash == hash && strcmp(slot->key, key) == 0)
            return slot;
        index = next_index(map, index);
    }
    return NULL;
}

/* The key is new and there is room. Whoever is closer to home gives up the slot and moves on. */
static void place(struct map *map, struct slot entry) {
    size_t index = entry.hash & (map->capacity - 1);
    for (size_t distance = 0; map->slots[index].key; distance++) {
        size_t other = distance_from_home(map, index);
        if (other < distance) {
            struct slot evicted = map->slots[index];
            map->slots[index] = entry;
            entry = evicted;
            distance = other;
        }
        index = next_index(map, index);
    }
    map->slots[index] = entry;
}

static bool resize(struct map *map, size_t capacity) {
    struct slot *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return false;
    struct map resized = {slots, capacity, map->count};
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key)
            place(&resized, map->slots[i]);
    }
    free(map->slots);
    *map = resized;
    return true;
}

static enum map_status map_set(struct map *map, const char *key, int64_t value) {
    uint32_t hash = hash_string(key);
    struct slot *slot = find_slot(map, key, hash);
    if (slot) {
        slot->value = value;
        return MAP_REPLACED;
    }
    if (map->count >= map->capacity - map->capacity / 8) {
        if (!resize(map, map->capacity ? 2 * map->capacity : MIN_CAPACITY))
            return MAP_NO_MEMORY;
    }
    struct slot entry = {copy_string(key), hash, value};
    if (!entry.key)
        return MAP_NO_MEMORY;
    place(map, entry);
    map->count++;
    return MAP_OK;
}

static enum map_status map_get(const struct map *map, const char *key, int64_t *value) {
    const struct slot *slot = find_slot(map, key, hash_string(key));
    if (!slot)
        return MAP_NOT_FOUND;
    *value = slot->value;
    return MAP_OK;
}

static enum map_status map_remove(struct map *map, const char *key) {
    struct slot *slot = find_slot(map, key, hash_string(key));
    if (!slot)
        return MAP_NOT_FOUND;
    free(slot->key);
    size_t hole = (size_t)(slot - map->slots);
    for (size_t next = next_index(map, hole);; next = next_index(map, next)) {
        if (!map->slots[next].key || distance_from_home(map, next) == 0)
            break;
        map->slots[hole] = map->slots[next];
        hole = next;
    }
    map->slots[hole].key = NULL;
    map->count--;
    /* A failed attempt to shrink leaves a map that is merely too large. */
    if (map->capacity > MIN_CAPACITY && map->count < map->capacity / 8)
        (void)resize(map, map->capacity / 2);
    return MAP_OK;
}

/* Iterates: start with *cursor = 0. The map must not change meanwhile, except for values. */
static struct slot *map_next(const struct map *map, size_t *cursor) {
    while (*cursor < map->capacity) {
        struct slot *slot = &map->slots[(*cursor)++];
        if (slot->key)
            return slot;
    }
    return NULL;
}

/* ---- word counter -------------------------------------------------------------------------- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static enum map_status count_words(struct map *map, const char *text) {
    char word[32];
    size_t length = 0;
    for (;; text++) {
        char c = lower(*text);
        if (c >= 'a' && c <= 'z') {
            if (length < sizeof word - 1)
                word[length++] = c;
            continue;
        }
        if (length > 0) {
            int64_t count = 0;
            word[length] = '\0';
            map_get(map, word, &count);
            if (map_set(map, word, count + 1) == MAP_NO_MEMORY)
                return MAP_NO_MEMORY;
            length = 0;
        }
        if (c == '\0')
            return MAP_OK;
    }
}

static int compare_counts(const void *a, const void *b) {
    const struct slot *x = *(const struct slot *const *)a, *y = *(const struct slot *const *)b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return strcmp(x->key, y->key);
}

/* The n most frequent words, "word count" each, equal counts in alphabetical order. */
static bool format_top(const struct map *map, size_t n, char *out, size_t out_size) {
    const struct slot **sorted = malloc((map->count + 1) * sizeof *sorted);
    if (!sorted)
        return false;
    size_t count = 0, cursor = 0, used = 0;
    for (const struct slot *slot; (slot = map_next(map, &cursor)) != NULL;)
        sorted[count++] = slot;
    qsort(sorted, count, sizeof *sorted, compare_counts);
    out[0] = '\0';
    for (size_t i = 0; i < n && i < count && used < out_size; i++) {
        int printed = snprintf(out + used, out_size - used, "%s %lld\n", sorted[i]->key, (long long)sorted[i]->value);
        used += (size_t)printed;
    }
    free(sorted);
    return used < out_size;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("hashmap.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* The slowest map that can be right. */
struct pair {
    char key[16];
    int64_t value;
};

struct naive {
    struct pair pairs[700];
    size_t count;
};

static struct pair *naive_find(struct naive *naive, const char *key) {
    for (size_t i = 0; i < naive->count; i++) {
        if (strcmp(naive->pairs[i].key, key) == 0)
            return &naive->pairs[i];
    }
    return NULL;
}

static enum map_status naive_set(struct naive *naive, const char *key, int64_t value) {
    struct pair *pair = naive_find(naive, key);
    enum map_status status = pair ? MAP_REPLACED : MAP_OK;
    if (!pair) {
        pair = &naive->pairs[naive->count++];
        snprintf(pair->key, sizeof pair->key, "%s", key);
    }
    pair->value = value;
    return status;
}

static enum map_status naive_remove(struct naive *naive, const char *key) {
    struct pair *pair = naive_find(naive, key);
    if (!pair)
        return MAP_NOT_FOUND;
    *pair = naive->pairs[--naive->count];
    return MAP_OK;
}

static void check_invariants(const struct map *map) {
    size_t count = 0;
    bool ordered = true, hashed = true;
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->slots[i].key)
            continue;
        count++;
        hashed = hashed && map->slots[i].hash == hash_string(map->slots[i].key);
        size_t previous = (i - 1) & (map->capacity - 1), distance = distance_from_home(map, i);
        if (distance > 0)
            ordered = ordered && map->slots[previous].key && distance_from_home(map, previous) + 1 >= distance;
    }
    CHECK(count == map->count && hashed && ordered);
    CHECK((map->capacity & (map->capacity - 1)) == 0);
    CHECK(map->capacity == 0 || map->count < map->capacity);
}

static void check_same(const struct map *map, struct naive *naive) {
    size_t cursor = 0, seen = 0;
    bool same = true;
    for (const struct slot *slot; (slot = map_next(map, &cursor)) != NULL; seen++) {
        const struct pair *pair = naive_find(naive, slot->key);
        same = same && pair && pair->value == slot->value;
    }
    CHECK(same && seen == naive->count && map->count == naive->count);
    for (size_t i = 0; i < naive->count; i++) {
        int64_t value = -1;
        same = same && map_get(map, naive->pairs[i].key, &value) == MAP_OK && value == naive->pairs[i].value;
    }
    CHECK(same);
}

static uint32_t random_u32(void) {
    static uint32_t state = 88172645u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Phases that mostly insert and phases that mostly delete drive it through every size. */
static void check_against_naive(void) {
    static struct naive naive;
    static const unsigned insert_percent[] = {80, 20, 60, 95, 5, 50};
    struct map map;
    map_init(&map);
    for (size_t phase = 0; phase < sizeof insert_percent / sizeof insert_percent[0]; phase++) {
        for (int step = 0; step < 1200; step++) {
            char key[16];
            int64_t value = (int64_t)random_u32() - INT32_MAX;
            snprintf(key, sizeof key, "key%u", (unsigned)(random_u32() % 600));
            if (random_u32() % 100 < insert_percent[phase])
                CHECK(map_set(&map, key, value) == naive_set(&naive, key, value));
            else
                CHECK(map_remove(&map, key) == naive_remove(&naive, key));
            if (step % 100 == 0) {
                check_invariants(&map);
                check_same(&map, &naive);
            }
        }
    }
    while (naive.count > 0) {
        char key[16];
        memcpy(key, naive.pairs[naive.count / 2].key, sizeof key);
        CHECK(map_remove(&map, key) == MAP_OK && naive_remove(&naive, key) == MAP_OK);
    }
    check_invariants(&map);
    CHECK(map.count == 0 && map.capacity == MIN_CAPACITY);
    map_free(&map);
}

static void check_basics(void) {
    struct map map;
    int64_t value = 42;
    map_init(&map);
    CHECK(map_get(&map, "absent", &value) == MAP_NOT_FOUND && value == 42);
    CHECK(map_remove(&map, "absent") == MAP_NOT_FOUND);
    CHECK(map_set(&map, "", INT64_MIN) == MAP_OK);
    CHECK(map_get(&map, "", &value) == MAP_OK && value == INT64_MIN);

    char key[] = "volatile"; /* the map keeps a copy */
    CHECK(map_set(&map, key, 1) == MAP_OK);
    key[0] = 'V';
    CHECK(map_get(&map, key, &value) == MAP_NOT_FOUND);
    CHECK(map_get(&map, "volatile", &value) == MAP_OK && value == 1);
    CHECK(map_set(&map, "volatile", 2) == MAP_REPLACED && map.count == 2);
    map_free(&map);
    CHECK(hash_string("a") != hash_string("b") && hash_string("ab") != hash_string("ba"));
}

static void check_spread(void) {
    struct map map;
    size_t longest = 0;
    map_init(&map);
    for (int i = 0; i < 3584; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08d", i);
        CHECK(map_set(&map, key, i) == MAP_OK);
    }
    for (size_t i = 0; i < map.capacity; i++) {
        if (map.slots[i].key && distance_from_home(&map, i) > longest)
            longest = distance_from_home(&map, i);
    }
    CHECK(map.capacity == 4096);
    CHECK(longest < 40);
    map_free(&map);
}

static void check_word_count(void) {
    static const char text[] = "The cat sat on the mat. The other cat, seeing this, sat on the first cat;\n"
                               "the MAT was not amused -- cats never are. On and on it went.";
    struct map map;
    char top[64];
    map_init(&map);
    CHECK(count_words(&map, text) == MAP_OK);
    CHECK(format_top(&map, 5, top, sizeof top));
    CHECK(strcmp(top, "the 5\non 4\ncat 3\nmat 2\nsat 2\n") == 0);
    CHECK(!format_top(&map, 5, top, 12));
    check_invariants(&map);
    map_free(&map);
}

int main(void) {
    check_basics();
    check_against_naive();
    check_spread();
    check_word_count();
    if (checks_failed) {
        printf("hashmap: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("hashmap: ok (%d checks)\n", checks_run);
    return 0;
}
