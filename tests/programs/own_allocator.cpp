// operator new and delete replaced, allocators of our own, placement, over-aligned types, failures in the middle.
#include <cstdlib>
#include <list>
#include <map>
#include <new>
#include <vector>

#include "check.h"

static long live_bytes, allocations, fail_after = -1;
void *operator new(std::size_t n) {
    if (fail_after >= 0 && fail_after-- == 0) throw std::bad_alloc();
    auto p = static_cast<std::size_t *>(std::malloc(n + 16));
    if (!p) throw std::bad_alloc();
    *p = n;
    live_bytes += static_cast<long>(n);
    allocations++;
    return reinterpret_cast<char *>(p) + 16;
}
void operator delete(void *p) noexcept {
    if (!p) return;
    auto start = reinterpret_cast<std::size_t *>(static_cast<char *>(p) - 16);
    live_bytes -= static_cast<long>(*start);
    std::free(start);
}
void operator delete(void *p, std::size_t) noexcept { operator delete(p); }
void *operator new[](std::size_t n) { return operator new(n); }
void operator delete[](void *p) noexcept { operator delete(p); }
void operator delete[](void *p, std::size_t) noexcept { operator delete(p); }

static char arena[1 << 16];
static std::size_t used;
template <typename T> struct Arena {
    using value_type = T;
    Arena() = default;
    template <typename U> Arena(const Arena<U> &) {}
    T *allocate(std::size_t n) {
        used = (used + alignof(T) - 1) / alignof(T) * alignof(T);
        T *p = reinterpret_cast<T *>(arena + used);
        used += n * sizeof(T);
        return p;
    }
    void deallocate(T *, std::size_t) {}
    friend bool operator==(const Arena &, const Arena &) { return true; }
};

struct Pooled {
    static void *operator new(std::size_t) { return count < 8 ? &slots[count++] : throw std::bad_alloc(); }
    static void operator delete(void *) { count--; }
    union Slot { char bytes[24]; double align; };
    static Slot slots[8];
    static int count;
    int value;
    explicit Pooled(int v) : value(v) { if (v < 0) throw v; }
};
Pooled::Slot Pooled::slots[8];
int Pooled::count;

static NOINLINE bool attempts(int budget) {
    fail_after = budget;
    try {
        std::vector<std::vector<int>> nested;
        for (int i = 0; i < 5; i++) nested.emplace_back(static_cast<std::size_t>(10 + i), i);
        std::map<int, int> map{{1, 2}, {3, 4}, {5, 6}};
        fail_after = -1;
        return nested[4].size() == 14 && map.at(3) == 4;
    } catch (const std::bad_alloc &) {
        fail_after = -1;
        return false;
    }
}

int main() {
    long before = live_bytes;
    int needed = 0;
    while (!attempts(needed)) {
        CHECK(live_bytes == before);
        needed++;
    }
    CHECK(live_bytes == before && needed >= 1);
    {
        int *volatile array = new int[100]();
        CHECK(live_bytes == before + 400 && array[99] == 0);
        delete[] array;
        CHECK(live_bytes == before);
        long count = allocations;
        std::vector<int, Arena<int>> v;
        std::list<double, Arena<double>> l;
        for (int i = 0; i < 500; i++) v.push_back(i), l.push_front(i);
        long sum = 0;
        for (int i : v) sum += i;
        for (double d : l) sum -= static_cast<long>(d);
        CHECK(sum == 0 && allocations == count && used > 500 * 20);
    }
    Pooled *pooled[8];
    for (int i = 0; i < 4; i++) pooled[i] = new Pooled(i);
    int thrown = 0;
    try {
        delete new Pooled(-5);
    } catch (int x) {
        thrown = x;
    }
    CHECK(thrown == -5 && Pooled::count == 4 && pooled[3]->value == 3);
    for (int i = 4; i--;) delete pooled[i];
    CHECK(Pooled::count == 0);
    alignas(32) unsigned char raw[64];
    auto big = new (raw) long[4]{1, 2, 3, 4};
    CHECK(big[3] == 4 && static_cast<void *>(big) == raw);
    // How many allocations there are is for the compiler to choose: it may leave some out.
    note(num_checks > 10);
    return finish();
}
