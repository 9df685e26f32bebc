// unique_ptr, shared_ptr, weak_ptr, variant, optional, any: ownership counted by the objects themselves.
#include <any>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "check.h"

static int alive;
struct Node {
    int value;
    std::shared_ptr<Node> next;
    std::weak_ptr<Node> previous;
    explicit Node(int value) : value(value) { alive++; }
    ~Node() { alive--; }
};

struct Tree {
    int key;
    std::unique_ptr<Tree> left, right;
    explicit Tree(int key) : key(key) { alive++; }
    ~Tree() { alive--; }
};
static NOINLINE void insert(std::unique_ptr<Tree> &tree, int key) {
    if (!tree) tree = std::make_unique<Tree>(key);
    else if (key != tree->key) insert(key < tree->key ? tree->left : tree->right, key);
}
static NOINLINE std::unique_ptr<Tree> rotate(std::unique_ptr<Tree> tree) {
    if (!tree || !tree->left) return tree;
    auto left = std::move(tree->left);
    tree->left = std::move(left->right);
    left->right = std::move(tree);
    return left;
}
static NOINLINE void flatten(const Tree *tree, std::vector<int> &out) {
    if (!tree) return;
    flatten(tree->left.get(), out);
    out.push_back(tree->key);
    flatten(tree->right.get(), out);
}

using Value = std::variant<int, double, std::string, std::vector<int>>;
static NOINLINE double weight(const Value &v) {
    struct Visitor {
        double operator()(int i) const { return i; }
        double operator()(double d) const { return d * 10; }
        double operator()(const std::string &s) const { return 1000.0 + static_cast<double>(s.size()); }
        double operator()(const std::vector<int> &v) const { return 2000.0 + static_cast<double>(v.size()); }
    };
    return std::visit(Visitor(), v);
}

static NOINLINE std::optional<int> parse(const std::string &s) {
    if (s.empty() || s.size() > 6) return std::nullopt;
    int x = 0;
    for (char c : s) {
        if (c < '0' || c > '9') return std::nullopt;
        x = x * 10 + (c - '0');
    }
    return x;
}

int main() {
    {
        auto head = std::make_shared<Node>(0), tail = head;
        for (int i = 1; i < 50; i++) {
            tail->next = std::make_shared<Node>(i);
            tail->next->previous = tail;
            tail = tail->next;
        }
        CHECK(alive == 50 && head.use_count() == 1 && tail.use_count() == 2);
        int sum = 0;
        for (auto n = tail; n; n = n->previous.lock()) sum += n->value;
        CHECK(sum == 1225);
        std::weak_ptr<Node> middle = head->next->next;
        head = nullptr;
        CHECK(alive == 1 && middle.expired() && tail->previous.expired());
    }
    CHECK(alive == 0);
    {
        std::unique_ptr<Tree> tree;
        uint64_t state = 4;
        for (int i = 0; i < 100; i++) insert(tree, static_cast<int>(next_random(&state) % 80));
        std::vector<int> before, after;
        flatten(tree.get(), before);
        for (int i = 0; i < 5; i++) tree = rotate(std::move(tree));
        flatten(tree.get(), after);
        CHECK(before == after && static_cast<int>(before.size()) == alive);
        for (std::size_t i = 1; i < before.size(); i++) CHECK(before[i - 1] < before[i]);
        note(before.size());
    }
    CHECK(alive == 0);
    Value v = 7;
    CHECK(weight(v) == 7);
    v = 2.5;
    CHECK(weight(v) == 25);
    v = std::string("a long string that is not short");
    CHECK(weight(v) == 1031 && v.index() == 2);
    Value copy = v;
    v = std::vector<int>{1, 2, 3};
    CHECK(weight(v) == 2003 && weight(copy) == 1031 && !std::get_if<int>(&v));
    try {
        note(static_cast<uint64_t>(std::get<int>(v)));
        CHECK(false);
    } catch (const std::bad_variant_access &) {
        CHECK(true);
    }
    CHECK(parse("123") == 123 && !parse("12a") && !parse("") && parse("x").value_or(-1) == -1 && *parse("999999") == 999999);
    std::any anything = std::string("any");
    CHECK(std::any_cast<std::string>(&anything) && !std::any_cast<int>(&anything));
    return finish();
}
