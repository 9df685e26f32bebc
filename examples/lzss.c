/*
 * lzss.c - a small two-stage compressor: LZSS over a 4 KiB window, then canonical Huffman codes.
 *
 * The container, all integers little endian:
 *
 *     offset  bytes
 *          0      4  magic "LZH1"
 *          4      4  size of the original data
 *          8      4  size of the LZSS stream
 *         12      4  Adler-32 of the original data
 *         16    128  code lengths of the 256 byte values, two to a byte, 0 for an unused value
 *        144      -  Huffman codes, most significant bit first
 *
 * The LZSS stream is groups of one flag byte and up to eight items, the lowest flag first.
 * Flag 1: a literal byte. Flag 0: two bytes, twelve bits of distance - 1 and four of length - 3.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_SIZE 4096
#define MIN_MATCH 3
#define MAX_MATCH 18
#define HASH_BITS 12
#define HASH_SIZE (1 << HASH_BITS)
#define MAX_CHAIN 64

#define NUM_SYMBOLS 256
#define MAX_CODE_LENGTH 15
#define HEADER_SIZE 144

typedef enum {
    LZ_OK,
    LZ_ERR_MEMORY,
    LZ_ERR_SPACE,
    LZ_ERR_TRUNCATED,
    LZ_ERR_MAGIC,
    LZ_ERR_CORRUPT,
    LZ_ERR_CHECKSUM,
} lz_status;

struct sink {
    uint8_t *data;
    size_t capacity;
    size_t size;
};

static bool sink_put(struct sink *sink, uint8_t byte) {
    if (sink->size == sink->capacity)
        return false;
    sink->data[sink->size++] = byte;
    return true;
}

static void store_le32(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t adler32(const uint8_t *data, size_t size) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* ---- LZSS ---------------------------------------------------------------------------------- */

/* Hash chains over three-byte prefixes. Positions further back than the window are never followed,
 * so prev[] needs only one slot for each position of the window. */
struct match_finder {
    int32_t head[HASH_SIZE];
    int32_t prev[WINDOW_SIZE];
};

struct match {
    size_t length;
    size_t distance;
};

static uint32_t hash3(const uint8_t *p) {
    uint32_t value = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
    return (value * 2654435761u) >> (32 - HASH_BITS);
}

static void finder_init(struct match_finder *finder) {
    for (int i = 0; i < HASH_SIZE; i++)
        finder->head[i] = -1;
    for (int i = 0; i < WINDOW_SIZE; i++)
        finder->prev[i] = -1;
}

static void finder_insert(struct match_finder *finder, const uint8_t *data, size_t size, size_t pos) {
    if (size - pos < MIN_MATCH)
        return;
    uint32_t hash = hash3(data + pos);
    finder->prev[pos % WINDOW_SIZE] = finder->head[hash];
    finder->head[hash] = (int32_t)pos;
}

static struct match finder_search(const struct match_finder *finder, const uint8_t *data, size_t size, size_t pos) {
    struct match best = {0, 0};
    size_t limit = size - pos;
    if (limit < MIN_MATCH)
        return best;
    if (limit > MAX_MATCH)
        limit = MAX_MATCH;

    int32_t candidate = finder->head[hash3(data + pos)];
    for (int chain = 0; chain < MAX_CHAIN && candidate >= 0; chain++) {
        size_t start = (size_t)candidate;
        if (pos - start > WINDOW_SIZE)
            break;
        size_t length = 0;
        while (length < limit && data[start + length] == data[pos + length])
            length++;
        if (length > best.length) {
            best.length = length;
            best.distance = pos - start;
            if (length == limit)
                break;
        }
        candidate = finder->prev[start % WINDOW_SIZE];
    }
    if (best.length < MIN_MATCH)
        best.length = 0;
    return best;
}

/* Collects the items of one group until their flags are known. */
struct group {
    uint8_t flags;
    int items;
    uint8_t bytes[16];
    int num_bytes;
};

static bool group_flush(struct group *group, struct sink *out) {
    if (group->items == 0)
        return true;
    if (!sink_put(out, group->flags))
        return false;
    for (int i = 0; i < group->num_bytes; i++) {
        if (!sink_put(out, group->bytes[i]))
            return false;
    }
    memset(group, 0, sizeof *group);
    return true;
}

