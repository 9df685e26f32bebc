// std::vector, map, unordered_map, deque, set, string: random operations against a plain array that is searched in order.
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "check.h"

struct Pair { int key; int value; };

static NOINLINE void operate(std::map<int, int> &tree, std::unordered_map<int, int> &hash, std::vector<Pair> &model, uint64_t r) {
    int key = static_cast<int>(r % 61), value = static_cast<int>(r >> 40);
    auto at = std::find_if(model.begin(), model.end(), [key](const Pair &p) { return p.key == key; });
    if (r >> 8 & 3) {
        tree[key] = value;
        hash.insert_or_assign(key, value);
        if (at == model.end()) model.push_back({key, value});
        else at->value = value;
    } else {
        CHECK(tree.erase(key) == (at != model.end()));
        hash.erase(key);
        if (at != model.end()) {
            *at = model.back();
            model.pop_back();
        }
    }
}

static NOINLINE std::string joined(const std::vector<std::string> &words, char with) {
    std::string result;
    for (const auto &word : words) {
        if (!result.empty()) result += with;
        result += word;
    }
    return result;
}

static NOINLINE std::vector<std::string> split(const std::string &text, char at) {
    std::vector<std::string> words;
    std::size_t start = 0;
    for (std::size_t end; (end = text.find(at, start)) != std::string::npos; start = end + 1) words.push_back(text.substr(start, end - start));
    words.push_back(text.substr(start));
    return words;
}

int main() {
    std::map<int, int> tree;
    std::unordered_map<int, int> hash;
    std::vector<Pair> model;
    uint64_t state = 21;
    for (int i = 0; i < 600; i++) {
        operate(tree, hash, model, next_random(&state));
        if (i % 20) continue;
        CHECK(tree.size() == model.size() && hash.size() == model.size());
        std::sort(model.begin(), model.end(), [](const Pair &a, const Pair &b) { return a.key < b.key; });
        auto it = tree.begin();
        for (const Pair &p : model) {
            CHECK(it->first == p.key && it->second == p.value && hash.at(p.key) == p.value);
            ++it;
        }
        note(model.size());
    }
    std::deque<int> queue;
    std::multiset<int> sorted;
    int front = 0, back = 0;
    for (int i = 0; i < 300; i++) {
        uint64_t r = next_random(&state);
        if (r & 1 || queue.empty()) queue.push_back(back++);
        else CHECK(queue.front() == front++), queue.pop_front();
        sorted.insert(static_cast<int>(r % 100));
    }
    CHECK(static_cast<int>(queue.size()) == back - front && std::is_sorted(sorted.begin(), sorted.end()) && sorted.size() == 300);
    std::vector<std::string> words;
    for (int i = 0; i < 50; i++) words.push_back(std::string(static_cast<std::size_t>(i), static_cast<char>('a' + i % 26)) + std::to_string(i * i));
    CHECK(split(joined(words, ','), ',') == words);
    std::stable_sort(words.begin(), words.end(), [](const std::string &a, const std::string &b) { return a.size() % 7 < b.size() % 7; });
    for (std::size_t i = 1; i < words.size(); i++) CHECK(words[i - 1].size() % 7 <= words[i].size() % 7);
    words.erase(std::remove_if(words.begin(), words.end(), [](const std::string &s) { return s.size() % 2 == 0; }), words.end());
    CHECK(std::all_of(words.begin(), words.end(), [](const std::string &s) { return s.size() % 2 == 1; }));
    return finish();
}
