/* Atomic operations of all widths in one thread, against plain arithmetic; and counters that two threads share. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "check.h"

#define WIDTH(type, name) \
    static NOINLINE type name(_Atomic type *p, int operation, type x) { \
        type expected; \
        switch (operation) { \
        case 0: return atomic_fetch_add(p, x); \
        case 1: return atomic_fetch_sub_explicit(p, x, memory_order_relaxed); \
        case 2: return atomic_fetch_and(p, x); \
        case 3: return atomic_fetch_or_explicit(p, x, memory_order_acq_rel); \
        case 4: return atomic_fetch_xor(p, x); \
        case 5: return atomic_exchange(p, x); \
        case 6: \
            expected = x; \
            return (type)(atomic_compare_exchange_strong(p, &expected, (type)(x + 1)) ? x + 1 : expected); \
        default: atomic_store_explicit(p, x, memory_order_release); return atomic_load_explicit(p, memory_order_acquire); \
        } \
    } \
    static type name##_model(type *p, int operation, type x) { \
        type old = *p; \
        switch (operation) { \
        case 0: *p = (type)(old + x); return old; \
        case 1: *p = (type)(old - x); return old; \
        case 2: *p = old & x; return old; \
        case 3: *p = old | x; return old; \
        case 4: *p = old ^ x; return old; \
        case 5: *p = x; return old; \
        case 6: if (old != x) return old; return *p = (type)(x + 1); \
        default: return *p = x; \
        } \
    }
WIDTH(uint8_t, on8)
WIDTH(uint16_t, on16)
WIDTH(uint32_t, on32)
WIDTH(uint64_t, on64)

static atomic_int total;
static atomic_flag lock = ATOMIC_FLAG_INIT;
static long guarded;
static atomic_bool ready;
static int published;

static void *work(void *argument) {
    int by = *(int *)argument;
    while (!atomic_load_explicit(&ready, memory_order_acquire)) continue;
    for (int i = 0; i < 2000; i++) {
        atomic_fetch_add(&total, by);
        while (atomic_flag_test_and_set(&lock)) continue;
        guarded += by + published;
        atomic_flag_clear(&lock);
    }
    return NULL;
}

int main(void) {
    uint64_t state = 9;
    _Atomic uint8_t a8 = 0;
    _Atomic uint16_t a16 = 0;
    _Atomic uint32_t a32 = 0;
    _Atomic uint64_t a64 = 0;
    uint8_t m8 = 0;
    uint16_t m16 = 0;
    uint32_t m32 = 0;
    uint64_t m64 = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t x = next_random(&state);
        int operation = (int)(x >> 61);
        x = i % 4 == 3 ? m64 : x >> 3;
        CHECK(on8(&a8, operation, (uint8_t)x) == on8_model(&m8, operation, (uint8_t)x) && a8 == m8);
        CHECK(on16(&a16, operation, (uint16_t)x) == on16_model(&m16, operation, (uint16_t)x) && a16 == m16);
        CHECK(on32(&a32, operation, (uint32_t)x) == on32_model(&m32, operation, (uint32_t)x) && a32 == m32);
        CHECK(on64(&a64, operation, x) == on64_model(&m64, operation, x) && a64 == m64);
    }
    note(m64);
    pthread_t threads[2];
    int by[2] = {3, 4};
    for (int t = 0; t < 2; t++) CHECK(pthread_create(&threads[t], NULL, work, &by[t]) == 0);
    published = 10;
    atomic_store_explicit(&ready, true, memory_order_release);
    for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
    CHECK(total == 14000 && guarded == 14000 + 40000);
    return finish();
}