static bool group_literal(struct group *group, uint8_t byte, struct sink *out) {
    group->flags |= (uint8_t)(1u << group->items);
    group->bytes[group->num_bytes++] = byte;
    return ++group->items < 8 || group_flush(group, out);
}

static bool group_match(struct group *group, struct match match, struct sink *out) {
    size_t distance = match.distance - 1;
    group->bytes[group->num_bytes++] = (uint8_t)distance;
    group->bytes[group->num_bytes++] = (uint8_t)((distance >> 8) << 4 | (match.length - MIN_MATCH));
    return ++group->items < 8 || group_flush(group, out);
}

static lz_status lzss_encode(const uint8_t *data, size_t size, struct sink *out) {
    struct match_finder *finder = malloc(sizeof *finder);
    if (!finder)
        return LZ_ERR_MEMORY;
    finder_init(finder);

    struct group group = {0};
    bool ok = true;
    size_t pos = 0;
    struct match match = finder_search(finder, data, size, pos);
    while (ok && pos < size) {
        finder_insert(finder, data, size, pos);
        struct match next = finder_search(finder, data, size, pos + 1);
        /* Lazy matching: a longer match one byte on is worth a literal here. */
        if (match.length == 0 || next.length > match.length) {
            ok = group_literal(&group, data[pos], out);
            pos++;
            match = next;
            continue;
        }
        ok = group_match(&group, match, out);
        for (size_t i = 1; i < match.length; i++)
            finder_insert(finder, data, size, pos + i);
        pos += match.length;
        match = finder_search(finder, data, size, pos);
    }
    ok = ok && group_flush(&group, out);
    free(finder);
    return ok ? LZ_OK : LZ_ERR_SPACE;
}

static lz_status lzss_decode(const uint8_t *data, size_t size, struct sink *out) {
    size_t pos = 0;
    while (pos < size) {
        uint8_t flags = data[pos++];
        for (int item = 0; item < 8 && pos < size; item++, flags >>= 1) {
            if (flags & 1) {
                if (!sink_put(out, data[pos++]))
                    return LZ_ERR_SPACE;
                continue;
            }
            if (size - pos < 2)
                return LZ_ERR_TRUNCATED;
            size_t distance = ((size_t)data[pos] | (size_t)(data[pos + 1] >> 4) << 8) + 1;
            size_t length = (size_t)(data[pos + 1] & 15) + MIN_MATCH;
            pos += 2;
            if (distance > out->size)
                return LZ_ERR_CORRUPT;
            while (length-- > 0) {
                if (!sink_put(out, out->data[out->size - distance]))
                    return LZ_ERR_SPACE;
            }
        }
    }
    return LZ_OK;
}

/* ---- Huffman ------------------------------------------------------------------------------- */

struct leaf {
    uint32_t weight;
    int symbol;
};

static int compare_leaves(const void *a, const void *b) {
    const struct leaf *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return x->symbol - y->symbol;
}

/* Code lengths by the two-queue method. Returns the longest; the caller flattens the weights and
 * tries again when it is too long. */
static int code_lengths_once(const uint32_t *weights, uint8_t *lengths) {
    struct leaf leaves[NUM_SYMBOLS];
    uint32_t node_weight[2 * NUM_SYMBOLS];
    int parent[2 * NUM_SYMBOLS] = {0};
    int count = 0;

    memset(lengths, 0, NUM_SYMBOLS);
    for (int symbol = 0; symbol < NUM_SYMBOLS; symbol++) {
        if (weights[symbol]) {
            leaves[count].weight = weights[symbol];
            leaves[count].symbol = symbol;
            count++;
        }
    }
    if (count == 0)
        return 0;
    if (count == 1) {
        lengths[leaves[0].symbol] = 1;
        return 1;
    }

    qsort(leaves, (size_t)count, sizeof leaves[0], compare_leaves);
    for (int i = 0; i < count; i++)
        node_weight[i] = leaves[i].weight;

    int next_leaf = 0, next_inner = count, root = 2 * count - 2;
    for (int node = count; node <= root; node++) {
        uint32_t sum = 0;
        for (int child = 0; child < 2; child++) {
            bool take_leaf =
                next_leaf < count && (next_inner == node || node_weight[next_leaf] <= node_weight[next_inner]);
            int taken = take_leaf ? next_leaf++ : next_inner++;
            sum += node_weight[taken];
            parent[taken] = node;
        }
        node_weight[node] = sum;
    }

    int depth[2 * NUM_SYMBOLS], longest = 0;
    depth[root] = 0;
    for (int node = root - 1; node >= 0; node--) {
        depth[node] = depth[parent[node]] + 1;
        if (node < count) {
            lengths[leaves[node].symbol] = (uint8_t)depth[node];
            if (depth[node] > longest)
                longest = depth[node];
        }
    }
    return longest;
}

