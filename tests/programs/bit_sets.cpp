// bitset, vector<bool>, own dynamic bit sets: sieves, set algebra, reachability by matrix of bits.
#include <bitset>
#include <utility>
#include <vector>

#include "check.h"

class Bits {
    std::vector<uint64_t> words;

public:
    explicit Bits(std::size_t n) : words((n + 63) / 64) {}
    class Reference {
        uint64_t &word;
        uint64_t mask;

    public:
        Reference(uint64_t &word, uint64_t mask) : word(word), mask(mask) {}
        Reference &operator=(bool b) { return word = b ? word | mask : word & ~mask, *this; }
        Reference &operator=(const Reference &o) { return *this = static_cast<bool>(o); }
        operator bool() const { return word & mask; }
        void flip() { word ^= mask; }
    };
    Reference operator[](std::size_t i) { return {words[i / 64], uint64_t{1} << i % 64}; }
    bool operator[](std::size_t i) const { return words[i / 64] >> i % 64 & 1; }
    Bits &operator|=(const Bits &o) {
        for (std::size_t i = 0; i < words.size(); i++) words[i] |= o.words[i];
        return *this;
    }
    Bits &operator&=(const Bits &o) {
        for (std::size_t i = 0; i < words.size(); i++) words[i] &= o.words[i];
        return *this;
    }
    std::size_t count() const {
        std::size_t n = 0;
        for (uint64_t w : words) n += static_cast<std::size_t>(__builtin_popcountll(w));
        return n;
    }
    template <typename F> void each(F f) const {
        for (std::size_t i = 0; i < words.size(); i++)
            for (uint64_t w = words[i]; w; w &= w - 1) f(i * 64 + static_cast<std::size_t>(__builtin_ctzll(w)));
    }
    friend bool operator==(const Bits &a, const Bits &b) { return a.words == b.words; }
};

template <typename Set> static NOINLINE std::size_t sieve(Set &composite, std::size_t n) {
    std::size_t primes = 0;
    for (std::size_t i = 2; i < n; i++) {
        if (composite[i]) continue;
        primes++;
        for (std::size_t j = i * i; j < n; j += i) composite[j] = true;
    }
    return primes;
}

int main() {
    constexpr std::size_t n = 3000;
    static std::bitset<n> a;
    std::vector<bool> b(n);
    Bits c(n);
    CHECK(sieve(a, n) == 430 && sieve(b, n) == 430 && sieve(c, n) == 430);
    std::size_t sum = 0, expected = 0;
    c.each([&](std::size_t i) { sum += i; });
    for (std::size_t i = 0; i < n; i++) {
        CHECK(a[i] == b[i] && b[i] == std::as_const(c)[i]);
        expected += a[i] ? i : 0;
    }
    CHECK(sum == expected && a.count() == c.count());
    constexpr std::size_t size = 70;
    std::vector<Bits> reach(size, Bits(size));
    bool slow[size][size] = {};
    uint64_t state = 29;
    for (std::size_t i = 0; i < 90; i++) {
        std::size_t x = next_random(&state) % size, y = next_random(&state) % size;
        reach[x][y] = slow[x][y] = true;
    }
    for (std::size_t k = 0; k < size; k++)
        for (std::size_t i = 0; i < size; i++) {
            if (reach[i][k]) reach[i] |= reach[k];
            for (std::size_t j = 0; j < size; j++) slow[i][j] = slow[i][j] || (slow[i][k] && slow[k][j]);
        }
    for (std::size_t i = 0; i < size; i++) {
        bool same = true;
        for (std::size_t j = 0; j < size; j++) same &= std::as_const(reach)[i][j] == slow[i][j];
        CHECK(same);
        note(reach[i].count());
    }
    std::bitset<100> x(0xF0F0), y;
    y.set(4, true).set(99).flip(5);
    CHECK((x & y).count() == 2 && (x | y).count() == 9 && (x ^ y).to_string().size() == 100 && (~x).count() == 92 && (x << 90).count() == 4 && (x >> 4).to_ulong() == 0xF0F);
    Bits left(130), both(130);
    left[129] = true, left[64] = true, both[129] = left[64];
    left[64].flip();
    both &= left;
    CHECK(both == left && both.count() == 1 && both[129]);
    return finish();
}
