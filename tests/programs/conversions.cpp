// Overload resolution, conversions, casts and run-time types: which function is called is part of what it returns.
#include <cstring>
#include <string>
#include <typeinfo>

#include "check.h"

static int f(int) { return 1; }
static int f(long) { return 2; }
static int f(double) { return 3; }
static int f(const void *) { return 4; }
static int f(bool) { return 5; }
static int f(...) { return 6; }
template <typename T> static int g(T &&) { return 10; }
static int g(const std::string &) { return 11; }
static int h(int &) { return 1; }
static int h(const int &) { return 2; }
static int h(int &&) { return 3; }

struct Celsius;
struct Kelvin {
    double value;
    explicit Kelvin(double v) : value(v) {}
    Kelvin(const Celsius &);
};
struct Celsius {
    double value;
    operator int() const { return static_cast<int>(value); }
    explicit operator bool() const { return value != 0; }
    Celsius operator,(int x) const { return {value + x}; }
    Celsius &operator[](int x) { return value += x, *this; }
    int operator()(int a, int b = 7) const { return static_cast<int>(value) * a + b; }
    Celsius *operator->() { return this; }
};
Kelvin::Kelvin(const Celsius &c) : value(c.value + 273.0) {}
static NOINLINE double warm(const Kelvin &k) { return k.value; }
static Celsius operator""_deg(unsigned long long v) { return {static_cast<double>(v)}; }

struct A { virtual ~A() = default; int a = 1; };
struct B : virtual A { int b = 2; };
struct C : virtual A { int c = 3; };
struct D : B, C { int d = 4; };
struct Other { virtual ~Other() = default; };
struct E : D, Other { int e = 5; };

static NOINLINE int what(const A *p) {
    if (dynamic_cast<const E *>(p)) return 5;
    if (auto d = dynamic_cast<const D *>(p)) return d->d;
    if (auto b = dynamic_cast<const B *>(p)) return b->b;
    return typeid(*p) == typeid(A) ? 1 : 0;
}
enum class Level : unsigned char { low = 250, high };
enum Plain { one = 1, many = 100000 };

int main() {
    short s = 1;
    float fl = 1;
    CHECK(f(s) == 1 && f('c') == 1 && f(1L) == 2 && f(fl) == 3 && f("x") == 4 && f(true) == 5 && f(Level::low) == 6 && f(many) == 1);
    std::string text = "t";
    const std::string constant = "c";
    CHECK(g(text) == 10 && g(constant) == 11 && g("x") == 10);
    int i = 0;
    const int k = 0;
    CHECK(h(i) == 1 && h(k) == 2 && h(5) == 3 && h(std::move(i)) == 3 && h(s) == 3);
    Celsius c = 20_deg;
    CHECK(warm(c) == 293 && c + 1 == 21 && (c ? 1 : 0) && (c, 5).value == 25 && c[3][4].value == 27 && c(2) == 61 && c(2, 1) == 55 && c->value == 27);
    E e;
    D d;
    B b;
    C cc;
    A a;
    const A *all[] = {&a, &b, &cc, &d, &e};
    static const int kinds[] = {1, 2, 0, 4, 5};
    for (int n = 0; n < 5; n++) CHECK(what(OPAQUE(all[n])) == kinds[n]);
    Other *other = &e;
    CHECK(dynamic_cast<C *>(other) == &e && dynamic_cast<A *>(other) == static_cast<A *>(&e) && dynamic_cast<void *>(other) == &e);
    CHECK(dynamic_cast<E *>(static_cast<B *>(&d)) == nullptr);
    int bad = 0;
    try {
        bad = dynamic_cast<E &>(static_cast<A &>(d)).e;
    } catch (const std::bad_cast &) {
        bad = -1;
    }
    CHECK(bad == -1 && static_cast<B *>(&e)->a == 1 && (e.a = 9, static_cast<C &>(e).a == 9));
    CHECK(static_cast<int>(Level::high) == 251 && static_cast<Level>(static_cast<unsigned char>(Level::high) + 1) > Level::high);
    CHECK(static_cast<unsigned char>(OPAQUE(-1)) == 255 && static_cast<int>(-2.9) == -2 && static_cast<bool>(OPAQUE(256)) && !static_cast<bool>(0.0));
    double pi = 3.5;
    uint64_t bits;
    std::memcpy(&bits, &pi, 8);
    CHECK(reinterpret_cast<unsigned char *>(&pi)[7] == bits >> 56);
    note(bits);
    return finish();
}