static void huffman_lengths(const uint8_t *data, size_t size, uint8_t *lengths) {
    uint32_t weights[NUM_SYMBOLS] = {0};
    for (size_t i = 0; i < size; i++)
        weights[data[i]]++;
    while (code_lengths_once(weights, lengths) > MAX_CODE_LENGTH) {
        for (int symbol = 0; symbol < NUM_SYMBOLS; symbol++)
            weights[symbol] = (weights[symbol] + 1) / 2;
    }
}

/* Canonical codes: counts[n] codes of n bits, symbols in the order of their codes. */
struct code_table {
    uint16_t counts[MAX_CODE_LENGTH + 1];
    uint16_t first_code[MAX_CODE_LENGTH + 1];
    uint16_t first_index[MAX_CODE_LENGTH + 1];
    uint8_t symbols[NUM_SYMBOLS];
    uint16_t codes[NUM_SYMBOLS];
};

static lz_status code_table_init(struct code_table *table, const uint8_t *lengths) {
    memset(table, 0, sizeof *table);
    for (int symbol = 0; symbol < NUM_SYMBOLS; symbol++) {
        if (lengths[symbol])
            table->counts[lengths[symbol]]++;
    }
    uint32_t code = 0;
    uint16_t index = 0;
    for (int length = 1; length <= MAX_CODE_LENGTH; length++) {
        code <<= 1;
        table->first_code[length] = (uint16_t)code;
        table->first_index[length] = index;
        for (int symbol = 0; symbol < NUM_SYMBOLS; symbol++) {
            if (lengths[symbol] == length) {
                table->codes[symbol] = (uint16_t)code++;
                table->symbols[index++] = (uint8_t)symbol;
            }
        }
        if (code > 1u << length)
            return LZ_ERR_CORRUPT;
    }
    return LZ_OK;
}

static lz_status huffman_encode(const uint8_t *data, size_t size, const uint8_t *lengths, struct sink *out) {
    struct code_table table;
    lz_status status = code_table_init(&table, lengths);
    if (status != LZ_OK)
        return status;
    uint32_t bits = 0;
    int num_bits = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << lengths[data[i]] | table.codes[data[i]];
        num_bits += lengths[data[i]];
        while (num_bits >= 8) {
            num_bits -= 8;
            if (!sink_put(out, (uint8_t)(bits >> num_bits)))
                return LZ_ERR_SPACE;
        }
    }
    if (num_bits > 0 && !sink_put(out, (uint8_t)(bits << (8 - num_bits))))
        return LZ_ERR_SPACE;
    return LZ_OK;
}

static lz_status huffman_decode(const uint8_t *data, size_t size, const uint8_t *lengths, struct sink *out) {
    struct code_table table;
    lz_status status = code_table_init(&table, lengths);
    if (status != LZ_OK)
        return status;
    size_t bit = 0;
    while (out->size < out->capacity) {
        uint32_t code = 0;
        int length = 1;
        for (;; length++) {
            if (length > MAX_CODE_LENGTH)
                return LZ_ERR_CORRUPT;
            if (bit >= size * 8)
                return LZ_ERR_TRUNCATED;
            code = code << 1 | ((data[bit / 8] >> (7 - bit % 8)) & 1u);
            bit++;
            if (code >= table.first_code[length] && code - table.first_code[length] < table.counts[length])
                break;
        }
        sink_put(out, table.symbols[table.first_index[length] + (code - table.first_code[length])]);
    }
    return LZ_OK;
}

/* ---- container ----------------------------------------------------------------------------- */

static size_t lzss_bound(size_t size) { return size + (size + 7) / 8; }

