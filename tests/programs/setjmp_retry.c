/* setjmp and longjmp: error handling across frames, retries counted in volatile variables, nested handlers. */
#include <setjmp.h>

#include "check.h"

static jmp_buf *handler;
static int unwound;

static NOINLINE _Noreturn void fail(int code) { longjmp(*handler, code); }

static NOINLINE int parse(const char *s, int depth) {
    int value = 0;
    while (*s >= '0' && *s <= '9') value = value * 10 + *s++ - '0';
    unwound++;
    if (*s == '(') value += parse(s + 1, depth + 1);
    else if (*s && *s != ')') fail(*s);
    if (depth > 3) fail(1000);
    unwound--;
    return value;
}

static NOINLINE int guarded(const char *s) {
    jmp_buf here, *outer = handler;
    int code;
    handler = &here;
    unwound = 0;
    code = setjmp(here);
    if (code == 0) {
        int value = parse(s, 0);
        handler = outer;
        return value;
    }
    handler = outer;
    return -code;
}

static NOINLINE int retry(int times) {
    jmp_buf here, *outer = handler;
    volatile int attempts = 0, sum = 0;
    handler = &here;
    int code = setjmp(here);
    attempts++;
    sum += code;
    if (attempts < times) fail(attempts);
    handler = outer;
    return attempts * 1000 + sum;
}

static NOINLINE int nested(int which) {
    jmp_buf here, *outer = handler;
    volatile int stage = 1;
    handler = &here;
    switch (setjmp(here)) {
    case 0:
        stage = 2;
        if (guarded("1(2(x") != -'x') return -1;
        stage = 3;
        if (which) fail(which);
        stage = 4;
        break;
    case 1: stage += 10; break;
    case 2: stage += 20; break;
    default: stage = -1;
    }
    handler = outer;
    return stage;
}

int main(void) {
    CHECK(guarded("12") == 12 && guarded("1(2(3") == 6 && unwound == 0);
    CHECK(guarded("5(6!") == -'!' && unwound == 2);
    CHECK(guarded("1(1(1(1(1") == -1000);
    for (int times = 1; times < 12; times++) CHECK(retry(times) == times * 1000 + times * (times - 1) / 2);
    CHECK(nested(0) == 4 && nested(1) == 13 && nested(2) == 23 && nested(3) == -1);
    CHECK(handler == NULL);
    jmp_buf loop;
    volatile unsigned count = 0, bits = 0;
    handler = &loop;
    int code = setjmp(loop);
    bits |= 1u << code;
    if (++count < 8) fail((int)count * 3);
    for (unsigned i = 0; i < 8; i++) CHECK(bits >> 3 * i & 1);
    CHECK(count == 8 && __builtin_popcount(bits) == 8);
    note(bits);
    return finish();
}
