// Lambdas and std::function: captures by value and reference, mutable state, recursion, generic calls, stored closures.
#include <functional>
#include <memory>
#include <vector>

#include "check.h"

static NOINLINE int run(const std::function<int(int)> &f, int x) { return f ? f(x) : -1; }
template <typename F> static NOINLINE int twice(F &&f, int x) { return f(f(x)); }

static NOINLINE std::function<int()> counter(int start) {
    return [start]() mutable { return start++; };
}

static NOINLINE std::vector<std::function<int(int)>> adders(int n) {
    std::vector<std::function<int(int)>> result;
    for (int i = 0; i < n; i++) result.push_back([i, square = i * i](int x) { return x + i * 1000 + square; });
    return result;
}

static NOINLINE std::function<int(int)> compose(std::function<int(int)> f, std::function<int(int)> g) {
    return [f = std::move(f), g = std::move(g)](int x) { return f(g(x)); };
}

struct Account {
    int balance = 0;
    std::function<void(int)> depositor() {
        return [this](int x) { balance += x; };
    }
    int apply(int (Account::*method)(int) const, int x) const { return (this->*method)(x); }
    int plus(int x) const { return balance + x; }
    int minus(int x) const { return balance - x; }
};

static int plain(int x) { return x * 7; }

int main() {
    auto a = counter(5), b = a;
    CHECK(a() == 5 && a() == 6 && b() == 5);
    auto c = a;
    CHECK(c() == 7 && a() == 7);
    auto list = adders(10);
    for (int i = 0; i < 10; i++) CHECK(run(list[static_cast<std::size_t>(i)], 3) == 3 + i * 1000 + i * i);
    CHECK(run(plain, 6) == 42 && run(nullptr, 1) == -1 && run(compose(list[2], plain), 1) == 7 + 2004);
    int calls = 0;
    auto count = [&calls](int x) { return calls++, x * 2; };
    CHECK(twice(count, 5) == 20 && calls == 2 && twice([](int x) { return x - 1; }, 5) == 3);
    std::function<int(int)> fibonacci = [&](int n) { return calls++, n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); };
    calls = 0;
    CHECK(fibonacci(15) == 610 && calls == 1973);
    auto recursive = [](auto &&self, int n) -> long { return n ? n * self(self, n - 1) : 1; };
    CHECK(recursive(recursive, 12) == 479001600);
    Account account;
    auto deposit = account.depositor();
    for (int i = 1; i <= 10; i++) deposit(i);
    CHECK(account.balance == 55 && account.apply(OPAQUE(1) ? &Account::plus : &Account::minus, 5) == 60);
    int (Account::*methods[])(int) const = {&Account::plus, &Account::minus};
    int Account::*field = &Account::balance;
    account.*field += 45;
    for (int i = 0; i < 8; i++) CHECK((account.*methods[i % 2])(i) == (i % 2 ? 100 - i : 100 + i));
    auto shared = std::make_shared<int>(3);
    {
        std::vector<std::function<int()>> holders(5, [shared] { return *shared; });
        CHECK(shared.use_count() == 6);
        *shared = 8;
        for (auto &h : holders) CHECK(h() == 8);
    }
    CHECK(shared.use_count() == 1);
    auto unique = std::make_unique<int>(12);
    auto owner = [moved = std::move(unique)](int x) { return *moved + x; };
    CHECK(!unique && owner(3) == 15);
    note(static_cast<uint64_t>(calls));
    return finish();
}
