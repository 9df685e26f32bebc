/* Functions with what is not lifted, among others that are: the file links and works all the same. */
#include <stdio.h>

#define FAR __attribute__((noinline))

static const char *const words[] = {"none", "one", "two"};

/* Computed goto. */
FAR int run(const unsigned char *code) {
    static const void *const steps[] = {&&stop, &&add, &&twice, &&negate};
    int value = 1;
    goto *steps[*code];
add:
    value += 7;
    goto *steps[*++code];
twice:
    value *= 2;
    goto *steps[*++code];
negate:
    value = -value;
    goto *steps[*++code];
stop:
    return value;
}

/* An instruction that is not in the table. */
FAR unsigned vendor(void) {
    unsigned a = 0, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b != 0;
}

/* Sixteen bytes at once. */
FAR int exchange(long *pair) {
    unsigned char equal;
    long low = 1, high = 2;
    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(equal), "+m"(*(__int128 *)pair), "+a"(low), "+d"(high)
                     : "b"(5L), "c"(6L));
    return equal;
}

FAR const char *word(unsigned n) {
    return words[n < 3 ? n : 0];
}

FAR int through(int (*step)(const unsigned char *), const unsigned char *code) {
    return step(code) + 1;
}

int main(void) {
    static const unsigned char code[] = {1, 2, 3, 2, 1, 0};
    _Alignas(16) long pair[2] = {1, 2};
    printf("%d %d\n", run(code), through(run, code + 1));
    printf("%s %s\n", word(vendor()), word(7));
    printf("%d %ld %ld\n", exchange(pair), pair[0], pair[1]);
    return 0;
}
