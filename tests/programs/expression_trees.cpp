// Trees of polymorphic nodes: evaluated, printed, differentiated and simplified by visitors and by double dispatch.
#include <memory>
#include <string>

#include "check.h"

struct Number;
struct Variable;
struct Sum;
struct Product;
struct Visitor {
    virtual ~Visitor() = default;
    virtual void visit(const Number &) = 0;
    virtual void visit(const Variable &) = 0;
    virtual void visit(const Sum &) = 0;
    virtual void visit(const Product &) = 0;
};
struct Node {
    virtual ~Node() = default;
    virtual void accept(Visitor &) const = 0;
    virtual long evaluate(long x) const = 0;
};
using Tree = std::shared_ptr<const Node>;
template <typename Self> struct Visitable : Node {
    void accept(Visitor &v) const override { v.visit(static_cast<const Self &>(*this)); }
};
struct Number final : Visitable<Number> {
    long value;
    explicit Number(long value) : value(value) {}
    long evaluate(long) const override { return value; }
};
struct Variable final : Visitable<Variable> {
    long evaluate(long x) const override { return x; }
};
struct Sum final : Visitable<Sum> {
    Tree a, b;
    Sum(Tree a, Tree b) : a(std::move(a)), b(std::move(b)) {}
    long evaluate(long x) const override { return a->evaluate(x) + b->evaluate(x); }
};
struct Product final : Visitable<Product> {
    Tree a, b;
    Product(Tree a, Tree b) : a(std::move(a)), b(std::move(b)) {}
    long evaluate(long x) const override { return a->evaluate(x) * b->evaluate(x); }
};
static Tree number(long n) { return std::make_shared<Number>(n); }
static Tree operator+(Tree a, Tree b) { return std::make_shared<Sum>(std::move(a), std::move(b)); }
static Tree operator*(Tree a, Tree b) { return std::make_shared<Product>(std::move(a), std::move(b)); }
static const Tree x = std::make_shared<Variable>();

struct Printer final : Visitor {
    std::string out;
    void visit(const Number &n) override { out += std::to_string(n.value); }
    void visit(const Variable &) override { out += 'x'; }
    void visit(const Sum &s) override { out += '(', s.a->accept(*this), out += '+', s.b->accept(*this), out += ')'; }
    void visit(const Product &p) override { p.a->accept(*this), out += '*', p.b->accept(*this); }
};
struct Derivative final : Visitor {
    Tree result;
    static Tree of(const Tree &t) {
        Derivative d;
        t->accept(d);
        return d.result;
    }
    void visit(const Number &) override { result = number(0); }
    void visit(const Variable &) override { result = number(1); }
    void visit(const Sum &s) override { result = of(s.a) + of(s.b); }
    void visit(const Product &p) override { result = of(p.a) * p.b + p.a * of(p.b); }
};
struct Simplifier final : Visitor {
    Tree result;
    static NOINLINE Tree of(const Tree &t) {
        Simplifier s;
        t->accept(s);
        return s.result ? s.result : t;
    }
    static const long *constant(const Tree &t) {
        auto n = dynamic_cast<const Number *>(t.get());
        return n ? &n->value : nullptr;
    }
    void visit(const Number &) override {}
    void visit(const Variable &) override {}
    void visit(const Sum &s) override {
        Tree a = of(s.a), b = of(s.b);
        auto m = constant(a), n = constant(b);
        result = m && n ? number(*m + *n) : m && *m == 0 ? b : n && *n == 0 ? a : a + b;
    }
    void visit(const Product &p) override {
        Tree a = of(p.a), b = of(p.b);
        auto m = constant(a), n = constant(b);
        if (m && n) result = number(*m * *n);
        else if ((m && *m == 0) || (n && *n == 0)) result = number(0);
        else result = m && *m == 1 ? b : n && *n == 1 ? a : a * b;
    }
};
static std::string print(const Tree &t) {
    Printer p;
    t->accept(p);
    return p.out;
}

int main() {
    Tree t = x * x * x + number(2) * x + number(-7);
    CHECK(print(t) == "((x*x*x+2*x)+-7)");
    Tree d = Simplifier::of(Derivative::of(t));
    CHECK(print(d) == "(((x+x)*x+x*x)+2)");
    CHECK(print(Simplifier::of(number(0) * x + number(3) * number(4) + x * number(1))) == "(12+x)");
    for (long v = -20; v < 20; v++) {
        CHECK(t->evaluate(v) == v * v * v + 2 * v - 7 && d->evaluate(v) == 3 * v * v + 2);
        CHECK(Derivative::of(t)->evaluate(v) == d->evaluate(v));
        note(static_cast<uint64_t>(d->evaluate(v)));
    }
    Tree power = number(1);
    for (int i = 0; i < 8; i++) power = power * (x + number(1));
    for (int i = 0; i < 8; i++) power = Simplifier::of(Derivative::of(power));
    CHECK(power->evaluate(OPAQUE(5L)) == 40320 && power->evaluate(-3) == 40320);
    CHECK(x.use_count() > 1);
    return finish();
}
