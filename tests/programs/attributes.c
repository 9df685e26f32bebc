/* Attributes that bind the optimiser: weak, alias, section, constructor, used, cleanup, pure, always_inline. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

static char order[32];
static void log_order(const char *s) { strcat(order, s); }

__attribute__((constructor(201))) static void second(void) { log_order("b"); }
__attribute__((constructor(200))) static void first(void) { log_order("a"); }
__attribute__((constructor)) static void third(void) { log_order("c"); }

int strong_value = 3;
__attribute__((weak)) int weak_value = 5;
extern __attribute__((weak)) int missing_value;
extern __attribute__((weak)) int missing_function(int);
__attribute__((weak)) NOINLINE int overridable(int x) { return x + 1; }

NOINLINE int real_name(int x) { return x * 2 + 1; }
int other_name(int x) __attribute__((alias("real_name")));
extern int value_alias __attribute__((alias("strong_value")));

/* A table gathered by the linker: nothing refers to its entries but the ends of the section. */
struct entry { const char *name; int number; };
#define ENTRY(n, number) \
    static const struct entry entry_##n __attribute__((section("entries"), used, aligned(8))) = {#n, number}
ENTRY(one, 1);
ENTRY(two, 20);
ENTRY(three, 300);
extern const struct entry __start_entries[], __stop_entries[];

__attribute__((pure)) NOINLINE int measure(const char *s) { return (int)strlen(s) + strong_value; }
__attribute__((const)) NOINLINE int square(int x) { return x * x; }
__attribute__((always_inline)) static inline int inlined(int x) { return square(x) - x; }
__attribute__((cold)) NOINLINE int rarely(int x) { return x < 0 ? -1 : x; }
__attribute__((noreturn)) NOINLINE void stops(int code) { exit(code); }

static int cleaned;
static void clean(int *p) { cleaned = cleaned * 10 + *p; }
static NOINLINE int with_cleanup(int n) {
    __attribute__((cleanup(clean))) int a = 1;
    for (int i = 0; i < n; i++) {
        __attribute__((cleanup(clean))) int b = 2 + i;
        if (i == 1) continue;
        if (i == 2) return b;
        b++;
    }
    a = 9;
    return a;
}

int main(void) {
    CHECK(!strcmp(order, "abc"));
    CHECK(weak_value == 5 && &missing_value == 0 && !missing_function && overridable(4) == 5);
    CHECK(other_name(20) == 41 && &value_alias == &strong_value);
    strong_value = OPAQUE(8);
    CHECK(value_alias == 8 && measure("four") == 12);
    strong_value++;
    CHECK(measure("four") == 13 && value_alias == 9);
    int sum = 0, names = 0;
    for (const struct entry *e = __start_entries; e < __stop_entries; e++) {
        sum += e->number;
        names += (int)strlen(e->name);
    }
    CHECK(sum == 321 && names == 11 && __stop_entries - __start_entries == 3);
    CHECK(square(OPAQUE(-7)) == 49 && inlined(OPAQUE(6)) == 30 && rarely(-3) == -1 && rarely(4) == 4);
    CHECK(with_cleanup(1) == 9 && cleaned == 39);
    cleaned = 0;
    CHECK(with_cleanup(5) == 4 && cleaned == 3341);
    if (num_checks == 0) stops(3);
    note((uint64_t)(uint32_t)sum);
    return finish();
}
