/* Ring buffers with free-running unsigned indices that wrap, watermark callbacks, and a parser fed byte by byte. */
#include <string.h>

#include "check.h"

struct ring { uint8_t head, tail; unsigned char data[32]; void (*on_full)(struct ring *); int drops; };
static uint8_t fill(const struct ring *r) { return (uint8_t)(r->head - r->tail); }
static NOINLINE int push(struct ring *r, unsigned char c) {
    if (fill(r) == sizeof r->data) {
        if (r->on_full) r->on_full(r);
        if (fill(r) == sizeof r->data) return r->drops++, 0;
    }
    r->data[r->head++ % sizeof r->data] = c;
    return 1;
}
static NOINLINE int pop(struct ring *r) { return r->head == r->tail ? -1 : r->data[r->tail++ % sizeof r->data]; }
static NOINLINE unsigned push_many(struct ring *r, const unsigned char *p, unsigned n) {
    unsigned room = (unsigned)sizeof r->data - fill(r), at = r->head % sizeof r->data, first;
    if (n > room) n = room;
    first = (unsigned)sizeof r->data - at < n ? (unsigned)sizeof r->data - at : n;
    memcpy(r->data + at, p, first);
    memcpy(r->data, p + first, n - first);
    r->head = (uint8_t)(r->head + n);
    return n;
}
static void drop_oldest(struct ring *r) { r->tail++; }

/* Frames: 0x7E, length, payload, checksum; 0x7D escapes. A state machine with a table of handlers. */
struct parser { int (*state)(struct parser *, unsigned char); unsigned char payload[64], length, count, sum; int frames, errors, escaped; };
static int idle(struct parser *, unsigned char);
static int body(struct parser *p, unsigned char c) {
    if (p->count == p->length) {
        p->state = idle;
        if (c == (unsigned char)~p->sum) return p->frames++, 1;
        return p->errors++, 0;
    }
    p->payload[p->count++] = c;
    p->sum = (unsigned char)(p->sum + c);
    return 0;
}
static int length(struct parser *p, unsigned char c) {
    p->length = c;
    p->count = p->sum = 0;
    p->state = c > 64 ? idle : body;
    p->errors += c > 64;
    return 0;
}
static int idle(struct parser *p, unsigned char c) { return (void)p, (void)c, 0; }
static NOINLINE int feed(struct parser *p, unsigned char c) {
    if (c == 0x7E) return p->state = length, p->escaped = 0, 0;
    if (c == 0x7D) return p->escaped = 1, 0;
    if (p->escaped) c ^= 0x20, p->escaped = 0;
    return p->state(p, c);
}
static int frame(unsigned char *out, const unsigned char *data, unsigned char n) {
    int size = 0;
    unsigned char sum = 0;
    out[size++] = 0x7E;
    for (int i = -1; i <= n; i++) {
        unsigned char c = i < 0 ? n : i == n ? (unsigned char)~sum : data[i];
        if (i >= 0 && i < n) sum = (unsigned char)(sum + c);
        if (c == 0x7E || c == 0x7D) out[size++] = 0x7D, c ^= 0x20;
        out[size++] = c;
    }
    return size;
}

int main(void) {
    struct ring r = {0, 0, {0}, NULL, 0};
    unsigned in = 0, out = 0;
    uint64_t state = 61;
    for (int i = 0; i < 3000; i++) {
        uint64_t x = next_random(&state) >> 40;
        if (x & 1) in += (unsigned)push(&r, (unsigned char)in);
        else if (x & 2) {
            int c = pop(&r);
            CHECK(c == (in == out ? -1 : (int)(unsigned char)out));
            out += in != out;
        } else {
            unsigned char many[16];
            unsigned n = x >> 4 & 15;
            for (unsigned k = 0; k < n; k++) many[k] = (unsigned char)(in + k);
            in += push_many(&r, many, n);
        }
        CHECK(fill(&r) == in - out && in - out <= 32);
    }
    r.on_full = drop_oldest;
    for (int i = 0; i < 100; i++) CHECK(push(&r, (unsigned char)i));
    for (int i = 68; i < 100; i++) CHECK(pop(&r) == i);
    struct parser p = {.state = idle};
    unsigned char data[64], wire[140];
    int good = 0, bad = 0;
    for (int i = 0; i < 200; i++) {
        unsigned char n = (unsigned char)(i % 60);
        for (int k = 0; k < n; k++) data[k] = (unsigned char)(next_random(&state) >> 56 | (k % 3 ? 0 : 0x7C));
        int size = frame(wire, data, n), ended = 0, broken = i % 7 == 3 && n;
        if (broken) wire[size - 1] ^= 1;
        if (broken && (wire[size - 1] == 0x7E || wire[size - 1] == 0x7D)) wire[size - 1] ^= 9;
        for (int k = 0; k < size; k++) ended += feed(&p, wire[k]);
        good += !broken, bad += broken;
        CHECK(ended == !broken && p.frames == good && p.errors == bad && (broken || !memcmp(p.payload, data, n)));
        note((uint64_t)size);
    }
    return finish();
}
