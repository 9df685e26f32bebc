// What happens before main and after: dynamic initialisers in order, thread-safe statics, inline variables, atexit order.
#include <cstdlib>
#include <string>

#include "check.h"

static int sequence;
static int trace[16];
struct Step {
    int number;
    Step(int number) : number(number) { trace[sequence++] = number; }
    ~Step();
};

static volatile int constant_first = 41;
static int computed = constant_first + 1;
Step one(1);
static Step two(2);
namespace { Step three(one.number + 2); }
inline Step shared(4);
template <int N> struct Lazy { static Step step; };
template <int N> Step Lazy<N>::step(N);
struct WithStatic { static const int table[3]; static std::string name; };
const int WithStatic::table[3] = {computed, computed * 2, 7};
std::string WithStatic::name = "static " + std::to_string(computed);

static int initialised;
static NOINLINE Step &magic() {
    static Step step(100 + ++initialised);
    return step;
}
static NOINLINE const std::string &retried(bool fails) {
    static std::string value = fails ? throw 5 : std::string("made");
    return value;
}
static NOINLINE int by_argument(int x) {
    static const int first = x * 3;
    return first + x;
}

static int ended;
Step::~Step() { ended++; }
static void at_end() {
    // Runs after main and before what was constructed earlier is destroyed: `magic` came later, so it is gone.
    if (ended != 1) std::_Exit(7);
    std::puts("end");
    std::fflush(stdout);
}

int main() {
    std::atexit(at_end);
    CHECK(computed == 42 && WithStatic::table[0] == 42 && WithStatic::table[1] == 84 && WithStatic::name == "static 42");
    int positions[8] = {0};
    for (int i = 0; i < sequence; i++) positions[trace[i] & 7] = i + 1;
    CHECK(sequence == 5 && positions[1] < positions[2] && positions[2] < positions[3] && positions[4] && positions[5]);
    CHECK(Lazy<5>::step.number == 5 && shared.number == 4 && three.number == 3);
    CHECK(initialised == 0 && magic().number == 101 && magic().number == 101 && initialised == 1);
    int thrown = 0;
    for (int i = 0; i < 3; i++) {
        try {
            CHECK(retried(i < 2) == "made");
        } catch (int x) {
            thrown += x;
        }
    }
    CHECK(thrown == 10 && retried(true) == "made");
    CHECK(by_argument(OPAQUE(2)) == 8 && by_argument(10) == 16);
    note(static_cast<uint64_t>(sequence));
    return finish();
}
