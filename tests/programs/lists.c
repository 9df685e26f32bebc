/* Linked lists by value, index and pointer: reversed, merged, sorted, cycled, with sentinels and with XOR links. */
#include <stddef.h>

#include "check.h"

struct node { struct node *next; int value; };
static struct node pool[256];
static NOINLINE struct node *build(int n, int factor) {
    struct node *head = NULL, **end = &head;
    for (int i = 0; i < n; i++) {
        pool[i].value = i * factor % 101;
        *end = &pool[i];
        end = &pool[i].next;
    }
    *end = NULL;
    return head;
}
static NOINLINE struct node *reverse(struct node *n) {
    struct node *back = NULL;
    while (n) {
        struct node *next = n->next;
        n->next = back;
        back = n;
        n = next;
    }
    return back;
}
static NOINLINE struct node *reverse_recursive(struct node *n) {
    if (!n || !n->next) return n;
    struct node *head = reverse_recursive(n->next);
    n->next->next = n;
    n->next = NULL;
    return head;
}
static NOINLINE struct node *merge(struct node *a, struct node *b) {
    struct node head, *end = &head;
    while (a && b) {
        struct node **less = a->value <= b->value ? &a : &b;
        end = end->next = *less;
        *less = (*less)->next;
    }
    end->next = a ? a : b;
    return head.next;
}
static NOINLINE struct node *sort(struct node *n) {
    if (!n || !n->next) return n;
    struct node *slow = n, *fast = n->next;
    while (fast && fast->next) slow = slow->next, fast = fast->next->next;
    struct node *half = slow->next;
    slow->next = NULL;
    return merge(sort(n), sort(half));
}
static NOINLINE void remove_all(struct node **at, int value) {
    while (*at) {
        if ((*at)->value == value) *at = (*at)->next;
        else at = &(*at)->next;
    }
}
static NOINLINE int cycle_length(const struct node *n) {
    const struct node *slow = n, *fast = n;
    do {
        if (!fast || !fast->next) return 0;
        slow = slow->next;
        fast = fast->next->next;
    } while (slow != fast);
    int length = 0;
    do slow = slow->next, length++;
    while (slow != fast);
    return length;
}
struct both { uintptr_t link; int value; };
static NOINLINE long walk_xor(const struct both *from) {
    const struct both *before = NULL;
    long sum = 0, weight = 1;
    while (from) {
        const struct both *next = (const struct both *)(from->link ^ (uintptr_t)before);
        sum += from->value * weight++;
        before = from;
        from = next;
    }
    return sum;
}
struct ring { struct ring *next, *previous; int id; };
static void unlink_ring(struct ring *r) { r->next->previous = r->previous, r->previous->next = r->next; }
static NOINLINE int josephus(int n, int step) {
    static struct ring rings[128];
    for (int i = 0; i < n; i++) rings[i] = (struct ring){&rings[(i + 1) % n], &rings[(i + n - 1) % n], i};
    struct ring *at = &rings[n - 1];
    while (at->next != at) {
        for (int i = 0; i < step; i++) at = at->next;
        unlink_ring(at);
        at = at->previous;
    }
    return at->id;
}

int main(void) {
    for (int n = 0; n < 200; n += 1 + n / 8) {
        struct node *l = reverse_recursive(reverse(build(n, 37)));
        int i = 0;
        for (struct node *p = l; p; p = p->next, i++) CHECK(p == &pool[i] && p->value == i * 37 % 101);
        CHECK(i == n);
        l = sort(l);
        int count = 0;
        for (struct node *p = l; p && p->next; p = p->next) CHECK(p->value < p->next->value || (p->value == p->next->value && p < p->next));
        remove_all(&l, 37);
        for (struct node *p = l; p; p = p->next) count++, i = p->value;
        int removed = 0;
        for (int k = 0; k < n; k++) removed += k * 37 % 101 == 37;
        CHECK(count == n - removed && (n < 3 || i != 37));
        if (n > 2) {
            build(n, 1);
            CHECK(cycle_length(pool) == 0);
            pool[n - 1].next = &pool[n / 3];
            CHECK(cycle_length(pool) == n - n / 3);
        }
        int survivor = 0;
        for (int k = 2; k <= n && n < 128; k++) survivor = (survivor + 3) % k;
        if (n && n < 128) CHECK(josephus(n, 3) == survivor);
        struct both x[20];
        long forward = 0, backward = 0;
        for (int k = 0; k < 20; k++) {
            x[k].link = (k ? (uintptr_t)&x[k - 1] : 0) ^ (k < 19 ? (uintptr_t)&x[k + 1] : 0);
            x[k].value = k * n;
            forward += (long)k * n * (k + 1), backward += (long)k * n * (20 - k);
        }
        CHECK(walk_xor(&x[0]) == forward && walk_xor(&x[19]) == backward);
        note((uint64_t)forward);
    }
    return finish();
}
