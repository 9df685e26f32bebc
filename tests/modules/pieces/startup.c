/* What runs or is kept without a call: constructors, `used`, weak symbols, sections, thread-local data. */
static int order[4];
static int count;
static _Thread_local int own = 5;
int weak_number __attribute__((weak)) = 17;
extern int absent(int) __attribute__((weak));
volatile int sink;

static void note(int what) { order[count++ & 3] = what; }

__attribute__((constructor(200))) static void second(void) { note(2); }
__attribute__((constructor(101))) static void first(void) { note(1); }
__attribute__((destructor)) static void last(void) { sink = count; }
__attribute__((used)) static int kept_for_debuggers(int x) { return x + count; }
__attribute__((used)) static const char version[] = "version 1";

__attribute__((weak)) int replaceable(int x) { return x + weak_number; }
__attribute__((visibility("hidden"))) int hidden(int x) { return replaceable(x) * 2; }
__attribute__((cold, noinline)) static void fail(int code) { sink = code; }
__attribute__((section("irw_extra"))) int in_section(int x) { return x - own++; }
__attribute__((always_inline)) static inline int forced(int x) { return in_section(x) + in_section(x); }

int guarded(int x)
{
    if (x < 0)
        fail(x);
    return absent ? absent(x) : hidden(x);
}

int main(void)
{
    if (count != 2 || order[0] != 1 || order[1] != 2)
        return 1;
    if (guarded(3) != 40 || guarded(-1) != 32 || sink != -1)
        return 2;
    if (forced(10) != 5 + 4 || own != 7)
        return 3;
    return version[8] != '1';
}
