// C++ whose inline functions, templates and tables are weak symbols (linkonce_odr); no library, no constructor.
namespace {
int internal(int x) { return x * 3; }
template <typename T> T clamp(T x, T low, T high) { return x < low ? low : x > high ? high : x; }
} // namespace

inline int shared(int x) { return internal(x) + 1; }
inline int counter() { static int count = 3; return ++count; }
inline constexpr int primes[] = {2, 3, 5, 7, 11};
template <typename T> T power(T base, int n) { return n == 0 ? T(1) : base * power(base, n - 1); }

struct Shape {
    virtual int area() const = 0;
    virtual int corners() const { return 4; }
};
struct Square : Shape {
    int side = 2;
    int area() const override { return side * side; }
};
struct Line : Shape {
    int area() const override { return 0; }
    int corners() const override { return shared(2); }
};

static int total(const Shape &shape) { return shape.area() * 10 + shape.corners(); }
int first_user(int x) { return shared(x) + power(x, 3); }
int second_user(int x) { return shared(x + 1) + clamp(x, 2, 5) + counter(); }
int prime_sum() { int sum = 0; for (int prime : primes) sum += prime; return sum; }

int main()
{
    if (first_user(4) != 13 + 64 || second_user(9) != 31 + 5 + 4 || counter() != 5)
        return 1;
    static Square square;
    static Line line;
    return total(square) != 44 || total(line) != 7 || prime_sum() != 28;
}
