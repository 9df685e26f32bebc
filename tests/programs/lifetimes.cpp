// Order of construction and destruction: members, bases, temporaries, arrays, moves, returned values, elided copies.
#include <string>
#include <utility>

#include "check.h"

static std::string events;
struct Tracked {
    char id;
    Tracked(char id) : id(id) { events += id; }
    Tracked(const Tracked &o) : id(o.id) { events += 'c'; }
    Tracked(Tracked &&o) noexcept : id(o.id) { o.id = '_', events += 'm'; }
    Tracked &operator=(const Tracked &o) { return id = o.id, events += '=', *this; }
    Tracked &operator=(Tracked &&o) noexcept { return id = std::exchange(o.id, '_'), events += '<', *this; }
    ~Tracked() { events += id == '_' ? '~' : static_cast<char>(id - 'a' + 'A'); }
};

struct Base { Tracked b{'b'}; };
struct Holder : Base {
    Tracked y, x;
    Holder() : y('y'), x('x') {}
};

static NOINLINE Tracked make(char c) { return Tracked(c); }
static NOINLINE Tracked named(bool first) {
    Tracked one('p'), two('q');
    return first ? std::move(one) : std::move(two);
}
static NOINLINE char take(Tracked t) { return t.id; }
static NOINLINE char look(const Tracked &t) { return t.id; }

static NOINLINE bool during(const char *expected) {
    bool same = events == expected;
    if (!same) printf("%s in place of %s\n", events.c_str(), expected);
    events.clear();
    return same;
}

static NOINLINE int exits(int n) {
    Tracked outside('o');
    for (int i = 0; i < 3; i++) {
        Tracked inside(static_cast<char>('a' + i));
        if (i == n) return i;
        if (n == 5) goto out;
    }
    return 9;
out:
    return 7;
}

int main() {
    { Holder h; }
    CHECK(during("byxXYB"));
    { Holder h, copy(h); }
    CHECK(during("byxcccXYBXYB"));
    { Tracked t = make('t'); look(t); }
    CHECK(during("tT"));
    char seen = look(make('u'));
    CHECK(seen == 'u' && during("uU"));
    { const Tracked &extended = make('v'); CHECK(extended.id == 'v' && during("v")); }
    CHECK(during("V"));
    {
        Tracked w('w');
        seen = take(w);
        CHECK(seen == 'w' && during("wcW"));
        seen = take(std::move(w));
        CHECK(seen == 'w' && w.id == '_' && during("mW"));
    }
    CHECK(during("~"));
    { Tracked n = named(OPAQUE(1) != 0); CHECK(n.id == 'p'); }
    CHECK(during("pqmQ~P"));
    { Tracked a('a'), b('b'); a = b; b = std::move(a); CHECK(b.id == 'b'); }
    CHECK(during("ab=<B~"));
    { Tracked array[3] = {'d', 'e', 'f'}; std::swap(array[0], array[2]); }
    CHECK(during("defm<<~DEF"));
    CHECK(exits(1) == 1 && during("oaAbBO"));
    CHECK(exits(3) == 9 && during("oaAbBcCO"));
    CHECK(exits(5) == 7 && during("oaAO"));
    { Tracked *p = new Tracked[2]{'g', 'h'}; delete[] p; }
    CHECK(during("ghHG"));
    char sum = static_cast<char>(look(Tracked('i')) - 'i' + look(Tracked('j')) - 'j');
    CHECK(sum == 0 && during("ijJI"));
    alignas(Tracked) unsigned char raw[sizeof(Tracked)];
    Tracked *placed = new (raw) Tracked('k');
    CHECK(placed->id == 'k');
    placed->~Tracked();
    CHECK(during("kK"));
    note(num_checks);
    return finish();
}
