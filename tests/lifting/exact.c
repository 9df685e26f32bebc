/* What clang -Oz makes of each of these is told at the first lifting. */
struct item {
    int kind;
    double value;
    int whole;
};
extern int hooks, next, letter, width, height;
extern volatile int running;
extern unsigned char *place;
struct item *new_item(void *);
int refill(void);
void *memset(void *, int, unsigned long);
void decode(unsigned char *, int);
void go(int);
int slow(const unsigned char **, const unsigned char *, unsigned);

/* A conversion in range; a callee that takes no doubles. */
struct item *number(double x) {
    struct item *one = new_item(&hooks);
    if (one) {
        one->kind = 8;
        one->value = x;
        one->whole = x >= 2147483647.0 ? 2147483647 : x <= -2147483648.0 ? -2147483647 - 1 : (int)x;
    }
    return one;
}

/* What is read for the result is none itself. */
int is_close(double a, double b) {
    return __builtin_fabs(b - a) < 1.5e-5;
}

/* The result of memset is a pointer. */
void *zero(void *other, void *to, unsigned long bytes) {
    return memset(to, 0, bytes);
}

/* A push that makes room. */
void step(void) {
    letter = *++place;
    if (letter == '\\')
        letter = refill();
}

/* A store that does not get shorter. */
void stop(int value) {
    running = 0;
    go(value);
}

/* Pointers are compared with pointers. */
unsigned decode_one(const unsigned char **at, const unsigned char *end) {
    if (*at >= end)
        go(3);
    return slow(at, end, 1);
}

/* 64 bits are loaded where 32 are enough. */
int low_bits(const unsigned long *words) {
    return words[1] & 127;
}
