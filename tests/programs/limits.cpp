// The edges of arithmetic types by numeric_limits, <bit>, integer formatting by charconv, and checked conversions.
// { dg-options "-std=c++20" }
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "check.h"

template <typename To, typename From> static NOINLINE std::optional<To> checked(From x) {
    To y = static_cast<To>(x);
    if (static_cast<From>(y) != x || (y < To{}) != (x < From{})) return std::nullopt;
    return y;
}
template <typename T> static NOINLINE bool edges() {
    using L = std::numeric_limits<T>;
    using U = std::make_unsigned_t<T>;
    U top = OPAQUE(static_cast<U>(~U{}));
    bool right = static_cast<U>(L::max()) == (L::is_signed ? static_cast<U>(top >> 1) : top);
    right &= static_cast<U>(L::max()) + U{1} == static_cast<U>(L::min()) || sizeof(T) < sizeof(int) || !L::is_signed;
    char text[40];
    for (T x : {L::min(), L::max(), T{0}, static_cast<T>(L::max() / 3)}) {
        auto [end, problem] = std::to_chars(text, text + sizeof text, x);
        T back{};
        right &= problem == std::errc() && std::from_chars(text, end, back).ec == std::errc() && back == x;
        *end++ = '9';
        if (x == L::max()) right &= std::from_chars(text, end, back).ec == std::errc::result_out_of_range;
    }
    return right;
}
template <typename T> static NOINLINE bool bits(T x) {
    int count = 0, width = 0;
    constexpr int digits = std::numeric_limits<T>::digits;
    for (int i = 0; i < digits; i++)
        if (x >> i & 1) count++, width = i + 1;
    bool right = std::popcount(x) == count && static_cast<int>(std::bit_width(x)) == width && std::countl_zero(x) == digits - width;
    right &= std::has_single_bit(x) == (count == 1) && std::bit_floor(x) == (width ? static_cast<T>(T{1} << (width - 1)) : T{0});
    for (int n = -20; n < 20; n++) right &= std::rotl(std::rotr(x, n), n) == x && std::rotl(x, n) == std::rotr(x, -n);
    right &= std::countr_zero(x) + std::countl_one(static_cast<T>(~x)) >= digits - width;
    return right;
}

int main() {
    CHECK(edges<signed char>() && edges<unsigned char>() && edges<short>() && edges<unsigned short>() && edges<int>() && edges<unsigned>() && edges<long long>() && edges<unsigned long long>());
    uint64_t state = 71;
    for (int i = 0; i < 300; i++) {
        uint64_t x = next_random(&state) >> i % 64;
        CHECK(bits(x) && bits(static_cast<uint32_t>(x)) && bits(static_cast<uint16_t>(x)) && bits(static_cast<uint8_t>(x)));
        auto narrow = checked<int8_t>(static_cast<int64_t>(x) - 100);
        CHECK(narrow.has_value() == (x < 228) && (!narrow || *narrow == static_cast<int64_t>(x) - 100));
        CHECK(checked<uint32_t>(static_cast<int32_t>(x)).has_value() == (static_cast<int32_t>(x) >= 0));
        CHECK(checked<int64_t>(x).has_value() == (x >> 63 == 0));
        float f = std::bit_cast<float>(static_cast<uint32_t>(x));
        CHECK(std::bit_cast<uint32_t>(f) == static_cast<uint32_t>(x));
        note(x);
    }
    CHECK(bits(uint8_t{0}) && bits(uint64_t{0}) && std::bit_ceil(OPAQUE(65u)) == 128);
    using D = std::numeric_limits<double>;
    volatile double one = 1, big = D::max();
    CHECK(one + D::epsilon() > 1 && one + D::epsilon() / 2 == 1 && big * 2 == D::infinity() && -big * 2 == -D::infinity() && D::denorm_min() / 2 == 0 && D::min() / 2 > 0);
    return finish();
}
