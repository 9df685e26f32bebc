// { dg-options "-std=c++20" }
// C++20 coroutines: generators, nested ones, early destruction, values and exceptions through the frame.
#include <coroutine>
#include <exception>
#include <utility>

#include "check.h"

static int frames;
template <typename T> class Generator {
public:
    struct promise_type {
        T value{};
        std::exception_ptr failure;
        promise_type() { frames++; }
        ~promise_type() { frames--; }
        Generator get_return_object() { return Generator(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T v) noexcept { return value = v, std::suspend_always(); }
        void return_void() noexcept {}
        void unhandled_exception() { failure = std::current_exception(); }
    };
    Generator(Generator &&other) noexcept : handle(std::exchange(other.handle, {})) {}
    ~Generator() { if (handle) handle.destroy(); }
    bool next() {
        handle.resume();
        if (handle.promise().failure) std::rethrow_exception(std::exchange(handle.promise().failure, nullptr));
        return !handle.done();
    }
    T value() const { return handle.promise().value; }

private:
    explicit Generator(std::coroutine_handle<promise_type> h) : handle(h) {}
    std::coroutine_handle<promise_type> handle;
};

static int cleaned;
struct Cleaner { ~Cleaner() { cleaned++; } };

static NOINLINE Generator<uint64_t> fibonacci(int count) {
    Cleaner cleaner;
    uint64_t a = 0, b = 1;
    for (int i = 0; i < count; i++) {
        co_yield a;
        b = std::exchange(a, b) + b;
    }
}

static NOINLINE Generator<int> range(int from, int to) {
    for (; from < to; from++) {
        if (from == 13) throw from;
        co_yield from;
    }
}

static NOINLINE Generator<int> pairs(int n) {
    for (auto outer = range(0, n); outer.next();) {
        for (auto inner = range(0, outer.value()); inner.next();) co_yield outer.value() * 100 + inner.value();
    }
}

int main() {
    uint64_t a = 0, b = 1;
    int steps = 0;
    for (auto g = fibonacci(60); g.next(); steps++) {
        CHECK(g.value() == a);
        b = std::exchange(a, b) + b;
    }
    CHECK(steps == 60 && cleaned == 1 && frames == 0);
    {
        auto g = fibonacci(1000);
        for (int i = 0; i < 5; i++) CHECK(g.next());
        CHECK(g.value() == 3 && frames == 1 && cleaned == 1);
        auto moved = std::move(g);
        CHECK(moved.next() && moved.value() == 5);
    }
    CHECK(frames == 0 && cleaned == 2);
    int at = 0, count = 0;
    for (auto g = pairs(9); g.next(); count++) {
        int outer = g.value() / 100, inner = g.value() % 100;
        CHECK(inner < outer && outer * (outer - 1) / 2 + inner == at++);
        note(static_cast<uint64_t>(g.value()));
    }
    CHECK(count == 36 && frames == 0);
    int caught = 0, seen = 0;
    try {
        for (auto g = range(10, 20); g.next(); seen++) continue;
    } catch (int x) {
        caught = x;
    }
    CHECK(caught == 13 && seen == 3 && frames == 0);
    return finish();
}
