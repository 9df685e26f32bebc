/* Unsigned and signed bit-fields, written and read in many ways, against a model that shifts and masks one word. */
#include "check.h"

struct fields {
    unsigned a : 3;
    unsigned b : 7;
    signed c : 5;
    unsigned d : 1;
    unsigned long long e : 33;
    signed f : 12;
    unsigned : 0;
    unsigned g : 31;
    _Bool h : 1;
};

static const int widths[] = {3, 7, 5, 1, 33, 12, 31, 1};
static const int is_signed[] = {0, 0, 1, 0, 0, 1, 0, 0};

static int64_t fit(uint64_t value, int field) {
    if (field == 7) return value != 0;
    uint64_t mask = ((uint64_t)1 << widths[field]) - 1;
    value &= mask;
    if (is_signed[field] && value >> (widths[field] - 1)) value |= ~mask;
    return (int64_t)value;
}

static NOINLINE void put(struct fields *s, int field, uint64_t value) {
    switch (field) {
    case 0: s->a = (unsigned)value; break;
    case 1: s->b = (unsigned)value; break;
    case 2: s->c = (int)value; break;
    case 3: s->d = (unsigned)value; break;
    case 4: s->e = value; break;
    case 5: s->f = (int)value; break;
    case 6: s->g = (unsigned)value; break;
    default: s->h = value != 0;
    }
}

static NOINLINE int64_t get(const struct fields *s, int field) {
    switch (field) {
    case 0: return s->a;
    case 1: return s->b;
    case 2: return s->c;
    case 3: return s->d;
    case 4: return (int64_t)s->e;
    case 5: return s->f;
    case 6: return s->g;
    default: return s->h;
    }
}

static NOINLINE void step(struct fields *s) {
    s->a++;
    s->b -= 3;
    s->c ^= 9;
    s->d = !s->d;
    s->e += (uint64_t)s->b << 20;
    s->f = s->f / 2 - s->a;
    s->g = s->g * 5u; /* 31 bits fit an int: without the u this may overflow */
    s->h = s->h ^ (s->a > 3);
}

int main(void) {
    struct fields s = {0};
    int64_t model[8] = {0};
    uint64_t state = 5;
    for (int i = 0; i < 3000; i++) {
        uint64_t value = next_random(&state);
        int field = (int)(value >> 60) & 7;
        put(&s, field, value);
        model[field] = fit(value, field);
        if (i % 3 == 0) {
            step(&s);
            model[0] = fit((uint64_t)model[0] + 1, 0);
            model[1] = fit((uint64_t)model[1] - 3, 1);
            model[2] = fit((uint64_t)(model[2] ^ 9), 2);
            model[3] = !model[3];
            model[4] = fit((uint64_t)model[4] + ((uint64_t)model[1] << 20), 4);
            model[5] = fit((uint64_t)(model[5] / 2 - model[0]), 5);
            model[6] = fit((uint64_t)model[6] * 5, 6);
            model[7] = model[7] ^ (model[0] > 3);
        }
        for (int f = 0; f < 8; f++) CHECK(get(&s, f) == model[f]);
        struct fields copy = s;
        CHECK(copy.c == s.c && copy.e == s.e && copy.f + 1 == s.f + 1);
        note((uint64_t)get(&s, i & 7));
    }
    CHECK(sizeof(struct fields) == 16);
    return finish();
}
