/* Static functions called once, several times, recursively, in a ring, through a pointer, and never. */
static int once(int x) { return x * 7 + 3; }

static int often(int x)
{
    int sum = 0;
    for (int i = 0; i < x; i++)
        sum += i ^ (sum << 1);
    return sum;
}

static int never(int x) { return often(x) - once(x); }

static int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static int odd(unsigned n);
static int even(unsigned n) { return n == 0 ? 1 : odd(n - 1); }
static int odd(unsigned n) { return n == 0 ? 0 : even(n - 1); }

__attribute__((noinline)) static int outside(const int *at, int unused, int step)
{
    return at[0] * step + at[1];
}

static long apply(long (*f)(long, long), long x, long y) { return f(x, y); }
static long minus(long x, long y) { return x - y; }
static long times(long x, long y) { return x * y; }

int visible(int x) { return often(x) + once(x); }

int user(int x)
{
    int pair[] = {x, x + 1};
    return often(x + 1) + outside(pair, 4, 3) + outside(pair, 5, -1) + (int)apply(minus, x, 2);
}

int main(void)
{
    if (visible(6) != 3 + 45)
        return 1;
    if (user(5) != 3 + (15 + 6) + (-5 + 6) + 3)
        return 2;
    if (fibonacci(12) != 144)
        return 3;
    if (!even(10) || odd(8) || !odd(7))
        return 4;
    return apply(times, 6, 7) != 42 || apply(minus, 6, 7) != -1;
}
