/* C11 _Generic, compound literals, designated initialisers, static asserts, statement expressions, macro tables. */
#include <string.h>

#include "check.h"

#define KIND(x) _Generic((x), char: 1, signed char: 2, unsigned char: 3, short: 4, int: 5, unsigned: 6, long: 7, float: 8, double: 9, char *: 10, const char *: 11, default: 99)
#define MAX(a, b) (__extension__({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; }))
#define COLORS(X) X(RED, 0xFF0000) X(GREEN, 0x00FF00) X(BLUE, 0x0000FF) X(GREY, 0x808080)
#define AS_ENUM(name, value) name,
#define AS_NAME(name, value) [name] = #name,
#define AS_VALUE(name, value) [name] = value,
#define AS_CASE(name, value) case value: return name;
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

enum color { COLORS(AS_ENUM) NUM_COLORS };
static const char *const names[] = {COLORS(AS_NAME)};
static const unsigned values[NUM_COLORS] = {COLORS(AS_VALUE)};
static NOINLINE int from_value(unsigned v) {
    switch (v) {
        COLORS(AS_CASE)
    }
    return -1;
}

struct point { int x, y; };
struct shape { const char *name; struct point corners[4]; union { double radius; int64_t sides; }; unsigned flags : 4; };
static NOINLINE int area2(const struct point *p, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += p[i].x * p[(i + 1) % n].y - p[(i + 1) % n].x * p[i].y;
    return sum;
}
static NOINLINE struct point add(struct point a, struct point b) { return (struct point){.y = a.y + b.y, .x = a.x + b.x}; }
static const struct shape square = {.name = "square", .corners = {[2] = {5, 5}, [1].x = 5, [3] = {.y = 5}}, .sides = 4, .flags = 9};
static int sparse[100] = {[10 ... 19] = 7, [99] = 1, [50] = 2, 3};
static char padded[8] = "abc", full[3] = {'a', 'b', 'c'};

static int evaluated;
static NOINLINE int next(void) { return ++evaluated; }

int main(void) {
    char c = 1;
    short s = 2;
    const char *text = "text";
    CHECK(KIND(c) == 1 && KIND(+c) == 5 && KIND((unsigned char)c) == 3 && KIND(s) == 4 && KIND(s + 1L) == 7 && KIND(1u) == 6);
    CHECK(KIND(1.0f) == 8 && KIND(1.0f + 1.0) == 9 && KIND(text) == 11 && KIND(&s) == 99);
    CHECK(MAX(next(), next()) == 2 && MAX(MAX(next(), 1), -4) == 3 && evaluated == 3);
    for (int i = 0; i < NUM_COLORS; i++) CHECK(from_value(values[i]) == i && strlen(names[i]) > 2);
    CHECK(from_value(1) == -1 && !strcmp(names[BLUE], "BLUE"));
    CHECK(area2(square.corners, 4) == 50 && square.sides == 4 && square.flags == 9 && square.corners[0].x == 0);
    CHECK(area2((struct point[]){{0, 0}, {4, 0}, {0, 3}}, 3) == 12);
    struct point p = add((struct point){1, 2}, *&(struct point){.x = 10});
    CHECK(p.x == 11 && p.y == 2);
    int sum = 0;
    for (int i = 0; i < 100; i++) sum += sparse[i] * (i + 1);
    CHECK(sum == 7 * (11 + 20) * 5 + 2 * 51 + 3 * 52 + 100);
    CHECK(padded[3] == 0 && padded[7] == 0 && sizeof full == 3 && full[OPAQUE(2)] == 'c' && CONCAT(evalu, ated) == 3);
    for (int i = 0; i < 5; i++) {
        struct shape *local = &(struct shape){.flags = (unsigned)i};
        CHECK(local->flags == (unsigned)i && local->name == NULL);
        local->radius = i / 2.0;
        CHECK(local->radius * 2 == i);
    }
    int x = 5, *q = &x;
    int order = (x++, *q = x * 2, x - 1);
    CHECK(order == 11 && sizeof(x++) == 4 && x == 12);
    note((uint64_t)sum);
    return finish();
}
