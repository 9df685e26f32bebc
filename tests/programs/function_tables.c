/* Function pointers in tables, structs and arguments; dispatch through them, compare them, choose among them. */
#include "check.h"

typedef int (*binary)(int, int);
static int plus(int a, int b) { return a + b; }
static int minus(int a, int b) { return a - b; }
static int times(int a, int b) { return a * b; }
static int smaller(int a, int b) { return a < b ? a : b; }
static int larger(int a, int b) { return a > b ? a : b; }
/* The same code twice: merging these must keep the addresses apart where they are compared. */
static NOINLINE int twin_a(int a, int b) { return a * 31 + b * 17; }
static NOINLINE int twin_b(int a, int b) { return a * 31 + b * 17; }

static const struct operation { char symbol; int precedence; binary apply; } operations[] = {
    {'+', 1, plus}, {'-', 1, minus}, {'*', 2, times}, {'<', 0, smaller}, {'>', 0, larger},
};
enum { COUNT = sizeof operations / sizeof *operations };

static const struct operation *find(char symbol) {
    for (int i = 0; i < COUNT; i++) {
        if (operations[i].symbol == symbol) return &operations[i];
    }
    return 0;
}

/* Shunting-yard with a table of functions. */
static NOINLINE int evaluate(const char *s) {
    int values[16], num_values = 0, num_waiting = 0;
    const struct operation *waiting[16];
    for (;; s++) {
        const struct operation *next = *s ? find(*s) : 0;
        if (*s >= '0' && *s <= '9') {
            values[num_values++] = *s - '0';
            continue;
        }
        while (num_waiting && (!next || waiting[num_waiting - 1]->precedence >= next->precedence)) {
            num_values--;
            values[num_values - 1] = waiting[--num_waiting]->apply(values[num_values - 1], values[num_values]);
        }
        if (!next) return values[0];
        waiting[num_waiting++] = next;
    }
}

static NOINLINE int fold(const int *v, int n, binary f, int start) {
    for (int i = 0; i < n; i++) start = f(start, v[i]);
    return start;
}

static binary choose(int n) { return n % 3 == 0 ? plus : n % 3 == 1 ? larger : twin_a; }

struct object { const struct object_class *class; int state; };
struct object_class { int (*poke)(struct object *, int); const struct object_class *parent; };
static int poke_base(struct object *o, int x) { return o->state += x; }
static int poke_derived(struct object *o, int x) { return 2 * o->class->parent->poke(o, x + 1); }
static const struct object_class base = {poke_base, 0}, derived = {poke_derived, &base};

int main(void) {
    CHECK(evaluate("1+2*3") == 7 && evaluate("9-4-3") == 2 && evaluate("2*3*4-5*2") == 14);
    CHECK(evaluate("7<3+1") == 4 && evaluate("2>9*1>5") == 9 && evaluate("8") == 8);
    int v[10];
    for (int i = 0; i < 10; i++) v[i] = i * i % 7 - 2;
    int sum = 0, top = -100;
    for (int i = 0; i < 10; i++) sum += v[i], top = v[i] > top ? v[i] : top;
    CHECK(fold(v, 10, plus, 5) == sum + 5 && fold(v, 10, larger, -100) == top && fold(v, 0, times, 3) == 3);
    binary a = OPAQUE(&twin_a), b = OPAQUE(&twin_b);
    CHECK(a != b && a == twin_a && b == twin_b && a(3, 4) == b(3, 4));
    for (int n = 0; n < 12; n++) {
        binary f = choose(n);
        CHECK((f == plus) + (f == larger) + (f == twin_a) == 1 && f != twin_b);
        CHECK(f(n, 5) == (n % 3 == 0 ? n + 5 : n % 3 == 1 ? (n > 5 ? n : 5) : 31 * n + 85));
    }
    struct object objects[] = {{&base, 1}, {&derived, 10}};
    for (int i = 0; i < 10; i++) {
        struct object *o = &objects[i % 2];
        int before = o->state, result = o->class->poke(o, i);
        CHECK(result == (i % 2 ? 2 * (before + i + 1) : before + i));
        note((uint64_t)result);
    }
    return finish();
}
