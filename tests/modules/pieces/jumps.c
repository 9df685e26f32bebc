/* Control flow LLVM handles with care: setjmp, volatile, tail calls, atomics, inline assembly, unreachable code. */
typedef void *jump_buffer[5];
static jump_buffer back;
static volatile int steps;
static int depth;

__attribute__((noinline)) static void leave(void) { __builtin_longjmp(back, 1); }

static void descend(int n)
{
    depth++;
    if (n == 0)
        leave();
    descend(n - 1);
    depth--;
}

__attribute__((noinline)) int climb(int n)
{
    if (__builtin_setjmp(back) == 0)
        descend(n);
    return depth;
}

static unsigned gcd(unsigned a, unsigned b) { return b == 0 ? a : gcd(b, a % b); }

static int add_once(int *at)
{
    steps++;
    return __atomic_fetch_add(at, 1, __ATOMIC_SEQ_CST);
}

static int opaque(int x)
{
    __asm__ volatile("" : "+r"(x));
    return x;
}

static int checked(int x)
{
    if (opaque(x) < 0)
        __builtin_unreachable();
    return x % 16;
}

static int dispatch(int op, int a, int b)
{
    switch (op) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return b ? a / b : 0;
    case 4: return (int)gcd((unsigned)a, (unsigned)b);
    case 5: return a << (b & 7);
    case 6: return checked(a);
    default: return opaque(op);
    }
}

int run(const unsigned char *program, int length)
{
    int top = 100;
    for (int at = 0; at + 1 < length; at += 2)
        top = dispatch(program[at], top, program[at + 1]);
    return top;
}

int main(void)
{
    static const unsigned char program[] = {0, 20, 2, 3, 1, 60, 3, 5, 4, 90, 5, 2, 9, 0, 5, 4, 6, 0};
    int counter = 4;
    if (climb(6) != 7)
        return 1;
    if (run(program, sizeof program) != 0 || run(program, 12) != 120 || run(program, 14) != 9)
        return 2;
    if (add_once(&counter) != 4 || add_once(&counter) != 5 || steps != 2)
        return 3;
    return gcd(270, 192) != 6;
}
