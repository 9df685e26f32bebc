// Exceptions across frames: by type and base, rethrown, out of constructors, with destructors run exactly once each.
#include <stdexcept>
#include <string>

#include "check.h"

static int alive;
static std::string log_of;
struct Guard {
    char name;
    explicit Guard(char name) : name(name) { alive++; }
    Guard(const Guard &other) : name(other.name) { alive++; }
    ~Guard() { alive--, log_of += name; }
};

struct Base { int code; explicit Base(int code) : code(code) {} virtual ~Base() = default; virtual int what() const { return code; } };
struct Derived : Base { using Base::Base; int what() const override { return -code; } };

static NOINLINE int thrower(int how) {
    Guard guard('t');
    switch (how) {
    case 0: return 1;
    case 1: throw 42;
    case 2: throw Derived(7);
    case 3: throw std::runtime_error("three");
    case 4: throw "text";
    case 5: throw Base(5);
    default: throw 1.5;
    }
}

static NOINLINE int middle(int how) {
    Guard a('m');
    try {
        Guard b('n');
        return thrower(how) + 1;
    } catch (const char *) {
        Guard c('c');
        throw;
    } catch (double d) {
        throw static_cast<int>(d * 100);
    }
}

static NOINLINE int outer(int how) noexcept {
    try {
        return middle(how);
    } catch (int i) {
        return i;
    } catch (const Base &b) {
        return 1000 + b.what();
    } catch (const std::exception &e) {
        return 2000 + static_cast<int>(std::string(e.what()).size());
    } catch (...) {
        return 3000;
    }
}

struct Member { Guard g; Member(char c, bool fails) : g(c) { if (fails) throw 9; } };
struct Whole {
    Guard first{'1'};
    Member second, third;
    Whole(int fail) : second('2', fail == 2), third('3', fail == 3) { if (fail == 4) throw 9; }
    ~Whole() { log_of += 'W'; }
};

static NOINLINE int construct(int fail) {
    try {
        Whole whole(fail);
        return 0;
    } catch (int) {
        return 1;
    }
}

static NOINLINE int loops(int n) {
    int caught = 0, finished = 0;
    for (int i = 0; i < n; i++) {
        Guard g('l');
        try {
            if (i % 3 == 1) throw i;
            if (i % 5 == 4) continue;
            if (i == 17) break;
            finished++;
        } catch (int thrown) {
            caught += thrown;
        }
    }
    return caught * 1000 + finished;
}

static NOINLINE int depth(int n) {
    Guard g('d');
    if (n == 0) throw 0;
    try {
        return depth(n - 1);
    } catch (int so_far) {
        throw so_far + n;
    }
}

int main() {
    static const int results[] = {2, 42, 1000 - 7, 2005, 3000, 1005, 150};
    static const char *const logs[] = {"tnm", "tnm", "tnm", "tnm", "tncm", "tnm", "tnm"};
    for (int how = 0; how < 7; how++) {
        log_of.clear();
        CHECK(outer(how) == results[how] && log_of == logs[how] && alive == 0);
        note(static_cast<uint64_t>(outer(how)));
    }
    static const char *const construction[] = {"W321", "", "21", "321", "321"};
    for (int fail : {0, 2, 3, 4}) {
        log_of.clear();
        CHECK(construct(fail) == (fail != 0) && log_of == construction[fail] && alive == 0);
    }
    int caught = 0, finished = 0;
    for (int i = 0; i < 17; i++) i % 3 == 1 ? caught += i : finished += i % 5 != 4;
    CHECK(loops(100) == caught * 1000 + finished && alive == 0);
    for (int n = 0; n < 20; n++) {
        try {
            depth(n);
            CHECK(false);
        } catch (int sum) {
            CHECK(sum == n * (n + 1) / 2 && alive == 0);
        }
    }
    return finish();
}