static lz_status lz_compress(const uint8_t *data, size_t size, uint8_t *dest, size_t capacity, size_t *dest_size) {
    if (capacity < HEADER_SIZE)
        return LZ_ERR_SPACE;
    struct sink tokens = {malloc(lzss_bound(size) + 1), lzss_bound(size), 0};
    if (!tokens.data)
        return LZ_ERR_MEMORY;
    struct sink out = {dest, capacity, HEADER_SIZE};
    uint8_t lengths[NUM_SYMBOLS];

    lz_status status = lzss_encode(data, size, &tokens);
    if (status == LZ_OK) {
        huffman_lengths(tokens.data, tokens.size, lengths);
        status = huffman_encode(tokens.data, tokens.size, lengths, &out);
    }
    if (status == LZ_OK) {
        memcpy(dest, "LZH1", 4);
        store_le32(dest + 4, (uint32_t)size);
        store_le32(dest + 8, (uint32_t)tokens.size);
        store_le32(dest + 12, adler32(data, size));
        for (int i = 0; i < NUM_SYMBOLS / 2; i++)
            dest[16 + i] = (uint8_t)(lengths[2 * i] | lengths[2 * i + 1] << 4);
        *dest_size = out.size;
    }
    free(tokens.data);
    return status;
}

static lz_status lz_decompress(const uint8_t *data, size_t size, uint8_t *dest, size_t capacity, size_t *dest_size) {
    if (size < HEADER_SIZE)
        return LZ_ERR_TRUNCATED;
    if (memcmp(data, "LZH1", 4) != 0)
        return LZ_ERR_MAGIC;
    size_t original_size = load_le32(data + 4), tokens_size = load_le32(data + 8);
    if (original_size > capacity)
        return LZ_ERR_SPACE;
    if (tokens_size > lzss_bound(original_size))
        return LZ_ERR_CORRUPT;

    uint8_t lengths[NUM_SYMBOLS];
    for (int i = 0; i < NUM_SYMBOLS / 2; i++) {
        lengths[2 * i] = data[16 + i] & 15;
        lengths[2 * i + 1] = data[16 + i] >> 4;
    }
    struct sink tokens = {malloc(tokens_size + 1), tokens_size, 0};
    if (!tokens.data)
        return LZ_ERR_MEMORY;
    struct sink out = {dest, original_size, 0};
    lz_status status = huffman_decode(data + HEADER_SIZE, size - HEADER_SIZE, lengths, &tokens);
    if (status == LZ_OK)
        status = lzss_decode(tokens.data, tokens.size, &out);
    if (status == LZ_OK && (out.size != original_size || adler32(dest, out.size) != load_le32(data + 12)))
        status = LZ_ERR_CHECKSUM;
    free(tokens.data);
    *dest_size = out.size;
    return status;
}

/* ---- checks -------------------------------------------------------------------------------- */

#define MAX_TEST 20000

