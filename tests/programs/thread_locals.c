/* Thread-local variables: initialisers, addresses, arrays, two threads that don't see each other's. */
#include <pthread.h>

#include "check.h"

static __thread int counter = 5;
__thread long shared_name;
static __thread struct { char tag; int values[6]; } block = {'x', {1, 2, 3}};
static __thread int *points_to;
static int plain;

static NOINLINE int bump(int by) {
    counter += by;
    plain += by;
    return counter;
}

static NOINLINE int *address_of(void) { return &counter; }

static NOINLINE int sum_block(void) {
    int sum = block.tag;
    for (int i = 0; i < 6; i++) sum += block.values[i] * (i + 1);
    return sum;
}

struct seen { int start, end, sum; int *address; long name; };

static void *worker(void *argument) {
    struct seen *seen = argument;
    seen->start = counter;
    for (int i = 1; i <= 10; i++) {
        bump(i);
        block.values[i % 6] += i;
    }
    seen->end = counter;
    seen->sum = sum_block();
    seen->address = address_of();
    shared_name += 7;
    seen->name = shared_name;
    points_to = &counter;
    *points_to = -1;
    return seen;
}

int main(void) {
    CHECK(sum_block() == 'x' + 1 + 4 + 9);
    bump(100);
    shared_name = 1000;
    struct seen seen[2];
    for (int t = 0; t < 2; t++) {
        pthread_t thread;
        void *result;
        if (!CHECK(pthread_create(&thread, NULL, worker, &seen[t]) == 0)) continue;
        pthread_join(thread, &result);
        int values[6] = {1, 2, 3};
        for (int i = 1; i <= 10; i++) values[i % 6] += i;
        int sum = 'x';
        for (int i = 0; i < 6; i++) sum += values[i] * (i + 1);
        CHECK(result == &seen[t] && seen[t].start == 5 && seen[t].end == 60 && seen[t].sum == sum);
        CHECK(seen[t].address != address_of() && seen[t].name == 7);
    }
    CHECK(counter == 105 && plain == 100 + 2 * 55 && shared_name == 1000 && points_to == NULL);
    CHECK(address_of() == &counter && *address_of() == 105);
    CHECK(sum_block() == 'x' + 14);
    note((uint64_t)plain);
    return finish();
}
