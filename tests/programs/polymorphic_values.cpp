// Type erasure by hand, small buffers, copy on write, reference counting, and observers that unsubscribe while notified.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check.h"

static int live;
class Drawable {
    struct Table { void (*destroy)(void *); void (*copy)(void *, const void *); int (*area)(const void *); };
    template <typename T> static constexpr Table table = {
        [](void *p) { static_cast<T *>(p)->~T(); },
        [](void *to, const void *from) { new (to) T(*static_cast<const T *>(from)); },
        [](const void *p) { return static_cast<const T *>(p)->area(); },
    };
    alignas(8) unsigned char storage[24];
    const Table *functions;

public:
    template <typename T> Drawable(T x) : functions(&table<T>) {
        static_assert(sizeof(T) <= sizeof storage);
        new (storage) T(std::move(x));
    }
    Drawable(const Drawable &o) : functions(o.functions) { functions->copy(storage, o.storage); }
    Drawable &operator=(const Drawable &o) {
        if (this != &o) functions->destroy(storage), functions = o.functions, functions->copy(storage, o.storage);
        return *this;
    }
    ~Drawable() { functions->destroy(storage); }
    int area() const { return functions->area(storage); }
};
struct Box { int w, h; int area() const { return w * h; } };
struct Disk { double r; Disk(double r) : r(r) { live++; } Disk(const Disk &o) : r(o.r) { live++; } ~Disk() { live--; } int area() const { return static_cast<int>(3 * r * r); } };

class Text {
    struct Shared { int count; std::string s; };
    Shared *p;
    void release() { if (--p->count == 0) delete p; }

public:
    Text(std::string s) : p(new Shared{1, std::move(s)}) {}
    Text(const Text &o) : p(o.p) { p->count++; }
    Text &operator=(Text o) { return std::swap(p, o.p), *this; }
    ~Text() { release(); }
    const std::string &get() const { return p->s; }
    void append(char c) {
        if (p->count > 1) {
            Shared *own = new Shared{1, p->s};
            release();
            p = own;
        }
        p->s += c;
    }
    int sharers() const { return p->count; }
};

class Subject {
    std::map<int, void (*)(Subject &, int)> observers;
    int next = 0;

public:
    int sum = 0;
    int subscribe(void (*f)(Subject &, int)) { return observers[next] = f, next++; }
    void unsubscribe(int id) { observers.erase(id); }
    std::size_t count() const { return observers.size(); }
    NOINLINE void notify() {
        for (auto it = observers.begin(); it != observers.end();) {
            auto [id, f] = *it++;
            f(*this, id);
        }
    }
};

int main() {
    {
        std::vector<Drawable> all;
        for (int i = 0; i < 20; i++) i % 2 ? all.push_back(Box{i, 2}) : all.push_back(Disk(i));
        int expected = 0, total = 0;
        for (int i = 0; i < 20; i++) expected += i % 2 ? 2 * i : 3 * i * i;
        for (const auto &d : all) total += d.area();
        CHECK(total == expected && live == 10);
        std::vector<Drawable> copy = all;
        std::reverse(copy.begin(), copy.end());
        all[1] = copy[19], all[0] = all[0];
        CHECK(live == 21 && all[1].area() == 0 && copy[0].area() == 38);
    }
    CHECK(live == 0);
    Text a(std::string("shared text that is long enough")), b = a;
    CHECK(a.sharers() == 2 && &a.get() == &b.get());
    b.append('!');
    CHECK(a.sharers() == 1 && b.get() == a.get() + "!" && b.sharers() == 1);
    a = b;
    a = *&a;
    CHECK(a.sharers() == 2);
    {
        std::vector<Text> many(5, a);
        CHECK(a.sharers() == 7);
        many[2].append('?');
        CHECK(a.sharers() == 6 && many[2].get().back() == '?');
    }
    CHECK(a.sharers() == 2);
    Subject s;
    for (int i = 0; i < 6; i++) s.subscribe(i % 2 ? +[](Subject &t, int id) { t.sum += id; t.unsubscribe(id); } : +[](Subject &t, int id) { t.sum += 100 + id; });
    s.notify();
    CHECK(s.sum == 300 + 15 && s.count() == 3);
    s.notify();
    CHECK(s.sum == 600 + 21);
    note(static_cast<uint64_t>(s.sum));
    return finish();
}
