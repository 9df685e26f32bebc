/* Static data shared by functions: tables of functions, constants, strings, counters; locals that stay. */
typedef struct {
    const char *name;
    int (*run)(int);
} entry;

static int calls;
static const unsigned char squares[] = {0, 1, 4, 9, 16, 25, 36, 49, 64, 81};
static int history[4];

static int twice(int x) { calls++; return 2 * x; }
static int square(int x) { calls++; return x >= 0 && x < 10 ? squares[x] : x * x; }
static int negate(int x) { calls++; return -x; }

static const entry table[] = {{"twice", twice}, {"square", square}, {"negate", negate}};
static int (*current)(int) = negate;

static int same(const char *one, const char *other)
{
    while (*one && *one == *other)
        one++, other++;
    return *one == *other;
}

int lookup(const char *name, int x)
{
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (same(table[i].name, name)) {
            history[calls & 3] = x;
            return table[i].run(x);
        }
    return -1000;
}

int select_function(const char *name)
{
    int (*before)(int) = current;
    if (same(name, "square"))
        current = square;
    else if (same(name, "twice"))
        current = twice;
    return before != current;
}

int run_current(int x) { return current(x); }

unsigned next_number(void)
{
    static unsigned state = 12345;
    return state = state * 1103515245u + 12345u;
}

unsigned next_other(void)
{
    static unsigned state = 1;
    return state *= 3;
}

const char *weekday(int day)
{
    switch (day) {
    case 0: return "monday";
    case 1: return "tuesday";
    case 2: return "wednesday";
    case 3: return "thursday";
    case 4: return "twice";
    default: return "square";
    }
}

int days_of(int month)
{
    switch (month) {
    case 2: return 28;
    case 4: case 6: case 9: case 11: return 30;
    case 1: case 3: case 5: case 7: case 8: case 10: case 12: return 31;
    }
    return 0;
}

int main(void)
{
    if (lookup("twice", 4) != 8 || lookup("square", 9) != 81 || lookup("square", 11) != 121)
        return 1;
    if (lookup("negate", 3) != -3 || lookup("none", 3) != -1000 || calls != 4)
        return 2;
    if (history[0] != 4 || history[1] != 9 || history[2] != 11 || history[3] != 3)
        return 3;
    if (run_current(5) != -5 || !select_function("square") || select_function("square") || run_current(5) != 25)
        return 4;
    if (next_number() != 3554416254u || next_number() != 2802067423u || next_other() != 3 || next_other() != 9)
        return 5;
    if (lookup(weekday(4), 1) != 2 || lookup(weekday(9), 3) != 9 || weekday(2)[2] != 'd')
        return 6;
    int days = 0;
    for (int month = 0; month < 14; month++)
        days += days_of(month);
    return days != 365 || calls != 8;
}
