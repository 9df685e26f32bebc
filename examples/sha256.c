/*
 * sha256.c - SHA-256 (FIPS 180-4) and what firmware builds on it: HMAC (RFC 2104), HKDF (RFC 5869),
 * PBKDF2 (RFC 8018), a constant-time compare, and a signed boot-image header as an example of use.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SHA256_BLOCK 64
#define SHA256_DIGEST 32

struct sha256 {
    uint32_t state[8];
    uint64_t num_bytes;
    uint8_t block[SHA256_BLOCK];
};

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t value, unsigned count) { return value >> count | value << (32 - count); }

static uint32_t load_be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void store_be32(uint8_t *p, uint32_t value) {
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

static void sha256_compress(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = load_be32(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }

    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
        uint32_t s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

static void sha256_init(struct sha256 *ctx) {
    static const uint32_t initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(ctx->state, initial, sizeof initial);
    ctx->num_bytes = 0;
}

static void sha256_update(struct sha256 *ctx, const void *data, size_t size) {
    const uint8_t *p = data;
    size_t used = ctx->num_bytes % SHA256_BLOCK;
    ctx->num_bytes += size;
    if (used > 0) {
        size_t part = SHA256_BLOCK - used;
        if (size < part) {
            memcpy(ctx->block + used, p, size);
            return;
        }
        memcpy(ctx->block + used, p, part);
        sha256_compress(ctx->state, ctx->block);
        p += part;
        size -= part;
    }
    for (; size >= SHA256_BLOCK; p += SHA256_BLOCK, size -= SHA256_BLOCK)
        sha256_compress(ctx->state, p);
    if (size > 0)
        memcpy(ctx->block, p, size);
}

static void sha256_final(struct sha256 *ctx, uint8_t digest[SHA256_DIGEST]) {
    static const uint8_t padding[SHA256_BLOCK] = {0x80};
    uint64_t num_bits = ctx->num_bytes * 8;
    size_t used = ctx->num_bytes % SHA256_BLOCK;
    uint8_t length[8];
    store_be32(length, (uint32_t)(num_bits >> 32));
    store_be32(length + 4, (uint32_t)num_bits);
    sha256_update(ctx, padding, used < 56 ? 56 - used : 120 - used);
    sha256_update(ctx, length, sizeof length);
    for (int i = 0; i < 8; i++)
        store_be32(digest + 4 * i, ctx->state[i]);
}

static void sha256_hash(const void *data, size_t size, uint8_t digest[SHA256_DIGEST]) {
    struct sha256 ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, data, size);
    sha256_final(&ctx, digest);
}

/* ---- HMAC and key derivation --------------------------------------------------------------- */

struct hmac {
    struct sha256 inner;
    struct sha256 outer;
};

