/* Alignment, packing, offsets: where members are, and that code agrees with it for values on odd addresses. */
#include <stddef.h>
#include <string.h>

#include "check.h"

struct __attribute__((packed)) packet { uint8_t kind; uint32_t length; uint16_t port; double value; uint8_t tail[3]; };
struct __attribute__((packed, aligned(4))) header { char c; int i; };
struct natural { char a; short b; char c; int d; char e; double f; char g; long double h; };
struct __attribute__((aligned(64))) line { int words[5]; };
static struct line lines[3];
static _Alignas(32) char buffer[100];

static NOINLINE uint32_t read_packet(const struct packet *p) { return p->length + p->port + p->kind + (uint32_t)p->value; }
static NOINLINE void write_packet(struct packet *p, uint32_t x) {
    p->length = x;
    p->port ^= (uint16_t)x;
    p->value += x;
    p->tail[2] = (uint8_t)x;
}

static NOINLINE uint32_t unaligned_sum(const unsigned char *p, int n) {
    uint32_t sum = 0;
    for (int i = 0; i + 4 <= n; i += 3) {
        uint32_t word;
        memcpy(&word, p + i, 4);
        sum += word;
    }
    return sum;
}

#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
struct item { int weight; struct link { struct link *next; } link; };
static NOINLINE int total(struct link *l) {
    int sum = 0;
    for (; l; l = l->next) sum += container_of(l, struct item, link)->weight;
    return sum;
}

int main(void) {
    CHECK(sizeof(struct packet) == 18 && offsetof(struct packet, length) == 1 && offsetof(struct packet, value) == 7);
    CHECK(sizeof(struct header) == 8 && _Alignof(struct header) == 4 && offsetof(struct header, i) == 1);
    CHECK(offsetof(struct natural, d) == 8 && offsetof(struct natural, f) == 16 && offsetof(struct natural, h) % _Alignof(long double) == 0);
    CHECK(sizeof(struct line) == 64 && (uintptr_t)&lines[1] % 64 == 0 && (uintptr_t)buffer % 32 == 0);
    for (int at = 0; at < 20; at++) {
        struct packet *p = (struct packet *)(buffer + at);
        memset(buffer, 0x5A, sizeof buffer);
        *p = (struct packet){3, 1000000, 80, 2.5, {1, 2, 3}};
        write_packet(p, 70000);
        CHECK(read_packet(p) == 70000 + (80 ^ 70000 % 65536) + 3 + 70002 && p->tail[2] == (uint8_t)70000);
        unsigned char expected[4] = {0x70, 0x11, 0x01, 0x00};
        CHECK(!memcmp(buffer + at + 1, expected, 4) && (at == 0 || buffer[at - 1] == 0x5A) && buffer[at + 18] == 0x5A);
        uint32_t sum = 0;
        const unsigned char *bytes = (unsigned char *)buffer + at;
        for (int i = 0; i + 4 <= 40; i += 3) sum += bytes[i] + 256u * bytes[i + 1] + 65536u * bytes[i + 2] + 16777216u * bytes[i + 3];
        CHECK(unaligned_sum(bytes, 40) == sum);
        note(sum);
    }
    struct item items[10];
    for (int i = 0; i < 10; i++) items[i] = (struct item){i * i, {i ? &items[i - 1].link : NULL}};
    CHECK(total(&items[9].link) == 285 && container_of(&items[4].link, struct item, link) == &items[4]);
    int on_stack[4] __attribute__((aligned(128)));
    for (int i = 0; i < 4; i++) on_stack[i] = OPAQUE(i);
    CHECK((uintptr_t)OPAQUE(&on_stack[0]) % 128 == 0 && on_stack[3] == 3);
    return finish();
}
