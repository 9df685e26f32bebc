// Templates: specialisation, variadic folding, recursion at compile time, CRTP, traits, against values found at run time.
#include <array>
#include <tuple>
#include <type_traits>
#include <utility>

#include "check.h"

template <unsigned N> struct Factorial { static constexpr uint64_t value = N * Factorial<N - 1>::value; };
template <> struct Factorial<0> { static constexpr uint64_t value = 1; };

template <typename T> constexpr const char *kind = "other";
template <typename T> constexpr const char *kind<T *> = "pointer";
template <typename T, std::size_t N> constexpr const char *kind<T[N]> = "array";
template <> constexpr const char *kind<int> = "int";

template <typename... Ts> NOINLINE auto sum(Ts... values) { return (values + ... + 0); }
template <typename... Ts> NOINLINE bool ascending(Ts... values) {
    auto list = std::array{static_cast<double>(values)...};
    bool up = true;
    for (std::size_t i = 1; i < list.size(); i++) up &= list[i - 1] <= list[i];
    return up;
}

template <typename Derived> struct Comparable {
    friend bool operator>(const Derived &a, const Derived &b) { return b < a; }
    friend bool operator<=(const Derived &a, const Derived &b) { return !(b < a); }
    int rank() const { return static_cast<const Derived *>(this)->weight() * 2; }
};
struct Fraction : Comparable<Fraction> {
    long n, d;
    Fraction(long n, long d) : n(n), d(d) {}
    friend bool operator<(const Fraction &a, const Fraction &b) { return a.n * b.d < b.n * a.d; }
    int weight() const { return static_cast<int>(n + d); }
};

template <typename T, int Rows, int Columns> struct Matrix {
    T v[Rows][Columns] = {};
    template <int Other> Matrix<T, Rows, Other> operator*(const Matrix<T, Columns, Other> &b) const {
        Matrix<T, Rows, Other> r;
        for (int i = 0; i < Rows; i++)
            for (int j = 0; j < Other; j++)
                for (int k = 0; k < Columns; k++) r.v[i][j] += v[i][k] * b.v[k][j];
        return r;
    }
};
template <typename M> NOINLINE M power(M m, unsigned n) {
    M result;
    for (int i = 0; i < 2; i++) result.v[i][i] = 1;
    for (; n; n /= 2, m = m * m)
        if (n & 1) result = result * m;
    return result;
}

template <typename Tuple, typename F, std::size_t... I> void each(const Tuple &t, F f, std::index_sequence<I...>) { (f(std::get<I>(t), I), ...); }

template <typename T> NOINLINE int classify(T x) {
    if constexpr (std::is_signed_v<T>) return x < 0 ? -1 : x > 0;
    else return x ? 2 : 0;
}

constexpr std::array<unsigned char, 256> make_table() {
    std::array<unsigned char, 256> table{};
    for (unsigned i = 0; i < 256; i++)
        for (unsigned bit = 0; bit < 8; bit++) table[i] = static_cast<unsigned char>(table[i] + (i >> bit & 1));
    return table;
}
static constexpr auto popcounts = make_table();
static_assert(popcounts[255] == 8);

int main() {
    uint64_t product = 1;
    for (unsigned i = 1; i <= 12; i++) product *= OPAQUE(i);
    CHECK(Factorial<12>::value == product && Factorial<0>::value == 1);
    CHECK(kind<int>[0] == 'i' && kind<char *>[0] == 'p' && kind<int[3]>[0] == 'a' && kind<float>[0] == 'o');
    CHECK(sum(1, 2, 3, 4, 5) == 15 && sum(OPAQUE(1L), 2, 3u) == 6 && sum() == 0);
    CHECK(ascending(1, 2.5, 3u) && !ascending(OPAQUE(2), 1L) && ascending(4));
    for (int i = 1; i < 20; i++) {
        Fraction a(i, 7), b(3, i);
        CHECK((a > b) == (i * i > 21) && (a <= b) == (i * i <= 21) && a.rank() == 2 * (i + 7));
    }
    Matrix<uint64_t, 2, 2> fibonacci;
    fibonacci.v[0][0] = fibonacci.v[0][1] = fibonacci.v[1][0] = 1;
    uint64_t one = 0, two = 1;
    for (unsigned n = 0; n < 90; n++) {
        CHECK(power(fibonacci, n).v[0][1] == one);
        two = std::exchange(one, two) + two;
        note(one);
    }
    Matrix<int, 1, 3> row{{{1, 2, 3}}};
    Matrix<int, 3, 1> column{{{4}, {5}, {6}}};
    CHECK((row * column).v[0][0] == 32 && (column * row).v[2][1] == 12);
    double total = 0;
    each(std::make_tuple(1, 2.5, 'a', 4L), [&](auto x, std::size_t i) { total += static_cast<double>(x) * static_cast<double>(i + 1); }, std::make_index_sequence<4>());
    CHECK(total == 1 + 5 + 3 * 97 + 16);
    CHECK(classify(OPAQUE(-5)) == -1 && classify(OPAQUE(5u)) == 2 && classify(OPAQUE((short)0)) == 0 && classify(7L) == 1);
    for (unsigned i = 0; i < 256; i++) CHECK(popcounts[OPAQUE(i)] == __builtin_popcount(i));
    return finish();
}