static void hmac_init(struct hmac *ctx, const void *key, size_t key_size) {
    uint8_t block[SHA256_BLOCK] = {0};
    if (key_size > SHA256_BLOCK)
        sha256_hash(key, key_size, block);
    else if (key_size > 0)
        memcpy(block, key, key_size);

    for (int i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36;
    sha256_init(&ctx->inner);
    sha256_update(&ctx->inner, block, sizeof block);

    for (int i = 0; i < SHA256_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_init(&ctx->outer);
    sha256_update(&ctx->outer, block, sizeof block);
}

static void hmac_update(struct hmac *ctx, const void *data, size_t size) { sha256_update(&ctx->inner, data, size); }

static void hmac_final(struct hmac *ctx, uint8_t mac[SHA256_DIGEST]) {
    uint8_t digest[SHA256_DIGEST];
    sha256_final(&ctx->inner, digest);
    sha256_update(&ctx->outer, digest, sizeof digest);
    sha256_final(&ctx->outer, mac);
}

static void hmac_sign(const void *key, size_t key_size, const void *data, size_t size, uint8_t mac[SHA256_DIGEST]) {
    struct hmac ctx;
    hmac_init(&ctx, key, key_size);
    hmac_update(&ctx, data, size);
    hmac_final(&ctx, mac);
}

/* Extract, then expand. False when more is asked for than the 255 blocks HKDF can give. */
static bool hkdf(const uint8_t *salt, size_t salt_size, const uint8_t *secret, size_t secret_size, const uint8_t *info,
                 size_t info_size, uint8_t *out, size_t out_size) {
    if (out_size > 255 * SHA256_DIGEST)
        return false;
    uint8_t key[SHA256_DIGEST], block[SHA256_DIGEST];
    hmac_sign(salt, salt_size, secret, secret_size, key);
    for (uint8_t counter = 1; out_size > 0; counter++) {
        struct hmac ctx;
        hmac_init(&ctx, key, sizeof key);
        if (counter > 1)
            hmac_update(&ctx, block, sizeof block);
        hmac_update(&ctx, info, info_size);
        hmac_update(&ctx, &counter, 1);
        hmac_final(&ctx, block);
        size_t part = out_size < SHA256_DIGEST ? out_size : SHA256_DIGEST;
        memcpy(out, block, part);
        out += part;
        out_size -= part;
    }
    return true;
}

static void pbkdf2(const char *password, const char *salt, unsigned iterations, uint8_t *out, size_t out_size) {
    struct hmac keyed;
    hmac_init(&keyed, password, strlen(password));
    for (uint32_t index = 1; out_size > 0; index++) {
        uint8_t counter[4], u[SHA256_DIGEST], sum[SHA256_DIGEST];
        struct hmac ctx = keyed;
        store_be32(counter, index);
        hmac_update(&ctx, salt, strlen(salt));
        hmac_update(&ctx, counter, sizeof counter);
        hmac_final(&ctx, u);
        memcpy(sum, u, sizeof sum);
        for (unsigned i = 1; i < iterations; i++) {
            ctx = keyed;
            hmac_update(&ctx, u, sizeof u);
            hmac_final(&ctx, u);
            for (int k = 0; k < SHA256_DIGEST; k++)
                sum[k] ^= u[k];
        }
        size_t part = out_size < SHA256_DIGEST ? out_size : SHA256_DIGEST;
        memcpy(out, sum, part);
        out += part;
        out_size -= part;
    }
}

/* Takes the same time wherever the first difference is. */
static bool equal_constant_time(const uint8_t *a, const uint8_t *b, size_t size) {
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

/* ---- boot image ---------------------------------------------------------------------------- */

enum image_status { IMAGE_OK, IMAGE_TOO_SHORT, IMAGE_BAD_MAGIC, IMAGE_BAD_SIZE, IMAGE_OLD_VERSION, IMAGE_BAD_MAC };

#define IMAGE_MAGIC 0x424f4f54u
#define IMAGE_HEADER (12 + SHA256_DIGEST)

/* Magic, version, body size; then the MAC over those twelve bytes and the body; then the body. */
static size_t image_seal(const uint8_t *key, size_t key_size, uint32_t version, const uint8_t *body, size_t body_size,
                         uint8_t *image) {
    store_be32(image, IMAGE_MAGIC);
    store_be32(image + 4, version);
    store_be32(image + 8, (uint32_t)body_size);
    memcpy(image + IMAGE_HEADER, body, body_size);
    struct hmac ctx;
    hmac_init(&ctx, key, key_size);
    hmac_update(&ctx, image, 12);
    hmac_update(&ctx, body, body_size);
    hmac_final(&ctx, image + 12);
    return IMAGE_HEADER + body_size;
}

static enum image_status image_verify(const uint8_t *key, size_t key_size, uint32_t min_version, const uint8_t *image,
                                      size_t size) {
    if (size < IMAGE_HEADER)
        return IMAGE_TOO_SHORT;
    if (load_be32(image) != IMAGE_MAGIC)
        return IMAGE_BAD_MAGIC;
    if (load_be32(image + 8) != size - IMAGE_HEADER)
        return IMAGE_BAD_SIZE;
    uint8_t mac[SHA256_DIGEST];
    struct hmac ctx;
    hmac_init(&ctx, key, key_size);
    hmac_update(&ctx, image, 12);
    hmac_update(&ctx, image + IMAGE_HEADER, size - IMAGE_HEADER);
    hmac_final(&ctx, mac);
    if (!equal_constant_time(mac, image + 12, sizeof mac))
        return IMAGE_BAD_MAC;
    return load_be32(image + 4) < min_version ? IMAGE_OLD_VERSION : IMAGE_OK;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("sha256.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static void to_hex(const uint8_t *data, size_t size, char *hex) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 15];
    }
    hex[2 * size] = '\0';
}

static bool is_hex(const uint8_t *data, size_t size, const char *expected) {
    char hex[2 * 128 + 1];
    to_hex(data, size, hex);
    return strcmp(hex, expected) == 0;
}

static void check_digests(void) {
    static const struct {
        const char *message;
        unsigned repeat;
        const char *digest;
    } vectors[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
         "nopqrstu",
         1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 10000,
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct sha256 ctx;
        uint8_t digest[SHA256_DIGEST];
        sha256_init(&ctx);
        for (unsigned n = 0; n < vectors[i].repeat; n++)
            sha256_update(&ctx, vectors[i].message, strlen(vectors[i].message));
        sha256_final(&ctx, digest);
        CHECK(is_hex(digest, sizeof digest, vectors[i].digest));
    }
}

/* However the input is cut, the digest is that of the whole. */
static void check_streaming(void) {
    uint8_t data[300], whole[SHA256_DIGEST], parts[SHA256_DIGEST];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 11);
    for (size_t size = 0; size <= sizeof data; size += 5) {
        sha256_hash(data, size, whole);
        for (size_t step = 1; step < 140; step += 23) {
            struct sha256 ctx;
            sha256_init(&ctx);
            for (size_t pos = 0; pos < size; pos += step)
                sha256_update(&ctx, data + pos, size - pos < step ? size - pos : step);
            sha256_final(&ctx, parts);
            CHECK(memcmp(whole, parts, sizeof whole) == 0);
        }
    }
}

static void check_hmac(void) {
    uint8_t key[131], mac[SHA256_DIGEST];
    memset(key, 0x0b, 20);
    hmac_sign(key, 20, "Hi There", 8, mac);
    CHECK(is_hex(mac, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));

    hmac_sign("Jefe", 4, "what do ya want for nothing?", 28, mac);
    CHECK(is_hex(mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));

    memset(key, 0xaa, sizeof key);
    static const char text[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    hmac_sign(key, sizeof key, text, sizeof text - 1, mac);
    CHECK(is_hex(mac, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

static void check_derivation(void) {
    uint8_t secret[22], salt[13], info[10], out[64];
    memset(secret, 0x0b, sizeof secret);
    for (uint8_t i = 0; i < sizeof salt; i++)
        salt[i] = i;
    for (uint8_t i = 0; i < sizeof info; i++)
        info[i] = (uint8_t)(0xf0 + i);
    CHECK(hkdf(salt, sizeof salt, secret, sizeof secret, info, sizeof info, out, 42));
    CHECK(is_hex(out, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
    CHECK(hkdf(NULL, 0, secret, sizeof secret, (const uint8_t *)"", 0, out, 42));
    CHECK(is_hex(out, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
    CHECK(!hkdf(salt, sizeof salt, secret, sizeof secret, info, sizeof info, out, 255 * SHA256_DIGEST + 1));

    pbkdf2("passwd", "salt", 1, out, 64);
    CHECK(is_hex(out, 64,
                 "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                 "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"));
    pbkdf2("password", "salt", 1000, out, 20);
    CHECK(is_hex(out, 20, "632c2812e46d4604102ba7618e9d6d7d2f8128f6"));
}

static void check_image(void) {
    static const uint8_t key[] = "not a secret key";
    uint8_t body[100], image[IMAGE_HEADER + sizeof body];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i ^ i << 3);
    size_t size = image_seal(key, sizeof key, 7, body, sizeof body, image);
    CHECK(image_verify(key, sizeof key, 7, image, size) == IMAGE_OK);
    CHECK(image_verify(key, sizeof key, 8, image, size) == IMAGE_OLD_VERSION);
    CHECK(image_verify(key, sizeof key - 2, 7, image, size) == IMAGE_BAD_MAC);
    CHECK(image_verify(key, sizeof key, 7, image, size - 1) == IMAGE_BAD_SIZE);
    CHECK(image_verify(key, sizeof key, 7, image, IMAGE_HEADER - 1) == IMAGE_TOO_SHORT);
    for (size_t i = 0; i < size; i++) {
        image[i] ^= 0x10;
        enum image_status expected = i < 4 ? IMAGE_BAD_MAGIC : i >= 8 && i < 12 ? IMAGE_BAD_SIZE : IMAGE_BAD_MAC;
        CHECK(image_verify(key, sizeof key, 7, image, size) == expected);
        image[i] ^= 0x10;
    }
}

int main(void) {
    check_digests();
    check_streaming();
    check_hmac();
    check_derivation();
    check_image();
    if (checks_failed) {
        printf("sha256: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("sha256: ok (%d checks)\n", checks_run);
    return 0;
}
