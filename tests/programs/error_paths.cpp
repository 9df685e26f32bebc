// { dg-options "-std=c++20" }
// Errors carried as values and as exception_ptr: expected-like types, nested exceptions, retries, translation at borders.
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

#include "check.h"

template <typename T> class Result {
    std::variant<T, std::string> value;

public:
    Result(T t) : value(std::in_place_index<0>, std::move(t)) {}
    static Result failure(std::string s) {
        Result r{T{}};
        r.value.template emplace<1>(std::move(s));
        return r;
    }
    explicit operator bool() const { return value.index() == 0; }
    const T &get() const { return std::get<0>(value); }
    const std::string &error() const { return std::get<1>(value); }
    template <typename F> auto then(F f) const -> decltype(f(get())) {
        if (*this) return f(get());
        return decltype(f(get()))::failure(error());
    }
};
static NOINLINE Result<int> parse(const std::string &s) {
    int x = 0;
    for (char c : s) {
        if (c < '0' || c > '9') return Result<int>::failure("bad digit " + std::string(1, c));
        x = x * 10 + c - '0';
    }
    if (s.empty()) return Result<int>::failure("empty");
    return x;
}
static NOINLINE Result<double> invert(int x) {
    if (!x) return Result<double>::failure("zero");
    return 1.0 / x;
}

struct Fault : std::runtime_error {
    int code;
    Fault(int code, const char *what) : std::runtime_error(what), code(code) {}
};
static NOINLINE void low(int n) {
    if (n % 4 == 1) throw Fault(n, "low fault");
    if (n % 4 == 2) throw std::out_of_range("low range");
    if (n % 4 == 3) throw n;
}
static NOINLINE void middle(int n) {
    try {
        low(n);
    } catch (const std::exception &) {
        std::throw_with_nested(std::logic_error("middle " + std::to_string(n)));
    }
}
static NOINLINE std::string unfold(const std::exception &e) {
    std::string all = e.what();
    try {
        std::rethrow_if_nested(e);
    } catch (const Fault &f) {
        all += " < " + std::string(f.what()) + std::to_string(f.code);
    } catch (const std::exception &inner) {
        all += " < " + unfold(inner);
    }
    return all;
}
static NOINLINE int guarded(const std::function<void()> &f) noexcept {
    try {
        f();
        return 0;
    } catch (const std::system_error &e) {
        return e.code().value();
    } catch (const std::logic_error &) {
        return -1;
    } catch (const std::exception &) {
        return -2;
    } catch (...) {
        return -3;
    }
}

int main() {
    CHECK(parse("8").then(invert).get() == 0.125 && parse("0").then(invert).error() == "zero" && parse("1x").then(invert).error() == "bad digit x" && !parse(""));
    static const char *const told[] = {"", "middle 1 < low fault1", "middle 2 < low range", "int 3"};
    std::vector<std::exception_ptr> kept;
    for (int n = 0; n < 12; n++) {
        std::string said;
        try {
            middle(n);
        } catch (const std::exception &e) {
            said = unfold(e);
            kept.push_back(std::current_exception());
        } catch (int x) {
            said = "int " + std::to_string(x);
        }
        std::string expected = told[n % 4];
        for (auto &c : expected) if (c >= '1' && c <= '3') c = '#';
        for (std::size_t at; (at = expected.find('#')) != std::string::npos;) expected.replace(at, 1, std::to_string(n));
        CHECK(said == expected);
        note(said.size());
    }
    int logic = 0;
    for (const auto &p : kept) {
        try {
            std::rethrow_exception(p);
        } catch (const std::logic_error &e) {
            logic += std::string(e.what()).starts_with("middle");
        }
    }
    CHECK(logic == 6 && kept.size() == 6);
    CHECK(guarded([] {}) == 0 && guarded([] { throw std::system_error(std::make_error_code(std::errc::timed_out)); }) == static_cast<int>(std::errc::timed_out));
    CHECK(guarded([] { middle(1); }) == -1 && guarded([] { low(5); }) == -2 && guarded([] { low(7); }) == -3);
    int attempts = 0;
    for (bool ok = false; !ok && attempts < 10;) {
        try {
            attempts++;
            if (attempts < 4) throw Fault(attempts, "again");
            ok = true;
        } catch (const Fault &f) {
            CHECK(f.code == attempts);
            continue;
        }
    }
    CHECK(attempts == 4 && std::uncaught_exceptions() == 0);
    return finish();
}
