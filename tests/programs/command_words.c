/* A command interpreter that dispatches on words by length and letters, against a table searched in order. */
#include <string.h>

#include "check.h"

enum word { UNKNOWN, GET, PUT, POP, PUSH, DROP, SWAP, CLEAR, COUNT, COMMIT, ROLLBACK, REVERSE };

static NOINLINE enum word classify(const char *s, size_t n) {
    switch (n) {
    case 3:
        switch (s[0]) {
        case 'g': return memcmp(s, "get", 3) ? UNKNOWN : GET;
        case 'p':
            if (s[1] == 'u') return s[2] == 't' ? PUT : UNKNOWN;
            return s[1] == 'o' && s[2] == 'p' ? POP : UNKNOWN;
        }
        break;
    case 4:
        if (!strncmp(s, "push", 4)) return PUSH;
        if (!strncmp(s, "drop", 4)) return DROP;
        return strncmp(s, "swap", 4) == 0 ? SWAP : UNKNOWN;
    case 5:
        switch (s[1]) {
        case 'l': return !memcmp(s, "clear", 5) ? CLEAR : UNKNOWN;
        case 'o': return !memcmp(s, "count", 5) ? COUNT : UNKNOWN;
        }
        break;
    case 6: return memcmp(s, "commit", 6) == 0 ? COMMIT : UNKNOWN;
    case 7: return memcmp(s, "reverse", 7) == 0 ? REVERSE : UNKNOWN;
    case 8: return memcmp(s, "rollback", 8) == 0 ? ROLLBACK : UNKNOWN;
    }
    return UNKNOWN;
}

static const char *const names[] = {"", "get", "put", "pop", "push", "drop", "swap", "clear", "count", "commit", "rollback", "reverse"};

static enum word search(const char *s, size_t n) {
    for (int i = 1; i < 12; i++) {
        if (strlen(names[i]) == n && !memcmp(names[i], s, n)) return (enum word)i;
    }
    return UNKNOWN;
}

static int stack[64], depth, saved[64], saved_depth;

static NOINLINE int run(enum word word, int value) {
    switch (word) {
    case PUSH: case PUT: stack[depth++ % 64] = value; return depth;
    case POP: case DROP: return depth ? stack[--depth % 64] : -1;
    case SWAP:
        if (depth < 2) return -1;
        { int top = stack[depth - 1]; stack[depth - 1] = stack[depth - 2]; stack[depth - 2] = top; }
        return stack[depth - 1];
    case CLEAR: depth = 0; return 0;
    case COUNT: return depth;
    case COMMIT: memcpy(saved, stack, sizeof stack); saved_depth = depth; return 1;
    case ROLLBACK: memcpy(stack, saved, sizeof stack); depth = saved_depth; return 1;
    case REVERSE:
        for (int i = 0, j = depth - 1; i < j; i++, j--) { int t = stack[i]; stack[i] = stack[j]; stack[j] = t; }
        return depth;
    case GET: return depth ? stack[depth - 1] : -1;
    default: return -2;
    }
}

int main(void) {
    static const char text[] = "push push put push swap get pop commit push clear count rollback count reverse get pop pop "
                               "getx pus popp swop reverses clean drop drop pop";
    static const int expected[] = {1, 2, 3, 4, 2, 2, 2, 1, 4, 0, 0, 1, 3, 3, 0, 0, 1, -2, -2, -2, -2, -2, -2, 3, -1, -1};
    size_t at = 0;
    int number = 0, value = 0;
    while (text[at]) {
        size_t n = strcspn(text + at, " ");
        enum word word = classify(text + at, n);
        CHECK(word == search(text + at, n));
        int result = run(word, word == PUSH || word == PUT ? value++ : 0);
        if (!CHECK(result == expected[number])) printf("word %d: %d\n", number, result);
        note((uint64_t)(uint32_t)result);
        number++;
        at += n + (text[at + n] != 0);
    }
    CHECK(number == sizeof expected / sizeof *expected);
    return finish();
}
