/* A store through a pointer that is one of two: a function that does this writes memory, and its calls must stay.
   (attributor-light of LLVM 22 and 23 takes it for a function without effects; see pass_rows.py.) */
#include "check.h"

static int fallback;

static NOINLINE void store(int *target, int value) {
    int *chosen = target == 0 ? &fallback : target;
    *chosen = value;
}

static NOINLINE void swap(int *a, int *b) {
    int *first = a == 0 ? &fallback : a;
    int *second = b == 0 ? &fallback : b;
    int kept = *first;
    *first = *second;
    *second = kept;
}

static NOINLINE int twice(int start) {
    int local = start;
    store(&local, start + 1);
    store(0, local);
    return local + fallback;
}

int main(void) {
    int values[4] = {0};
    for (int i = 0; i < 4; i++) {
        store(OPAQUE(&values[i]), i + 10);
        CHECK(values[i] == i + 10);
    }
    store(OPAQUE((int *)0), 99);
    CHECK(fallback == 99);
    swap(&values[0], OPAQUE((int *)0));
    CHECK(values[0] == 99 && fallback == 10);
    swap(&values[1], &values[2]);
    CHECK(values[1] == 12 && values[2] == 11);
    CHECK(twice(OPAQUE(5)) == 12);
    for (int i = 0; i < 4; i++) note((uint64_t)values[i]);
    return finish();
}
