// constexpr programs run by the compiler, and again at run time on values it does not know: both must agree.
#include <array>
#include <cstdint>
#include <string_view>

#include "check.h"

constexpr std::uint32_t crc(std::string_view s) {
    std::uint32_t c = ~0u;
    for (unsigned char ch : s) {
        c ^= ch;
        for (int i = 0; i < 8; i++) c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
    }
    return ~c;
}
constexpr long collatz(long n) {
    long steps = 0;
    for (; n != 1; n = n % 2 ? 3 * n + 1 : n / 2) steps++;
    return steps;
}
constexpr int queens(int n, unsigned columns = 0, unsigned left = 0, unsigned right = 0, int row = 0) {
    if (row == n) return 1;
    int count = 0;
    for (int c = 0; c < n; c++) {
        unsigned bit = 1u << c;
        if (!((columns | left | right) & bit)) count += queens(n, columns | bit, (left | bit) << 1, (right | bit) >> 1, row + 1);
    }
    return count;
}
template <std::size_t N> constexpr auto sorted(std::array<int, N> v) {
    for (std::size_t i = 1; i < N; i++)
        for (std::size_t j = i; j && v[j - 1] > v[j]; j--) {
            int t = v[j];
            v[j] = v[j - 1];
            v[j - 1] = t;
        }
    return v;
}
constexpr double root(double x) {
    double r = x > 1 ? x : 1;
    for (int i = 0; i < 60; i++) r = (r + x / r) / 2;
    return r;
}
struct Big {
    std::uint32_t v[8]{};
    constexpr Big(std::uint32_t x) { v[0] = x; }
    constexpr Big &operator*=(std::uint32_t x) {
        std::uint64_t carry = 0;
        for (auto &limb : v) {
            carry += std::uint64_t{limb} * x;
            limb = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        return *this;
    }
    constexpr std::uint32_t modulo(std::uint32_t m) const {
        std::uint64_t rest = 0;
        for (int i = 8; i--;) rest = (rest << 32 | v[i]) % m;
        return static_cast<std::uint32_t>(rest);
    }
};
constexpr std::uint32_t factorial_modulo(std::uint32_t n, std::uint32_t m) {
    Big b(1);
    for (std::uint32_t i = 2; i <= n; i++) b *= i;
    return b.modulo(m);
}
constexpr bool matches(std::string_view p, std::string_view s) {
    if (p.empty()) return s.empty();
    if (p[0] == '*') return matches(p.substr(1), s) || (!s.empty() && matches(p, s.substr(1)));
    return !s.empty() && (p[0] == '?' || p[0] == s[0]) && matches(p.substr(1), s.substr(1));
}

constexpr std::uint32_t known_crc = crc("123456789");
static_assert(known_crc == 0xCBF43926 && collatz(27) == 111 && queens(6) == 4 && matches("a*?c", "abbc") && !matches("a?", "a"));
constexpr auto known_order = sorted(std::array{5, -1, 3, 3, 0, 9, -7});
constexpr double known_root = root(2);
constexpr std::uint32_t known_factorial = factorial_modulo(50, 1000003);
constexpr std::int32_t known_shift = -17 >> 2, known_remainder = -17 % 5;
constexpr float known_float = 0.1f * 3.0f - 0.3f;

static NOINLINE std::string_view hidden(std::string_view s) { return {OPAQUE(s.data()), OPAQUE(s.size())}; }

int main() {
    CHECK(crc(hidden("123456789")) == known_crc && collatz(OPAQUE(27L)) == 111 && queens(OPAQUE(6)) == 4);
    std::array<int, 7> v{5, -1, 3, 3, 0, 9, -7};
    v[0] = OPAQUE(v[0]);
    CHECK(sorted(v) == known_order && known_order[0] == -7 && known_order[6] == 9);
    volatile double two = 2;
    volatile float tenth = 0.1f, three = 3.0f;
    CHECK(root(two) == known_root && tenth * three - 0.3f == known_float);
    CHECK(factorial_modulo(OPAQUE(50u), 1000003) == known_factorial);
    std::uint64_t product = 1;
    for (unsigned i = 2; i <= 50; i++) product = product * i % 1000003;
    CHECK(product == known_factorial);
    CHECK(OPAQUE(-17) >> 2 == known_shift && OPAQUE(-17) % 5 == known_remainder);
    CHECK(matches(hidden("a*?c"), hidden("abbc")) && !matches(hidden("a?"), "a") && matches("*", hidden("")));
    for (int n = 1; n < 8; n++) {
        static constexpr int known[] = {1, 1, 0, 0, 2, 10, 4, 40};
        CHECK(queens(n) == known[n]);
        note(static_cast<std::uint64_t>(collatz(n * 97)));
    }
    return finish();
}
