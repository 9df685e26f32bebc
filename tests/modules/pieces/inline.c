/* C99 inline: bodies that may be used here but live elsewhere (elsewhere.c), and one that lives here. */
inline int outside(int x) { return x * 3 + 1; }
inline int here(int x) { return x * 5 - outside(x); }
extern int here(int);
static inline int local(int x) { return here(x) + outside(x) * outside(x); }
static inline int deep(int x) { return x > 3 ? local(x) : deep(x + 1) + 1; }

int (*pointer_to(int which))(int) { return which == 0 ? outside : which == 1 ? here : deep; }

int sum(int from, int to)
{
    int total = 0;
    while (from < to)
        total += outside(from) + here(from), from++;
    return total;
}

int main(void)
{
    if (pointer_to(0)(4) != 13 || pointer_to(1)(4) != 7 || pointer_to(2)(4) != 7 + 169)
        return 1;
    if (deep(1) != 7 + 169 + 3)
        return 2;
    return sum(0, 4) != 5 * 6;
}
