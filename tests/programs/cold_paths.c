/* Rare branches with much in them (errors, asserts, traces): splitting them off must keep what they see and change. */
#include <stdarg.h>
#include <string.h>

#include "check.h"

static char trace[400];
static unsigned num_errors;

__attribute__((cold)) static NOINLINE int report(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t used = strlen(trace);
    vsnprintf(trace + used, sizeof trace - used, format, arguments);
    va_end(arguments);
    num_errors++;
    return -(int)num_errors;
}

struct buffer { unsigned char data[16]; unsigned head, size; int failed; };

static NOINLINE int put(struct buffer *b, int x) {
    if (__builtin_expect(b->size >= 16, 0)) {
        unsigned lost = b->data[b->head];
        b->failed = report("[full: drop %u for %d]", lost, x);
        b->head = (b->head + 1) % 16;
        b->size--;
    }
    if (__builtin_expect(x < 0 || x > 255, 0)) {
        int clipped = x < 0 ? 0 : 255;
        if (x == -1000) return report("[bad]");
        report("[clip %d to %d]", x, clipped);
        x = clipped;
    }
    b->data[(b->head + b->size++) % 16] = (unsigned char)x;
    return (int)b->size;
}

static NOINLINE int get(struct buffer *b) {
    if (__builtin_expect(!b->size, 0)) {
        struct buffer empty = {{0}, 0, 0, report("[empty]")};
        *b = empty;
        return -1;
    }
    int x = b->data[b->head];
    b->head = (b->head + 1) % 16;
    b->size--;
    return x;
}

static NOINLINE long sum_until_error(const int *v, int n, int *error) {
    long sum = 0;
    for (int i = 0; i < n; i++) {
        if (__builtin_expect(v[i] < 0, 0)) {
            *error = i;
            for (int j = i; j < n; j++) sum -= v[j];
            report("[stop at %d with %ld]", i, sum);
            return sum;
        }
        sum += v[i];
    }
    return sum;
}

static NOINLINE int must(int x) {
    if (x > 100) __builtin_trap();
    if (x == 100) __builtin_unreachable();
    return x * 2;
}

int main(void) {
    struct buffer b = {{0}, 0, 0, 0};
    for (int i = 0; i < 16; i++) CHECK(put(&b, i * 10) == i + 1);
    CHECK(num_errors == 0 && put(&b, 300) == 16 && put(&b, -4) == 16 && put(&b, -1000) == -6);
    CHECK(!strcmp(trace, "[full: drop 0 for 300][clip 300 to 255][full: drop 10 for -4][clip -4 to 0][full: drop 20 for -1000][bad]"));
    CHECK(b.failed == -5 && b.size == 15);
    for (int i = 3; i < 16; i++) CHECK(get(&b) == i * 10);
    CHECK(get(&b) == 255 && get(&b) == 0 && get(&b) == -1 && b.failed == -7 && b.head == 0);
    trace[0] = 0;
    int v[] = {5, 6, 7, -1, 10}, error = -1;
    CHECK(sum_until_error(v, 3, &error) == 18 && error == -1 && trace[0] == 0);
    CHECK(sum_until_error(v, 5, &error) == 18 + 1 - 10 && error == 3 && !strcmp(trace, "[stop at 3 with 9]"));
    for (int i = 0; i < 100; i += 9) CHECK(must(i) == 2 * i);
    note(num_errors);
    return finish();
}
