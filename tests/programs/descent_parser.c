/* A recursive descent parser for expressions, against values computed while the text was made. */
#include "check.h"

static const char *at;
static int errors;
static int64_t expression(int minimum);

static int64_t primary(void) {
    if (*at == '(') {
        at++;
        int64_t value = expression(0);
        if (*at == ')') at++;
        else errors++;
        return value;
    }
    if (*at == '-') {
        at++;
        return -primary();
    }
    if (*at == '~') {
        at++;
        return ~primary();
    }
    if (*at < '0' || *at > '9') {
        errors++;
        return 0;
    }
    int64_t value = 0;
    while (*at >= '0' && *at <= '9') value = value * 10 + (*at++ - '0');
    return value;
}

static int precedence(char c) {
    switch (c) {
    case '|': return 1;
    case '&': return 2;
    case '+': case '-': return 3;
    case '*': case '/': case '%': return 4;
    }
    return -1;
}

static int64_t combine(char c, int64_t a, int64_t b) {
    switch (c) {
    case '|': return a | b;
    case '&': return a & b;
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b % 1000003;
    case '/': return b ? a / b : 0;
    default: return b ? a % b : 0;
    }
}

static NOINLINE int64_t expression(int minimum) {
    int64_t left = primary();
    for (;;) {
        char c = *at;
        int strength = precedence(c);
        if (strength < minimum || strength < 0) return left;
        at++;
        left = combine(c, left, expression(strength + 1));
    }
}

/* Writes a random expression, fully parenthesised or not as precedence allows, and returns its value. */
static char text[4096], *out;
static uint64_t state = 77;
static int64_t generate(int depth, int minimum) {
    static const char symbols[] = "|&+-*/%";
    uint64_t r = next_random(&state) >> 20;
    if (depth == 0 || r % 5 == 0) {
        int value = (int)(r >> 8 & 1023);
        if (r % 3 == 0) *out++ = '~';
        out += sprintf(out, "%d", value);
        return r % 3 == 0 ? ~value : value;
    }
    char symbol = symbols[r % 7];
    int strength = precedence(symbol), inside = strength < minimum || r % 11 == 0;
    if (inside) *out++ = '(';
    int64_t left = generate(depth - 1, strength);
    *out++ = symbol;
    int64_t right = generate(depth - 1, strength + 1);
    if (inside) *out++ = ')';
    return combine(symbol, left, right);
}

int main(void) {
    for (int i = 0; i < 400; i++) {
        out = text;
        int64_t value = generate(1 + i % 5, 0);
        *out = 0;
        at = text;
        int64_t parsed = expression(0);
        if (!CHECK(parsed == value && *at == 0 && errors == 0)) printf("%s\n", text);
        note((uint64_t)parsed);
    }
    static const char *const broken[] = {"", "1+", "(1", "*2", "3)", "((4)"};
    for (int i = 0; i < 6; i++) {
        errors = 0;
        at = broken[i];
        expression(0);
        CHECK(errors || *at);
    }
    return finish();
}
