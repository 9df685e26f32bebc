/* What the programs of this folder share: checks that are counted, a digest of results, values no optimiser knows. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>

static unsigned num_checks, num_failures;
static uint64_t digest = 0xCBF29CE484222325u;

static inline int check(int ok, const char *text, int line) {
    num_checks++;
    if (!ok) {
        if (num_failures++ < 10) printf("line %d: %s\n", line, text);
    }
    return ok;
}

#define CHECK(x) check(!!(x), #x, __LINE__)

/* Fold a result into what is printed at the end (FNV-1a). */
static inline void note(uint64_t value) {
    for (int i = 0; i < 8; i++) {
        digest = (digest ^ (value >> 8 * i & 0xFF)) * 0x100000001B3u;
    }
}

/* The same value, of which the optimiser knows nothing. */
#define OPAQUE(x) (__extension__({ \
    __typeof__(x) opaque_value = (x); \
    __asm__ volatile("" : "+r"(opaque_value)); \
    opaque_value; \
}))

#define NOINLINE __attribute__((noinline))

/* A small generator (xorshift64*): the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

/* The last line of output and the exit code. */
static inline int finish(void) {
    printf("%u checks, %u failed, digest %016llx\n", num_checks, num_failures, (unsigned long long)digest);
    return num_failures != 0 || num_checks == 0;
}

#endif
