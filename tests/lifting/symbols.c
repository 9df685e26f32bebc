#include <stdio.h>
static __thread int a = 3; static __thread int z; __thread int shared = 5;
static int quiet(void) { return 2; }
int weak_one(void) __attribute__((weak)); int weak_one(void) { return 4; }
extern int alias_of(void) __attribute__((alias("weak_one")));
static int impl_a(void) { return 11; }
static int (*resolve(void))(void) { return impl_a; }
int chosen(void) __attribute__((ifunc("resolve")));
int common_one[4] __attribute__((common));
__attribute__((visibility("hidden"))) int hidden_one = 6;
__attribute__((section("my_section"), aligned(64))) int placed = 8;
__attribute__((section("my_text"))) int in_my_text(int x) { return x + placed; }
static int ran;
__attribute__((constructor)) static void first(void) { ran = 1; }
__attribute__((constructor(200))) static void earlier(void) { ran += 10; }
__attribute__((destructor)) static void last(void) { puts("bye"); }
int main(void) { a++; z += 2; shared++; common_one[1] = 5;
  printf("%d %d %d %d %d %d %d %d %d %d\n", a, z, shared, quiet(), weak_one(), alias_of(), chosen(), common_one[1] + hidden_one, in_my_text(1), ran);
  return 0; }
