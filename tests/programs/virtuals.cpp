// Virtual calls through single, multiple and virtual inheritance: the right override, the right this, the right offsets.
#include "check.h"

struct Shape {
    virtual ~Shape() = default;
    virtual int area() const { return 0; }
    virtual int sides() const = 0;
    int doubled() const { return 2 * area(); }
};
struct Named {
    explicit Named(int id) : id(id) {}
    virtual ~Named() { destroyed += id; }
    virtual int label() const { return id; }
    int id;
    static int destroyed;
};
int Named::destroyed;

struct Square : Shape, Named {
    Square(int side) : Named(side * 100), side(side) {}
    int area() const override { return side * side; }
    int sides() const override { return 4; }
    int label() const override { return Named::label() + side; }
    int side;
};
struct Block final : Square {
    Block(int side, int height) : Square(side), height(height) {}
    int area() const override { return 2 * Square::area() + 4 * side * height; }
    int height;
};

struct Counter {
    int count = 0;
    virtual ~Counter() = default;
    virtual void bump() { count++; }
};
struct Left : virtual Counter {
    int left = 1;
    void bump() override { count += 10; }
};
struct Right : virtual Counter {
    int right = 2;
};
struct Both : Left, Right {
    int both = 3;
    void bump() override {
        Left::bump();
        count += right + both;
    }
};

static NOINLINE int measure(const Shape &s) { return s.area() * 10 + s.sides(); }
static NOINLINE int name(const Named *n) { return n->label(); }
static NOINLINE void poke(Counter &c) { c.bump(); }
static NOINLINE int through_right(Right *r) {
    r->bump();
    return r->count + r->right;
}

// While a base is under construction, its own override is the one that is called.
struct Early {
    Early() { seen = kind(); }
    virtual ~Early() { last = kind(); }
    virtual int kind() const { return 1; }
    int seen;
    static int last;
};
int Early::last;
struct Late : Early {
    Late() { seen = seen * 10 + kind(); }
    int kind() const override { return 2; }
};

int main() {
    for (int side = 1; side < 20; side++) {
        Square square(side);
        Block block(side, 3);
        CHECK(measure(square) == side * side * 10 + 4 && measure(block) == (2 * side * side + 12 * side) * 10 + 4);
        CHECK(name(&square) == 101 * side && square.doubled() == 2 * side * side && block.doubled() == 2 * block.area());
        const Named *named = &block;
        CHECK(static_cast<const Square *>(named) == &block && (const void *)named != (const void *)&block);
        CHECK(dynamic_cast<const Shape *>(named) == &block && dynamic_cast<const Block *>((const Named *)&square) == nullptr);
        note((uint64_t)measure(block));
    }
    CHECK(Named::destroyed == 2 * 100 * 190);
    Shape *shape = new Block(2, 2);
    delete shape;
    CHECK(Named::destroyed == 38000 + 200);
    Both both;
    poke(both);
    CHECK(both.count == 15 && through_right(&both) == 32 && static_cast<Counter &>(static_cast<Left &>(both)).count == 30);
    Right right;
    CHECK(through_right(&right) == 3);
    { Late late; CHECK(late.seen == 12 && OPAQUE(static_cast<Early *>(&late))->kind() == 2); }
    CHECK(Early::last == 1);
    return finish();
}
