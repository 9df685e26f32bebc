/*
 * calc.c - a calculator with big integers: a tokeniser, a Pratt parser that evaluates as it goes,
 * the variables a to z, and errors that point at their column.
 *
 * Integers are a sign and up to 4096 bits, held by value; a result that needs more is an error.
 * Division rounds towards zero. From loosest to tightest: = (assignment), comparisons, + and -,
 * * / %, unary -, ^ (to the right), ! (factorial).
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_LIMBS 128
#define MAX_DEPTH 40
#define MAX_DIGITS 1300

enum calc_error {
    CALC_OK,
    CALC_ERR_CHARACTER,
    CALC_ERR_SYNTAX,
    CALC_ERR_UNSET,
    CALC_ERR_OVERFLOW,
    CALC_ERR_DIVIDE,
    CALC_ERR_DOMAIN,
    CALC_ERR_DEPTH,
};

/* ---- big integers -------------------------------------------------------------------------- */

/* Limbs from the lowest; the highest is not zero, and zero itself has none and is not negative. */
struct big {
    bool negative;
    int size;
    uint32_t limbs[MAX_LIMBS];
};

static void big_set(struct big *a, uint32_t value) {
    a->negative = false;
    a->size = value != 0;
    a->limbs[0] = value;
}

static void big_trim(struct big *a) {
    while (a->size > 0 && a->limbs[a->size - 1] == 0)
        a->size--;
    if (a->size == 0)
        a->negative = false;
}

static int compare_magnitude(const struct big *a, const struct big *b) {
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    for (int i = a->size - 1; i >= 0; i--) {
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    }
    return 0;
}

