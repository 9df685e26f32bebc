// { dg-options "-std=c++20" }
// Exact fractions with overloaded operators and streams of them: harmonic sums, continued fractions, Bernoulli numbers.
#include <compare>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"

class Rational {
public:
    constexpr Rational(__int128 n = 0, __int128 d = 1) : n(n), d(d) { reduce(); }
    constexpr Rational &operator+=(const Rational &o) { return *this = Rational(n * o.d + o.n * d, d * o.d); }
    constexpr Rational &operator-=(const Rational &o) { return *this += -o; }
    constexpr Rational &operator*=(const Rational &o) { return *this = Rational(n * o.n, d * o.d); }
    Rational &operator/=(const Rational &o) {
        if (o.n == 0) throw std::domain_error("division by zero");
        return *this = Rational(n * o.d, d * o.n);
    }
    constexpr Rational operator-() const { return Rational(-n, d); }
    friend constexpr Rational operator+(Rational a, const Rational &b) { return a += b; }
    friend constexpr Rational operator-(Rational a, const Rational &b) { return a -= b; }
    friend constexpr Rational operator*(Rational a, const Rational &b) { return a *= b; }
    friend Rational operator/(Rational a, const Rational &b) { return a /= b; }
    friend constexpr bool operator==(const Rational &a, const Rational &b) = default;
    friend constexpr std::strong_ordering operator<=>(const Rational &a, const Rational &b) { return a.n * b.d <=> b.n * a.d; }
    Rational &operator++() { return *this += 1; }
    Rational operator++(int) { Rational old = *this; ++*this; return old; }
    explicit operator bool() const { return n != 0; }
    explicit operator double() const { return static_cast<double>(n) / static_cast<double>(d); }
    long floor() const { return static_cast<long>(n / d - (n % d < 0)); }
    std::string text() const { return std::to_string(static_cast<long>(n)) + (d == 1 ? "" : "/" + std::to_string(static_cast<long>(d))); }

private:
    constexpr void reduce() {
        __int128 a = n < 0 ? -n : n, b = d < 0 ? -d : d;
        while (b) a %= b, std::swap(a, b);
        if (d < 0) a = -a;
        if (a) n /= a, d /= a;
    }
    __int128 n, d;
};

static_assert(Rational(6, -4) == Rational(-3, 2) && Rational(1, 3) < Rational(1, 2));

static NOINLINE std::vector<long> continued(Rational x) {
    std::vector<long> parts;
    for (;;) {
        parts.push_back(x.floor());
        x -= parts.back();
        if (!x) return parts;
        x = 1 / x;
    }
}
static NOINLINE Rational back(const std::vector<long> &parts) {
    Rational x = parts.back();
    for (auto i = parts.size() - 1; i--;) x = Rational(parts[i]) + 1 / x;
    return x;
}

int main() {
    Rational sum;
    for (int i = 1; i <= 20; i++) sum += Rational(1, i);
    CHECK(sum.text() == "55835135/15519504");
    std::vector<Rational> bernoulli;
    for (int m = 0; m <= 12; m++) {
        Rational b = m == 0;
        __int128 binomial = 1;
        for (int k = 0; k < m; k++) {
            b -= Rational(binomial) * bernoulli[static_cast<std::size_t>(k)] / Rational(m + 1 - k) ;
            binomial = binomial * (m - k) / (k + 1);
        }
        bernoulli.push_back(b);
    }
    CHECK(bernoulli[1].text() == "-1/2" && bernoulli[2].text() == "1/6" && bernoulli[3].text() == "0" && bernoulli[12].text() == "-691/2730");
    uint64_t state = 12;
    for (int i = 0; i < 300; i++) {
        long a = static_cast<long>(next_random(&state) >> 50) - 8000, b = static_cast<long>(next_random(&state) >> 52) + 1, c = static_cast<long>(next_random(&state) >> 52) + 1;
        Rational x(a, b), y(b, c);
        CHECK((x + y) - y == x && (x * y) / y == x && (x < y) == (a * c < b * b) && (x <=> y == 0) == (a * c == b * b));
        CHECK(back(continued(x)) == x && x.floor() == (a >= 0 ? a / b : -((b - 1 - a) / b)));
        CHECK(static_cast<double>(x) == static_cast<double>(a / std::gcd(a, b)) / static_cast<double>(b / std::gcd(a, b)));
        note(static_cast<uint64_t>(x.floor()));
    }
    Rational one = 1, before = one++;
    CHECK(before == 1 && one == 2 && ++one == 3);
    int caught = 0;
    try {
        one /= Rational(0, 5);
    } catch (const std::domain_error &e) {
        caught = std::string(e.what()) == "division by zero";
    }
    CHECK(caught && one == 3);
    return finish();
}
