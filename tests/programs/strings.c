/* String functions of the library, which compilers fold and replace, against loops over bytes. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

static NOINLINE size_t my_length(const char *s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
static NOINLINE int my_compare(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}
static NOINLINE char *my_find(const char *s, const char *what) {
    for (;; s++) {
        size_t i = 0;
        while (what[i] && s[i] == what[i]) i++;
        if (!what[i]) return (char *)s;
        if (!*s) return NULL;
    }
}
static NOINLINE void my_copy(char *to, const char *from) {
    while ((*to++ = *from++)) continue;
}
static int sign(int x) { return (x > 0) - (x < 0); }

static NOINLINE int constant_strings(int i) {
    const char *s = i ? "constant" : "other";
    return (int)strlen(s) + (strchr(s, 't') != NULL) * 100 + (strcmp(s, "other") == 0) * 1000 + (memcmp(s, "con", 3) == 0) * 10000;
}

int main(void) {
    static const char *const words[] = {"", "a", "ab", "abc", "abcabcabd", "b", "xyzzy", "abd", "\xff\x80", "\x7f", "a long sentence, with words"};
    enum { N = sizeof words / sizeof *words };
    char one[64], two[64];
    for (int i = 0; i < N; i++) {
        const char *a = words[i];
        size_t n = my_length(a);
        CHECK(strlen(a) == n && strnlen(a, 3) == (n < 3 ? n : 3));
        for (int j = 0; j < N; j++) {
            const char *b = words[j];
            CHECK(sign(strcmp(a, b)) == sign(my_compare(a, b)) && strstr(a, b) == my_find(a, b));
            strcpy(one, a);
            my_copy(two, a);
            CHECK(strcat(one, b) == one);
            my_copy(two + n, b);
            CHECK(!memcmp(one, two, my_length(two) + 1) && (strncmp(a, b, 2) == 0) == (a[0] == b[0] && (!a[0] || a[1] == b[1])));
        }
        for (int c = 0; c < 256; c += 5) {
            const char *first = NULL, *last = NULL;
            for (size_t k = 0; k <= n; k++) {
                if ((unsigned char)a[k] == c) first = first ? first : a + k, last = a + k;
            }
            CHECK(strchr(a, c) == first && strrchr(a, c) == last && memchr(a, c, n + 1) == first);
        }
        memset(one, '#', sizeof one);
        strncpy(one, a, 6);
        for (size_t k = 0; k < 8; k++) CHECK(one[k] == (k >= 6 ? '#' : k < n ? a[k] : 0));
        note(n);
    }
    CHECK(constant_strings(OPAQUE(1)) == 10108 && constant_strings(OPAQUE(0)) == 1105);
    char text[] = "one,two;;three ", *state, *expected[] = {"one", "two", "three"};
    int count = 0;
    for (char *t = strtok_r(text, ",; ", &state); t; t = strtok_r(NULL, ",; ", &state)) CHECK(!strcmp(t, expected[count++]));
    CHECK(count == 3 && strspn("aabbc", "ab") == 4 && strcspn("hello, you", ", ") == 5 && !strpbrk("abc", "xyz"));
    char *end;
    CHECK(strtol(" -0x1fz", &end, 0) == -31 && *end == 'z' && strtoul("777", NULL, 8) == 511 && strtod("2.5e2", NULL) == 250);
    return finish();
}
