/* Functions that never come back, at the end of paths with other stack depths; registers that callees leave alone. */
#include <stdio.h>
#include <stdlib.h>

static int depth;

__attribute__((noinline)) static void fatal(const char *why) {
    printf("fatal: %s at %d\n", why, depth);
    exit(depth);
}

struct stack {
    int *data;
    int used, room;
    int *top;
};

/* gcc -Os pushes for the call of fatal alone, and goes on where nothing was pushed. */
__attribute__((noinline)) void set_top(int value, struct stack *one) {
    if (!one->top || !*one->top)
        fatal("no top");
    one->top[1] = value;
}

__attribute__((noinline)) static void reset(struct stack *one) {
    for (int at = 0; at < 16; at++)
        one->data[at] = 0;
}

__attribute__((noinline)) struct stack *renew(struct stack *one) {
    reset(one);
    one->used = 1;
    one->room = 16;
    return one;
}

__attribute__((noinline)) int pick(int which, int other) {
    switch (which) {
    case 0:
        return other;
    case 1:
        fatal("one");
    default:
        return other * which;
    }
}

int main(void) {
    int data[16];
    struct stack one = {data, 0, 0, data};
    printf("%d\n", renew(&one)->room + one.used);
    data[0] = 4;
    set_top(7, &one);
    printf("%d %d %d\n", data[1], pick(0, 3), pick(5, 3));
    depth = 3;
    data[0] = 0;
    set_top(8, &one);
    return 0;
}