static int big_compare(const struct big *a, const struct big *b) {
    if (a->negative != b->negative)
        return a->negative ? -1 : 1;
    return a->negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

/* All results may be one of the operands. */
static enum calc_error add_magnitude(const struct big *a, const struct big *b, struct big *sum) {
    uint64_t carry = 0;
    int size = a->size > b->size ? a->size : b->size;
    for (int i = 0; i < size; i++) {
        carry += (uint64_t)(i < a->size ? a->limbs[i] : 0) + (i < b->size ? b->limbs[i] : 0);
        sum->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    sum->size = size;
    if (carry == 0)
        return CALC_OK;
    if (size == MAX_LIMBS)
        return CALC_ERR_OVERFLOW;
    sum->limbs[sum->size++] = (uint32_t)carry;
    return CALC_OK;
}

/* For a not less than b. */
static void subtract_magnitude(const struct big *a, const struct big *b, struct big *difference) {
    uint32_t borrow = 0;
    for (int i = 0; i < a->size; i++) {
        uint64_t step = (uint64_t)a->limbs[i] - (i < b->size ? b->limbs[i] : 0) - borrow;
        difference->limbs[i] = (uint32_t)step;
        borrow = step >> 63 != 0;
    }
    difference->size = a->size;
}

static enum calc_error big_add(const struct big *a, const struct big *b, bool subtract, struct big *sum) {
    enum calc_error error = CALC_OK;
    bool a_negative = a->negative, b_negative = b->negative != subtract;
    if (a_negative == b_negative) {
        error = add_magnitude(a, b, sum);
        sum->negative = a_negative;
    } else if (compare_magnitude(a, b) >= 0) {
        subtract_magnitude(a, b, sum);
        sum->negative = a_negative;
    } else {
        subtract_magnitude(b, a, sum);
        sum->negative = b_negative;
    }
    big_trim(sum);
    return error;
}

static enum calc_error big_multiply(const struct big *a, const struct big *b, struct big *product) {
    uint32_t limbs[2 * MAX_LIMBS] = {0};
    for (int i = 0; i < a->size; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < b->size; k++) {
            carry += (uint64_t)a->limbs[i] * b->limbs[k] + limbs[i + k];
            limbs[i + k] = (uint32_t)carry;
            carry >>= 32;
        }
        limbs[i + b->size] = (uint32_t)carry;
    }
    int size = a->size + b->size;
    while (size > 0 && limbs[size - 1] == 0)
        size--;
    if (size > MAX_LIMBS)
        return CALC_ERR_OVERFLOW;
    product->negative = a->negative != b->negative;
    product->size = size;
    memcpy(product->limbs, limbs, (size_t)size * sizeof limbs[0]);
    big_trim(product);
    return CALC_OK;
}

/* Divides the magnitude in place; returns the remainder. */
static uint32_t divide_small(struct big *a, uint32_t divisor) {
    uint64_t rest = 0;
    for (int i = a->size - 1; i >= 0; i--) {
        rest = rest << 32 | a->limbs[i];
        a->limbs[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    big_trim(a);
    return (uint32_t)rest;
}

/* Shifts limbs by up to 31 bits; the highest one of the result holds what goes over the end. */
static void shift_left(const struct big *a, int bits, uint32_t *out) {
    uint64_t carry = 0;
    for (int i = 0; i < a->size; i++) {
        carry |= (uint64_t)a->limbs[i] << bits;
        out[i] = (uint32_t)carry;
        carry >>= 32;
    }
    out[a->size] = (uint32_t)carry;
}

/* Subtracts quotient times v from u; false when that is more than there is. */
static bool subtract_product(uint32_t *u, const uint32_t *v, int size, uint64_t quotient) {
    uint64_t carry = 0, borrow = 0;
    for (int i = 0; i <= size; i++) {
        carry += i < size ? quotient * v[i] : 0;
        uint64_t step = (uint64_t)u[i] - (uint32_t)carry - borrow;
        u[i] = (uint32_t)step;
        borrow = step >> 63;
        carry >>= 32;
    }
    return borrow == 0;
}

static void add_back(uint32_t *u, const uint32_t *v, int size) {
    uint64_t carry = 0;
    for (int i = 0; i < size; i++) {
        carry += (uint64_t)u[i] + v[i];
        u[i] = (uint32_t)carry;
        carry >>= 32;
    }
    u[size] += (uint32_t)carry;
}

/* Knuth, The Art of Computer Programming, volume 2, algorithm 4.3.1 D. */
static enum calc_error big_divide(const struct big *a, const struct big *b, struct big *quotient,
                                  struct big *remainder) {
    struct big q, r = *a;
    q.negative = a->negative != b->negative;
    if (b->size == 0)
        return CALC_ERR_DIVIDE;
    if (compare_magnitude(a, b) < 0) {
        big_set(&q, 0);
    } else if (b->size == 1) {
        bool negative = q.negative;
        q = *a;
        uint32_t rest = divide_small(&q, b->limbs[0]);
        q.negative = negative;
        big_set(&r, rest);
        r.negative = a->negative;
    } else {
        uint32_t u[MAX_LIMBS + 1], v[MAX_LIMBS + 1];
        int n = b->size, bits = 0;
        while (b->limbs[n - 1] << bits >> 31 == 0)
            bits++;
        shift_left(a, bits, u);
        shift_left(b, bits, v);
        q.size = a->size - n + 1;
        for (int j = a->size - n; j >= 0; j--) {
            uint64_t top = (uint64_t)u[j + n] << 32 | u[j + n - 1];
            uint64_t digit = top / v[n - 1], rest = top % v[n - 1];
            while (rest <= UINT32_MAX && (digit > UINT32_MAX || digit * v[n - 2] > (rest << 32 | u[j + n - 2]))) {
                digit--;
                rest += v[n - 1];
            }
            if (!subtract_product(u + j, v, n, digit)) {
                digit--;
                add_back(u + j, v, n);
            }
            q.limbs[j] = (uint32_t)digit;
        }
        r.size = n;
        for (int i = 0; i < n; i++)
            r.limbs[i] = (uint32_t)(((uint64_t)u[i + 1] << 32 | u[i]) >> bits);
    }
    big_trim(&q);
    big_trim(&r);
    *quotient = q;
    *remainder = r;
    return CALC_OK;
}

/* From the top bit of the exponent down, so that no square is computed in vain. */
static enum calc_error big_power(const struct big *base, const struct big *exponent, struct big *power) {
    if (exponent->negative)
        return CALC_ERR_DOMAIN;
    struct big result;
    enum calc_error error = CALC_OK;
    big_set(&result, 1);
    for (int bit = 32 * exponent->size - 1; bit >= 0 && error == CALC_OK; bit--) {
        error = big_multiply(&result, &result, &result);
        if (error == CALC_OK && exponent->limbs[bit / 32] >> (bit % 32) & 1)
            error = big_multiply(&result, base, &result);
    }
    *power = result;
    return error;
}

static enum calc_error big_factorial(const struct big *n, struct big *result) {
    if (n->negative)
        return CALC_ERR_DOMAIN;
    struct big factor, product;
    enum calc_error error = n->size > 1 ? CALC_ERR_OVERFLOW : CALC_OK;
    uint32_t limit = n->size > 0 ? n->limbs[0] : 0;
    big_set(&product, 1);
    for (uint32_t i = 2; i <= limit && error == CALC_OK; i++) {
        big_set(&factor, i);
        error = big_multiply(&product, &factor, &product);
    }
    *result = product;
    return error;
}

static void big_to_text(const struct big *a, char *out) {
    char digits[MAX_DIGITS];
    struct big rest = *a;
    size_t count = 0;
    do {
        uint32_t group = divide_small(&rest, 1000000000u);
        for (int i = 0; i < 9 && (rest.size > 0 || group > 0 || count == 0); i++, group /= 10)
            digits[count++] = (char)('0' + group % 10);
    } while (rest.size > 0);
    if (a->negative)
        *out++ = '-';
    while (count > 0)
        *out++ = digits[--count];
    *out = '\0';
}

/* ---- tokeniser ----------------------------------------------------------------------------- */

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_VARIABLE, TOKEN_OPERATOR };

struct token {
    enum token_kind kind;
    int column;
    char letter; /* the variable or the operator: 'e' for ==, 'n' for !=, 'l' for <=, 'g' for >= */
    struct big number;
};

struct calc {
    struct big variables[26];
    uint32_t variables_set; /* a bit each */
    const char *line, *pos;
    struct token token;
    int depth;
    enum calc_error error;
    int error_column;
};

static void fail(struct calc *calc, enum calc_error error, int column) {
    if (error == CALC_OK || calc->error != CALC_OK)
        return;
    calc->error = error;
    calc->error_column = column;
}

static void read_number(struct calc *calc) {
    struct big base, digit, *number = &calc->token.number;
    big_set(&base, 10);
    big_set(number, 0);
    enum calc_error error = CALC_OK;
    for (; isdigit((unsigned char)*calc->pos) && error == CALC_OK; calc->pos++) {
        big_set(&digit, (uint32_t)(*calc->pos - '0'));
        error = big_multiply(number, &base, number);
        if (error == CALC_OK)
            error = big_add(number, &digit, false, number);
    }
    fail(calc, error, calc->token.column);
}

static void next_token(struct calc *calc) {
    struct token *token = &calc->token;
    while (*calc->pos == ' ')
        calc->pos++;
    char c = *calc->pos;
    token->column = (int)(calc->pos - calc->line) + 1;
    token->kind = TOKEN_END;
    if (c == '\0')
        return;
    if (isdigit((unsigned char)c)) {
        token->kind = TOKEN_NUMBER;
        read_number(calc);
        return;
    }
    token->letter = c;
    token->kind = c >= 'a' && c <= 'z' ? TOKEN_VARIABLE : TOKEN_OPERATOR;
    calc->pos++;
    if (token->kind == TOKEN_OPERATOR && !strchr("+-*/%^!()=<>;", c))
        fail(calc, CALC_ERR_CHARACTER, token->column);
    if (*calc->pos == '=' && strchr("=!<>", c)) {
        token->letter = c == '=' ? 'e' : c == '!' ? 'n' : c == '<' ? 'l' : 'g';
        calc->pos++;
    }
}

static bool at_operator(const struct calc *calc, char letter) {
    return calc->token.kind == TOKEN_OPERATOR && calc->token.letter == letter;
}

/* ---- parser -------------------------------------------------------------------------------- */

#define PREFIX_POWER 8
#define POSTFIX_POWER 12

/* How tightly an operator binds on its left and on its right. */
static const struct infix {
    char letter;
    int left, right;
} infixes[] = {
    {'e', 2, 3}, {'n', 2, 3}, {'<', 2, 3}, {'>', 2, 3}, {'l', 2, 3}, {'g', 2, 3},
    {'+', 4, 5}, {'-', 4, 5}, {'*', 6, 7}, {'/', 6, 7}, {'%', 6, 7}, {'^', 11, 10},
};

static void parse_expression(struct calc *calc, int min_power, struct big *value);

static bool holds(char comparison, int order) {
    switch (comparison) {
    case 'e':
        return order == 0;
    case 'n':
        return order != 0;
    case '<':
        return order < 0;
    case '>':
        return order > 0;
    case 'l':
        return order <= 0;
    default:
        return order >= 0;
    }
}

static enum calc_error apply(char letter, const struct big *a, const struct big *b, struct big *result) {
    struct big unused;
    switch (letter) {
    case '+':
        return big_add(a, b, false, result);
    case '-':
        return big_add(a, b, true, result);
    case '*':
        return big_multiply(a, b, result);
    case '/':
        return big_divide(a, b, result, &unused);
    case '%':
        return big_divide(a, b, &unused, result);
    case '^':
        return big_power(a, b, result);
    default:
        big_set(result, holds(letter, big_compare(a, b)));
        return CALC_OK;
    }
}

static void parse_variable(struct calc *calc, int min_power, struct big *value) {
    int index = calc->token.letter - 'a', column = calc->token.column;
    next_token(calc);
    if (at_operator(calc, '=') && min_power == 0) {
        next_token(calc);
        parse_expression(calc, 0, value);
        if (calc->error != CALC_OK)
            return;
        calc->variables[index] = *value;
        calc->variables_set |= 1u << index;
    } else if (calc->variables_set >> index & 1) {
        *value = calc->variables[index];
    } else {
        fail(calc, CALC_ERR_UNSET, column);
    }
}

static void parse_operand(struct calc *calc, int min_power, struct big *value) {
    big_set(value, 0);
    if (calc->token.kind == TOKEN_NUMBER) {
        *value = calc->token.number;
        next_token(calc);
    } else if (calc->token.kind == TOKEN_VARIABLE) {
        parse_variable(calc, min_power, value);
    } else if (at_operator(calc, '-')) {
        next_token(calc);
        parse_expression(calc, PREFIX_POWER, value);
        value->negative = value->size > 0 && !value->negative;
    } else if (at_operator(calc, '(')) {
        next_token(calc);
        parse_expression(calc, 0, value);
        if (!at_operator(calc, ')'))
            fail(calc, CALC_ERR_SYNTAX, calc->token.column);
        next_token(calc);
    } else {
        fail(calc, CALC_ERR_SYNTAX, calc->token.column);
    }
}

static const struct infix *find_infix(const struct calc *calc) {
    for (size_t i = 0; i < sizeof infixes / sizeof infixes[0]; i++) {
        if (at_operator(calc, infixes[i].letter))
            return &infixes[i];
    }
    return NULL;
}

static void parse_expression(struct calc *calc, int min_power, struct big *value) {
    if (++calc->depth > MAX_DEPTH)
        fail(calc, CALC_ERR_DEPTH, calc->token.column);
    else
        parse_operand(calc, min_power, value);
    while (calc->error == CALC_OK) {
        int column = calc->token.column;
        if (at_operator(calc, '!') && POSTFIX_POWER >= min_power) {
            next_token(calc);
            fail(calc, big_factorial(value, value), column);
            continue;
        }
        const struct infix *infix = find_infix(calc);
        if (!infix || infix->left < min_power)
            break;
        struct big right;
        next_token(calc);
        parse_expression(calc, infix->right, &right);
        if (calc->error == CALC_OK)
            fail(calc, apply(infix->letter, value, &right, value), column);
    }
    calc->depth--;
}

/* Evaluates statements separated by semicolons; the value is that of the last one. */
static enum calc_error calc_run(struct calc *calc, const char *line, struct big *value) {
    calc->line = calc->pos = line;
    calc->depth = 0;
    calc->error = CALC_OK;
    calc->error_column = 0;
    do {
        next_token(calc);
        parse_expression(calc, 0, value);
    } while (at_operator(calc, ';') && calc->error == CALC_OK);
    if (calc->token.kind != TOKEN_END)
        fail(calc, CALC_ERR_SYNTAX, calc->token.column);
    return calc->error;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;
static struct calc calc;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("calc.c:%d: failed: %s\n", line, what);
    }
}

static void check_value(const char *line, const char *expected) {
    char text[MAX_DIGITS];
    struct big value;
    bool ok = calc_run(&calc, line, &value) == CALC_OK;
    if (ok)
        big_to_text(&value, text);
    check(ok && strcmp(text, expected) == 0, line, __LINE__);
}

static void check_values(void) {
    static const char *const cases[][2] = {
        {"1 + 2 * 3 - -4", "11"},
        {"(1 + 2) * 3 % 5", "4"},
        {"-7 / 2; -7 % 2 + 10 * (7 / -2)", "-31"},
        {"-2 ^ 2", "-4"},
        {"2 ^ 3 ^ 2", "512"},
        {"3! ! / 6!", "1"},
        {"1 < 2 == 1", "1"},
        {"(3 >= 4) + (3 != 4) + (3 <= 3) + (4 > 5)", "2"},
        {"0 - 0", "0"},
        {"0 ^ 0", "1"},
        {"1000000000000000000000 - 1", "999999999999999999999"},
        {"2 ^ 128", "340282366920938463463374607431768211456"},
        {"30!", "265252859812191058636308480000000"},
        {"12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"},
        {"10 ^ 60 / (10 ^ 30 + 1)", "999999999999999999999999999999"},
        {"10 ^ 60 % (10 ^ 30 + 1)", "1"},
        {"(2 ^ 128 - 2 ^ 96 + 5) / (2 ^ 64 - 1)", "18446744069414584320"},
        {"(2 ^ 128 - 2 ^ 96 + 5) % (2 ^ 64 - 1)", "18446744069414584325"},
        {"a = b = 6; a * b", "36"},
        {"1 == 1; a", "6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_value(cases[i][0], cases[i][1]);
}

static void check_errors(void) {
    static const struct {
        const char *line;
        enum calc_error error;
        int column;
    } cases[] = {
        {"", CALC_ERR_SYNTAX, 1},           {"1 + ", CALC_ERR_SYNTAX, 5},        {"(1 + 2", CALC_ERR_SYNTAX, 7},
        {"1 2", CALC_ERR_SYNTAX, 3},        {"2 + a = 3", CALC_ERR_SYNTAX, 7},   {"1 + $", CALC_ERR_CHARACTER, 5},
        {"4 * n", CALC_ERR_UNSET, 5},       {"7 / (3 - 3)", CALC_ERR_DIVIDE, 3}, {"2 ^ 4096", CALC_ERR_OVERFLOW, 3},
        {"1 + 2 ^ -1", CALC_ERR_DOMAIN, 7}, {"(-3)!", CALC_ERR_DOMAIN, 5},       {"1)", CALC_ERR_SYNTAX, 2}};
    struct big value;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum calc_error error = calc_run(&calc, cases[i].line, &value);
        check(error == cases[i].error && calc.error_column == cases[i].column, cases[i].line, __LINE__);
    }
    char deep[MAX_DEPTH + 2];
    memset(deep, '(', MAX_DEPTH + 1);
    deep[MAX_DEPTH + 1] = '\0';
    check(calc_run(&calc, deep, &value) == CALC_ERR_DEPTH, "too many parentheses", __LINE__);
}

/* Identities over operands of many sizes, with runs of zero and one bits to stress the division. */
static void check_identities(void) {
    static const char *const identities[] = {
        "(x / y) * y + x % y == x", "(x + y) * (x - y) == x ^ 2 - y ^ 2", "(x % y) ^ 2 < y ^ 2",
        "(x * y) / y == x",         "(x < y) + (x == y) + (x > y) == 1",
    };
    uint32_t state = 20240229;
    for (int round = 0; round < 60; round++) {
        char line[160];
        unsigned numbers[6];
        for (int i = 0; i < 6; i++) {
            state = state * 1664525u + 1013904223u;
            numbers[i] = state >> 8;
        }
        snprintf(line, sizeof line, "x = 2 ^ %u - 2 ^ %u + %u; y = %u - 3 ^ %u * 2 ^ %u", numbers[0] % 1500,
                 numbers[1] % 1200, numbers[2] % 1000, numbers[3], numbers[4] % 300, numbers[5] % 200);
        struct big value;
        check(calc_run(&calc, line, &value) == CALC_OK, line, __LINE__);
        for (size_t i = 0; i < sizeof identities / sizeof identities[0]; i++)
            check_value(identities[i], "1");
    }
}

int main(void) {
    check_values();
    check_errors();
    check_identities();
    if (checks_failed) {
        printf("calc: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("calc: ok (%d checks)\n", checks_run);
    return 0;
}
