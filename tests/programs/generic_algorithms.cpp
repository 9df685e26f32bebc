// Algorithms of the library over containers and iterators of our own, against loops.
#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <queue>
#include <vector>

#include "check.h"

class Range {
public:
    class iterator {
    public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using pointer = const int *;
        using reference = int;
        iterator() : at(0), step(1) {}
        iterator(int at, int step) : at(at), step(step) {}
        int operator*() const { return at; }
        iterator &operator++() { return at += step, *this; }
        iterator operator++(int) { iterator old = *this; return ++*this, old; }
        iterator &operator--() { return at -= step, *this; }
        iterator &operator+=(difference_type n) { return at += static_cast<int>(n) * step, *this; }
        friend iterator operator+(iterator i, difference_type n) { return i += n; }
        friend iterator operator-(iterator i, difference_type n) { return i += -n; }
        friend difference_type operator-(iterator a, iterator b) { return (a.at - b.at) / a.step; }
        friend bool operator==(iterator a, iterator b) { return a.at == b.at; }
        friend bool operator!=(iterator a, iterator b) { return a.at != b.at; }
        friend bool operator<(iterator a, iterator b) { return a.at < b.at; }

    private:
        int at, step;
    };
    Range(int from, int count, int step) : from(from), count(count), step(step) {}
    iterator begin() const { return {from, step}; }
    iterator end() const { return {from + count * step, step}; }

private:
    int from, count, step;
};

template <typename T> class Ring {
public:
    explicit Ring(std::size_t n) : items(n) {}
    void push(T x) { items[(start + size++) % items.size()] = std::move(x); }
    T pop() { T x = std::move(items[start]); return start = (start + 1) % items.size(), size--, x; }
    bool empty() const { return size == 0; }

private:
    std::vector<T> items;
    std::size_t start = 0, size = 0;
};

int main() {
    for (int count = 0; count < 40; count += 3) {
        Range r(5, count, 3);
        CHECK(std::distance(r.begin(), r.end()) == count && std::accumulate(r.begin(), r.end(), 0) == count * 5 + 3 * count * (count - 1) / 2);
        for (int x = 0; x < 130; x += 7) {
            auto at = std::lower_bound(r.begin(), r.end(), x);
            int expected = x <= 5 ? 0 : std::min(count, (x - 5 + 2) / 3);
            CHECK(at - r.begin() == expected && std::binary_search(r.begin(), r.end(), x) == (expected < count && 5 + 3 * expected == x));
        }
        std::vector<int> v(r.begin(), r.end()), w;
        std::copy_if(v.rbegin(), v.rend(), std::back_inserter(w), [](int i) { return i % 2; });
        CHECK(static_cast<int>(w.size()) == (count + 1) / 2 && std::is_sorted(w.begin(), w.end(), std::greater<>()));
        std::rotate(v.begin(), v.begin() + count / 3, v.end());
        CHECK(count == 0 || v.front() == 5 + 3 * (count / 3));
        auto half = std::partition(v.begin(), v.end(), [](int i) { return i % 2 == 0; });
        CHECK(std::all_of(v.begin(), half, [](int i) { return i % 2 == 0; }) && std::none_of(half, v.end(), [](int i) { return i % 2 == 0; }));
        std::nth_element(v.begin(), v.begin() + count / 2, v.end());
        CHECK(count == 0 || v[static_cast<std::size_t>(count / 2)] == 5 + 3 * (count / 2));
        note(static_cast<uint64_t>(v.size()));
    }
    std::vector<int> p{1, 2, 3, 4, 5};
    int permutations = 0, inversions = 0;
    do {
        permutations++;
        for (std::size_t i = 0; i < 5; i++)
            for (std::size_t j = 0; j < i; j++) inversions += p[j] > p[i];
    } while (std::next_permutation(p.begin(), p.end()));
    CHECK(permutations == 120 && inversions == 120 * 5 && std::is_sorted(p.begin(), p.end()));
    std::priority_queue<int, std::vector<int>, std::greater<>> heap;
    Ring<int> ring(8);
    uint64_t state = 33;
    long pushed = 0, popped = 0;
    int last = 0;
    for (int i = 0; i < 200; i++) heap.push(static_cast<int>(next_random(&state) >> 50));
    for (; !heap.empty(); heap.pop()) CHECK(heap.top() >= last), last = heap.top();
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k <= i % 8; k++) ring.push(i * k), pushed += i * k;
        while (!ring.empty()) popped += ring.pop();
    }
    CHECK(pushed == popped);
    std::vector<int> a{1, 3, 5, 7, 9}, b{3, 4, 5, 6}, both, any;
    std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(any));
    CHECK((both == std::vector<int>{3, 5}) && any.size() == 7 && std::inner_product(a.begin(), a.end(), a.begin(), 0) == 165);
    std::vector<int> sums(5);
    std::partial_sum(a.begin(), a.end(), sums.begin());
    CHECK(sums.back() == 25 && std::unique(sums.begin(), sums.end()) == sums.end() && *std::max_element(b.begin(), b.end()) == 6);
    return finish();
}