static int checks_run, checks_failed;
static uint8_t input[MAX_TEST], packed[2 * MAX_TEST], unpacked[MAX_TEST];

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("lzss.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static uint32_t random_state = 2463534242u;

static uint32_t random_u32(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void fill_text(size_t size) {
    static const char *const words[] = {"the ",   "window ", "slides ",  "over ", "input ",  "bytes, ",
                                        "match ", "and ",    "literal ", "a ",    "code.\n", "length "};
    size_t pos = 0;
    while (pos < size) {
        const char *word = words[random_u32() % (sizeof words / sizeof words[0])];
        for (; *word && pos < size; word++)
            input[pos++] = (uint8_t)*word;
    }
}

static size_t roundtrip(size_t size) {
    size_t packed_size = 0, unpacked_size = 0;
    CHECK(lz_compress(input, size, packed, sizeof packed, &packed_size) == LZ_OK);
    memset(unpacked, 0xEE, sizeof unpacked);
    CHECK(lz_decompress(packed, packed_size, unpacked, sizeof unpacked, &unpacked_size) == LZ_OK);
    CHECK(unpacked_size == size && memcmp(input, unpacked, size) == 0);
    return packed_size;
}

static void check_known_answers(void) {
    /* Three literals, then nine bytes from distance 3. */
    static const uint8_t expected[] = {0x07, 'a', 'b', 'c', 0x02, 0x06};
    uint8_t buffer[64];
    struct sink out = {buffer, sizeof buffer, 0};
    CHECK(lzss_encode((const uint8_t *)"abcabcabcabc", 12, &out) == LZ_OK);
    CHECK(out.size == sizeof expected && memcmp(buffer, expected, sizeof expected) == 0);
    CHECK(adler32((const uint8_t *)"Wikipedia", 9) == 0x11E60398u);

    uint8_t lengths[NUM_SYMBOLS];
    huffman_lengths((const uint8_t *)"aaaabbcd", 8, lengths);
    CHECK(lengths['a'] == 1 && lengths['b'] == 2 && lengths['c'] == 3 && lengths['d'] == 3);
    struct sink bits = {buffer, sizeof buffer, 0};
    CHECK(huffman_encode((const uint8_t *)"aaaabbcd", 8, lengths, &bits) == LZ_OK);
    CHECK(bits.size == 2 && buffer[0] == 0x0A && buffer[1] == 0xDC);
}

/* Weights that grow like Fibonacci numbers make the deepest Huffman tree there is. */
static void check_length_limit(void) {
    size_t size = 0, a = 1, b = 1;
    for (int symbol = 0; size + a < MAX_TEST; symbol++) {
        memset(input + size, symbol, a);
        size += a;
        size_t sum = a + b;
        a = b;
        b = sum;
    }
    uint8_t lengths[NUM_SYMBOLS];
    huffman_lengths(input, size, lengths);
    uint32_t kraft = 0;
    for (int symbol = 0; symbol < NUM_SYMBOLS; symbol++) {
        if (lengths[symbol])
            kraft += 1u << (MAX_CODE_LENGTH - lengths[symbol]);
    }
    CHECK(kraft == 1u << MAX_CODE_LENGTH);
    struct sink bits = {packed, sizeof packed, 0}, out = {unpacked, size, 0};
    CHECK(huffman_encode(input, size, lengths, &bits) == LZ_OK);
    CHECK(huffman_decode(packed, bits.size, lengths, &out) == LZ_OK);
    CHECK(memcmp(input, unpacked, size) == 0);
}

static void check_damage(void) {
    fill_text(600);
    size_t packed_size = roundtrip(600), unpacked_size;
    for (size_t i = 0; i < packed_size; i++) {
        uint8_t flip = (uint8_t)(1u << (i % 8));
        packed[i] ^= flip;
        lz_status status = lz_decompress(packed, packed_size, unpacked, 600, &unpacked_size);
        /* Only the padding of the last byte may change without notice. */
        CHECK(status != LZ_OK || (unpacked_size == 600 && memcmp(input, unpacked, 600) == 0));
        packed[i] ^= flip;
    }
    for (size_t size = 0; size < packed_size; size += 7)
        CHECK(lz_decompress(packed, size, unpacked, 600, &unpacked_size) == LZ_ERR_TRUNCATED);
    CHECK(lz_decompress(packed, packed_size, unpacked, 599, &unpacked_size) == LZ_ERR_SPACE);
    packed[0] = 'X';
    CHECK(lz_decompress(packed, packed_size, unpacked, 600, &unpacked_size) == LZ_ERR_MAGIC);
    CHECK(lz_compress(input, 600, packed, 200, &packed_size) == LZ_ERR_SPACE);
}

int main(void) {
    check_known_answers();
    check_length_limit();

    CHECK(roundtrip(0) == HEADER_SIZE);
    for (size_t size = 1; size < 40; size++) {
        fill_text(size);
        roundtrip(size);
    }
    memset(input, 'z', MAX_TEST);
    CHECK(roundtrip(MAX_TEST) < HEADER_SIZE + MAX_TEST / 16);
    fill_text(MAX_TEST);
    CHECK(roundtrip(MAX_TEST) < MAX_TEST / 2);
    for (size_t i = 0; i < MAX_TEST; i++)
        input[i] = (uint8_t)(random_u32() >> 24);
    CHECK(roundtrip(MAX_TEST) < MAX_TEST + MAX_TEST / 8 + HEADER_SIZE);
    for (size_t i = 0; i < MAX_TEST; i++)
        input[i] = (uint8_t)(i % 4099 < 2000 ? i * i >> 7 : i % 11);
    CHECK(roundtrip(MAX_TEST) < MAX_TEST);
    check_damage();

    if (checks_failed) {
        printf("lzss: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("lzss: ok (%d checks)\n", checks_run);
    return 0;
}
