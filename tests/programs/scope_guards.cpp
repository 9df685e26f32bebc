// Destructors on every way out: return, break, goto, exceptions in constructors and in other destructors' scopes.
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "check.h"

template <typename F> class Guard {
public:
    explicit Guard(F f) : f(std::move(f)) {}
    Guard(Guard &&o) noexcept : f(std::move(o.f)), active(std::exchange(o.active, false)) {}
    ~Guard() { if (active) f(); }
    void dismiss() { active = false; }

private:
    F f;
    bool active = true;
};

static std::string done;
static auto writes(char c) { return Guard([c] { done += c; }); }

static NOINLINE int leave(int how) {
    auto a = writes('a');
    for (int i = 0; i < 4; i++) {
        auto b = writes('b');
        switch (how) {
        case 0: return i;
        case 1: continue;
        case 2: goto out;
        case 3: if (i == 2) throw i; break;
        case 4: { auto c = writes('c'); if (i == 1) return 40; c.dismiss(); break; }
        default: b.dismiss(); break;
        }
        if (how == 5 && i == 1) break;
    }
    done += '.';
    return 10;
out:
    done += '!';
    return 20;
}

static NOINLINE std::string run(int how) {
    done.clear();
    int result;
    try {
        result = leave(how);
    } catch (int x) {
        result = 100 + x;
    }
    return done + std::to_string(result);
}

// A transaction: what was done is undone in reverse unless all of it succeeds.
static std::vector<int> ledger;
static NOINLINE bool transact(const std::vector<int> &steps) {
    std::vector<Guard<void (*)()>> undo;
    undo.reserve(steps.size());
    try {
        for (int step : steps) {
            if (step < 0) throw step;
            ledger.push_back(step);
            undo.emplace_back([] { ledger.pop_back(); });
        }
    } catch (int) {
        while (!undo.empty()) undo.pop_back();
        return false;
    }
    for (auto &u : undo) u.dismiss();
    return true;
}

struct Counts {
    int in_flight = -1;
    ~Counts() { done += std::uncaught_exceptions() ? 'u' : 'n'; }
};
static NOINLINE int nested(bool inner) {
    int caught = 0;
    try {
        Counts first;
        try {
            Counts second;
            if (inner) throw 1;
        } catch (int x) {
            caught += x;
            throw 10;
        }
    } catch (int x) {
        caught += x;
    }
    return caught;
}

struct Part { char c; explicit Part(char c, bool bad = false) : c(c) { if (bad) throw c; done += c; } ~Part() { done += static_cast<char>(c - 32); } };
struct Built {
    Part a, b;
    Built(bool bad) try : a('a'), b('b', bad) { done += '+'; } catch (char c) { done += '?'; throw std::string(1, c); }
};
static NOINLINE std::string build(bool bad) {
    done.clear();
    try {
        Built built(bad);
    } catch (const std::string &s) {
        done += s;
    }
    return done;
}

int main() {
    CHECK(run(0) == "ba0" && run(1) == "bbbb.a10" && run(2) == "b!a20" && run(3) == "bbba102" && run(4) == "bcba40" && run(5) == ".a10");
    CHECK(transact({1, 2, 3}) && ledger.size() == 3 && !transact({4, 5, -1, 6}) && ledger.size() == 3 && transact({}) && ledger.back() == 3);
    done.clear();
    CHECK(nested(false) == 0 && done == "nn");
    done.clear();
    CHECK(nested(true) == 11 && done == "uu");
    CHECK(build(false) == "ab+BA" && build(true) == "aA?b");
    auto moved = writes('m');
    done.clear();
    { auto to = std::move(moved); }
    CHECK(done == "m");
    note(done.size());
    return finish();
}
