/* A bytecode interpreter with computed gotos, against the same machine as a switch. */
#include "check.h"

enum { HALT, CONST, ADD, SUB, MUL, DUP, SWAP, JNZ, LOAD, STORE, LESS };

static NOINLINE long threaded(const signed char *code, long *memory) {
    static const void *const ways[] = {&&halt, &&constant, &&add, &&sub, &&mul, &&dup, &&swap, &&jnz, &&load, &&store, &&less};
    long stack[32], *sp = stack, t;
    const signed char *pc = code;
#define NEXT goto *ways[*pc++]
    NEXT;
constant: *sp++ = *pc++; NEXT;
add: sp--; sp[-1] += *sp; NEXT;
sub: sp--; sp[-1] -= *sp; NEXT;
mul: sp--; sp[-1] *= *sp; NEXT;
dup: *sp = sp[-1]; sp++; NEXT;
swap: t = sp[-1]; sp[-1] = sp[-2]; sp[-2] = t; NEXT;
jnz: t = *pc++; if (*--sp) pc += t; NEXT;
load: *sp++ = memory[*pc++]; NEXT;
store: memory[*pc++] = *--sp; NEXT;
less: sp--; sp[-1] = sp[-1] < *sp; NEXT;
halt: return sp[-1];
}

static long switched(const signed char *code, long *memory) {
    long stack[32];
    int sp = 0, pc = 0;
    for (;;) {
        long t;
        switch (code[pc++]) {
        case HALT: return stack[sp - 1];
        case CONST: stack[sp++] = code[pc++]; break;
        case ADD: sp--; stack[sp - 1] += stack[sp]; break;
        case SUB: sp--; stack[sp - 1] -= stack[sp]; break;
        case MUL: sp--; stack[sp - 1] *= stack[sp]; break;
        case DUP: stack[sp] = stack[sp - 1]; sp++; break;
        case SWAP: t = stack[sp - 1]; stack[sp - 1] = stack[sp - 2]; stack[sp - 2] = t; break;
        case JNZ: t = code[pc++]; if (stack[--sp]) pc += (int)t; break;
        case LOAD: stack[sp++] = memory[code[pc++]]; break;
        case STORE: memory[code[pc++]] = stack[--sp]; break;
        case LESS: sp--; stack[sp - 1] = stack[sp - 1] < stack[sp]; break;
        }
    }
}

/* memory[0] = n: factorial, and Fibonacci numbers. */
static const signed char factorial[] = {CONST, 1, STORE, 1, LOAD, 0, LOAD, 1, MUL, STORE, 1, LOAD, 0, CONST, 1, SUB, DUP,
                                        STORE, 0, JNZ, -17, LOAD, 1, HALT};
static const signed char fibonacci[] = {CONST, 0, STORE, 1, CONST, 1, STORE, 2, LOAD, 1, LOAD, 2, DUP, STORE, 1, ADD, STORE, 2,
                                        LOAD, 0, CONST, 1, SUB, DUP, STORE, 0, CONST, 0, SWAP, LESS, JNZ, -24, LOAD, 1, HALT};

int main(void) {
    long product = 1, a = 0, b = 1;
    for (long n = 1; n <= 20; n++) {
        long one[3] = {n, 0, 0}, two[3] = {n, 0, 0};
        product *= n;
        CHECK(threaded(factorial, one) == product && switched(factorial, two) == product);
        CHECK(one[0] == 0 && one[1] == two[1]);
        long next = a + b;
        a = b;
        b = next;
        long three[3] = {n, 0, 0}, four[3] = {n, 0, 0};
        CHECK(threaded(fibonacci, three) == a && switched(fibonacci, four) == a);
        CHECK(three[2] == b && four[2] == b);
        note((uint64_t)(product ^ a));
    }
    return finish();
}
