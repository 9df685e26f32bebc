/*
 * regex.c - a regular expression matcher: a one-pass compiler into a small program, and a Pike
 * machine that runs all alternatives side by side, so that time is bounded by the product of the
 * program and the text, whatever the pattern.
 *
 * Supported: literals, ., [a-z] and [^a-z], \d \w \s and their negations, \n \t \r, ^ $ \b \B,
 * ( ) and (?: ), |, * + ? {n} {n,} {n,m}, and the lazy forms with a trailing ?.
 * Alternatives have Perl's priorities. Text is bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_CLASSES 32
#define MAX_PROGRAM 512
#define MAX_REPEAT 100
#define MAX_DEPTH 32
#define MAX_GROUPS 10
#define NUM_SLOTS (2 * MAX_GROUPS)
#define UNBOUNDED (-1)

enum regex_error {
    REGEX_OK,
    REGEX_ERR_PAREN,
    REGEX_ERR_BRACKET,
    REGEX_ERR_BRACE,
    REGEX_ERR_REPEAT,
    REGEX_ERR_ESCAPE,
    REGEX_ERR_TOO_BIG,
};

/* CHAR, ANY and CLASS eat a byte. SPLIT prefers x to y. SAVE stores the position in slot x. The
 * targets of SPLIT and JUMP are relative, so that code can be moved and copied as it is. */
enum opcode { OP_CHAR, OP_ANY, OP_CLASS, OP_ASSERT, OP_SPLIT, OP_JUMP, OP_SAVE, OP_MATCH };

struct instruction {
    enum opcode opcode;
    int x, y;
};

struct char_class {
    uint32_t bits[8];
};

struct regex {
    struct instruction program[MAX_PROGRAM];
    int program_size;
    struct char_class classes[MAX_CLASSES];
    int num_classes;
    int num_groups;
};

struct compiler {
    struct regex *regex;
    const char *pos; /* on an error: where it is */
    int depth;
    enum regex_error error;
};

/* ---- character classes --------------------------------------------------------------------- */

static void class_add(struct char_class *set, int low, int high) {
    for (int c = low; c <= high; c++)
        set->bits[c / 32] |= 1u << (c % 32);
}

static bool class_has(const struct char_class *set, unsigned char c) { return set->bits[c / 32] >> (c % 32) & 1; }

static void class_invert(struct char_class *set) {
    for (int i = 0; i < 8; i++)
        set->bits[i] = ~set->bits[i];
}

/* Adds what \d, \w, \s or a capital form stands for; false for any other letter. */
static bool class_add_escape(struct char_class *set, char letter) {
    static const char *const named[] = {"d09", "w09AZaz__", "s\t\r  "};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if ((letter | 0x20) != named[i][0])
            continue;
        struct char_class wanted = {{0}};
        for (const char *range = named[i] + 1; *range; range += 2)
            class_add(&wanted, range[0], range[1]);
        if (letter != named[i][0])
            class_invert(&wanted);
        for (int k = 0; k < 8; k++)
            set->bits[k] |= wanted.bits[k];
        return true;
    }
    return false;
}

/* ---- compiler ------------------------------------------------------------------------------ */

static int fail(struct compiler *c, enum regex_error error) {
    if (c->error == REGEX_OK)
        c->error = error;
    return 0;
}

static void emit(struct compiler *c, enum opcode opcode, int x, int y) {
    if (c->regex->program_size == MAX_PROGRAM)
        fail(c, REGEX_ERR_TOO_BIG);
    else
        c->regex->program[c->regex->program_size++] = (struct instruction){opcode, x, y};
}

static void emit_split(struct compiler *c, int first, int second, bool lazy) {
    emit(c, OP_SPLIT, lazy ? second : first, lazy ? first : second);
}

static void emit_copy(struct compiler *c, const struct instruction *code, int size) {
    for (int i = 0; i < size; i++)
        emit(c, code[i].opcode, code[i].x, code[i].y);
}

static struct char_class *new_class(struct compiler *c) {
    if (c->regex->num_classes == MAX_CLASSES)
        return &c->regex->classes[fail(c, REGEX_ERR_TOO_BIG)];
    emit(c, OP_CLASS, c->regex->num_classes, 0);
    return &c->regex->classes[c->regex->num_classes++];
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* The byte an escape stands for; the backslash is behind us. Punctuation stands for itself. */
static int parse_escaped_byte(struct compiler *c) {
    static const char letters[] = "ntr", bytes[] = "\n\t\r";
    char letter = *c->pos;
    const char *control = letter ? strchr(letters, letter) : NULL;
    if (letter == '\0' || (is_word(letter) && !control))
        return fail(c, REGEX_ERR_ESCAPE);
    c->pos++;
    return control ? bytes[control - letters] : (unsigned char)letter;
}

static int parse_class_byte(struct compiler *c) {
    if (*c->pos == '\0')
        return fail(c, REGEX_ERR_BRACKET);
    if (*c->pos != '\\')
        return (unsigned char)*c->pos++;
    c->pos++;
    return parse_escaped_byte(c);
}

static void parse_class(struct compiler *c) {
    struct char_class *set = new_class(c);
    bool inverted = *c->pos == '^', first = true;
    if (inverted)
        c->pos++;
    for (; (*c->pos != ']' || first) && c->error == REGEX_OK; first = false) {
        if (*c->pos == '\\' && class_add_escape(set, c->pos[1])) {
            c->pos += 2;
            continue;
        }
        int low = parse_class_byte(c), high = low;
        if (c->pos[0] == '-' && c->pos[1] != ']') {
            c->pos++;
            high = parse_class_byte(c);
            if (high < low)
                fail(c, REGEX_ERR_BRACKET);
        }
        class_add(set, low, high);
    }
    if (c->error != REGEX_OK)
        return;
    c->pos++;
    if (inverted)
        class_invert(set);
}

static void parse_alternatives(struct compiler *c);

static void parse_group(struct compiler *c) {
    bool captures = c->pos[0] != '?' || c->pos[1] != ':';
    int group = captures ? c->regex->num_groups++ : 0;
    if (group == MAX_GROUPS || ++c->depth > MAX_DEPTH) {
        fail(c, REGEX_ERR_TOO_BIG);
        return;
    }
    if (captures)
        emit(c, OP_SAVE, 2 * group, 0);
    else
        c->pos += 2;
    parse_alternatives(c);
    c->depth--;
    if (captures)
        emit(c, OP_SAVE, 2 * group + 1, 0);
    if (c->error != REGEX_OK)
        return;
    if (*c->pos == ')')
        c->pos++;
    else
        fail(c, REGEX_ERR_PAREN);
}

static void parse_escape(struct compiler *c) {
    if (*c->pos == 'b' || *c->pos == 'B')
        emit(c, OP_ASSERT, *c->pos++, 0);
    else if (*c->pos && strchr("dDwWsS", *c->pos))
        class_add_escape(new_class(c), *c->pos++);
    else
        emit(c, OP_CHAR, parse_escaped_byte(c), 0);
}

static void parse_atom(struct compiler *c) {
    char byte = *c->pos++;
    switch (byte) {
    case '(':
        parse_group(c);
        break;
    case '[':
        parse_class(c);
        break;
    case '\\':
        parse_escape(c);
        break;
    case '.':
        emit(c, OP_ANY, 0, 0);
        break;
    case '^':
    case '$':
        emit(c, OP_ASSERT, byte, 0);
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        c->pos--;
        fail(c, REGEX_ERR_REPEAT);
        break;
    default:
        emit(c, OP_CHAR, (unsigned char)byte, 0);
    }
}

static bool parse_count(struct compiler *c, int *count) {
    const char *start = c->pos;
    for (*count = 0; *c->pos >= '0' && *c->pos <= '9'; c->pos++) {
        *count = 10 * *count + (*c->pos - '0');
        if (*count > MAX_REPEAT)
            return false;
    }
    return c->pos > start;
}

static bool parse_braces(struct compiler *c, int *min, int *max) {
    c->pos++;
    if (!parse_count(c, min))
        return false;
    *max = *min;
    if (*c->pos == ',') {
        c->pos++;
        if (*c->pos == '}')
            *max = UNBOUNDED;
        else if (!parse_count(c, max) || *max < *min)
            return false;
    }
    if (*c->pos != '}')
        return false;
    c->pos++;
    return true;
}

/* Reads a quantifier; false when there is none, and on an error. */
static bool parse_quantifier(struct compiler *c, int *min, int *max) {
    char byte = *c->pos;
    *min = byte == '+';
    *max = byte == '?' ? 1 : UNBOUNDED;
    if (byte == '{') {
        return parse_braces(c, min, max) || fail(c, REGEX_ERR_BRACE);
    }
    if (byte != '*' && byte != '+' && byte != '?')
        return false;
    c->pos++;
    return true;
}

static void parse_repeat(struct compiler *c) {
    struct instruction body[MAX_PROGRAM];
    int start = c->regex->program_size, min, max;
    parse_atom(c);
    while (c->error == REGEX_OK && parse_quantifier(c, &min, &max)) {
        bool lazy = *c->pos == '?';
        if (lazy)
            c->pos++;
        int size = c->regex->program_size - start;
        memcpy(body, &c->regex->program[start], (size_t)size * sizeof body[0]);
        c->regex->program_size = start;
        for (int i = 0; i < min; i++)
            emit_copy(c, body, size);
        if (max == UNBOUNDED && min > 0) {
            emit_split(c, -size, 1, lazy);
        } else if (max == UNBOUNDED) {
            emit_split(c, 1, size + 2, lazy);
            emit_copy(c, body, size);
            emit(c, OP_JUMP, -(size + 1), 0);
        }
        for (int left = max - min; left > 0; left--) {
            emit_split(c, 1, left * (size + 1), lazy);
            emit_copy(c, body, size);
        }
    }
}

static void parse_alternatives(struct compiler *c) {
    struct instruction *program = c->regex->program;
    int start = c->regex->program_size;
    while (*c->pos && *c->pos != '|' && *c->pos != ')' && c->error == REGEX_OK)
        parse_repeat(c);
    if (*c->pos != '|' || c->error != REGEX_OK)
        return;
    int size = c->regex->program_size - start, jump = c->regex->program_size + 1;
    emit(c, OP_JUMP, 0, 0);
    emit(c, OP_JUMP, 0, 0);
    if (c->error != REGEX_OK)
        return;
    memmove(&program[start + 1], &program[start], (size_t)size * sizeof program[0]);
    program[start] = (struct instruction){OP_SPLIT, 1, size + 2};
    program[jump] = (struct instruction){OP_JUMP, 0, 0};
    c->pos++;
    parse_alternatives(c);
    program[jump].x = c->regex->program_size - jump;
}

/* On an error *error_column is where it is, in bytes from 1. Group 0 is the whole match. */
static enum regex_error regex_compile(struct regex *regex, const char *pattern, int *error_column) {
    struct compiler c = {regex, pattern, 0, REGEX_OK};
    memset(regex, 0, sizeof *regex);
    regex->num_groups = 1;
    emit(&c, OP_SAVE, 0, 0);
    parse_alternatives(&c);
    if (c.error == REGEX_OK && *c.pos == ')')
        fail(&c, REGEX_ERR_PAREN);
    emit(&c, OP_SAVE, 1, 0);
    emit(&c, OP_MATCH, 0, 0);
    *error_column = c.error == REGEX_OK ? 0 : (int)(c.pos - pattern) + 1;
    return c.error;
}

/* ---- matching ------------------------------------------------------------------------------ */

struct thread_list {
    int count;
    int pc[MAX_PROGRAM];
    int slots[MAX_PROGRAM][NUM_SLOTS];
};

struct machine {
    const struct regex *regex;
    const char *text;
    int size;
    int seen[MAX_PROGRAM]; /* 1 + the position this instruction was last added at */
    struct thread_list lists[2];
};

static bool assertion_holds(int assertion, const char *text, int size, int pos) {
    bool before = pos > 0 && is_word(text[pos - 1]);
    bool after = pos < size && is_word(text[pos]);
    if (assertion == '^')
        return pos == 0;
    if (assertion == '$')
        return pos == size;
    return (before != after) == (assertion == 'b');
}

static bool eats(const struct regex *regex, const struct instruction *instruction, char c) {
    switch (instruction->opcode) {
    case OP_CHAR:
        return (unsigned char)c == instruction->x;
    case OP_ANY:
        return c != '\n';
    case OP_CLASS:
        return class_has(&regex->classes[instruction->x], (unsigned char)c);
    default:
        return false;
    }
}

/* Adds the thread, or, where it does not eat, all it turns into, in the order of priority. */
static void add_thread(struct machine *m, struct thread_list *list, int pc, int pos, int *slots) {
    if (m->seen[pc] == pos + 1)
        return;
    m->seen[pc] = pos + 1;
    const struct instruction *instruction = &m->regex->program[pc];
    int saved;
    switch (instruction->opcode) {
    case OP_JUMP:
        add_thread(m, list, pc + instruction->x, pos, slots);
        break;
    case OP_SPLIT:
        add_thread(m, list, pc + instruction->x, pos, slots);
        add_thread(m, list, pc + instruction->y, pos, slots);
        break;
    case OP_ASSERT:
        if (assertion_holds(instruction->x, m->text, m->size, pos))
            add_thread(m, list, pc + 1, pos, slots);
        break;
    case OP_SAVE:
        saved = slots[instruction->x];
        slots[instruction->x] = pos;
        add_thread(m, list, pc + 1, pos, slots);
        slots[instruction->x] = saved;
        break;
    default:
        list->pc[list->count] = pc;
        memcpy(list->slots[list->count], slots, sizeof list->slots[0]);
        list->count++;
    }
}

/* Finds the leftmost match. slots[2n] and slots[2n + 1] bound group n, or are -1. */
static bool regex_search(const struct regex *regex, const char *text, int slots[NUM_SLOTS]) {
    static struct machine m;
    memset(&m, 0, sizeof m);
    m.regex = regex;
    m.text = text;
    m.size = (int)strlen(text);
    int empty[NUM_SLOTS];
    bool matched = false;
    memset(empty, -1, sizeof empty);
    for (int pos = 0; pos <= m.size; pos++) {
        struct thread_list *now = &m.lists[pos % 2], *next = &m.lists[1 - pos % 2];
        if (!matched)
            add_thread(&m, now, 0, pos, empty);
        next->count = 0;
        for (int i = 0; i < now->count; i++) {
            const struct instruction *instruction = &regex->program[now->pc[i]];
            if (instruction->opcode == OP_MATCH) {
                memcpy(slots, now->slots[i], sizeof now->slots[0]);
                matched = true;
                break;
            }
            if (pos < m.size && eats(regex, instruction, text[pos]))
                add_thread(&m, next, now->pc[i] + 1, pos + 1, now->slots[i]);
        }
    }
    return matched;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;
static struct regex regex;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("regex.c:%d: failed: %s\n", line, what);
    }
}

static void check_matches(void) {
    static const struct {
        const char *pattern, *text;
        int slots[6]; /* of the first three groups; all zero for no match */
    } cases[] = {
        {"abc", "xxabcxx", {2, 5, -1, -1, -1, -1}},
        {"a.c", "a\nc abc", {4, 7, -1, -1, -1, -1}},
        {"^$", "", {0, 0, -1, -1, -1, -1}},
        {"(a+)(b*)", "xaab", {1, 4, 1, 3, 3, 4}},
        {"(a+?)(a*)", "aaa", {0, 3, 0, 1, 1, 3}},
        {"(a|ab)(c|bcd)", "abcd", {0, 4, 0, 1, 1, 4}},
        {"(foo|foobar)$", "foobar", {0, 6, 0, 6, -1, -1}},
        {"(a)|(b)", "xb", {1, 2, -1, -1, 1, 2}},
        {"(?:ab){2,3}", "abababab", {0, 6, -1, -1, -1, -1}},
        {"(?:ab){2,3}?", "abababab", {0, 4, -1, -1, -1, -1}},
        {"a{3,}", "aa", {0}},
        {"xa{0}y", "axy", {1, 3, -1, -1, -1, -1}},
        {"(a*)+", "b", {0, 0, 0, 0, -1, -1}},
        {"(?:a?){20}a{20}", "aaaaaaaaaaaaaaaaaaaa", {0, 20, -1, -1, -1, -1}},
        {"[]a-c-]+", "x-]b", {1, 4, -1, -1, -1, -1}},
        {"[^\\d\\s]+", "12 ab3", {3, 5, -1, -1, -1, -1}},
        {"\\bcat\\b", "concat cat", {7, 10, -1, -1, -1, -1}},
        {"\\Bcat", "cat concat", {7, 10, -1, -1, -1, -1}},
        {"\\.\\t", "A.\t", {1, 3, -1, -1, -1, -1}},
        {"([\\w.]+)@((?:\\w+\\.)+\\w+)", "to: j.doe@mail.example.org.", {4, 26, 4, 9, 10, 26}},
        {"\\D(\\d{1,3})(?:\\.(\\d{1,3})){3}", "ip 192.168.0.17", {2, 15, 3, 6, 13, 15}},
        {"[^ -~]+", "na\xC3\xAFve", {2, 4, -1, -1, -1, -1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int slots[NUM_SLOTS] = {0}, column;
        enum regex_error error = regex_compile(&regex, cases[i].pattern, &column);
        bool matched = error == REGEX_OK && regex_search(&regex, cases[i].text, slots);
        check(matched == (cases[i].slots[4] != 0), cases[i].pattern, __LINE__);
        check(memcmp(slots, cases[i].slots, sizeof cases[i].slots) == 0, cases[i].pattern, __LINE__);
    }
}

static void check_errors(void) {
    static const struct {
        const char *pattern;
        enum regex_error error;
        int column;
    } cases[] = {
        {"a(b", REGEX_ERR_PAREN, 4},           {"ab)c", REGEX_ERR_PAREN, 3},   {"x[abc", REGEX_ERR_BRACKET, 6},
        {"[z-a]", REGEX_ERR_BRACKET, 5},       {"a|*b", REGEX_ERR_REPEAT, 3},  {"(+)", REGEX_ERR_REPEAT, 2},
        {"a{2,1}", REGEX_ERR_BRACE, 6},        {"a{101}", REGEX_ERR_BRACE, 5}, {"\\q", REGEX_ERR_ESCAPE, 2},
        {"[a\\x]", REGEX_ERR_ESCAPE, 4},       {"ab\\", REGEX_ERR_ESCAPE, 4},  {"a{2", REGEX_ERR_BRACE, 4},
        {"(a{90}){9}", REGEX_ERR_TOO_BIG, 11},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int column;
        enum regex_error error = regex_compile(&regex, cases[i].pattern, &column);
        check(error == cases[i].error && column == cases[i].column, cases[i].pattern, __LINE__);
    }
}

/* The same program run by plain backtracking: what the machine is compared with. */
static bool backtrack(const char *text, int pc, int pos, int *slots, bool (*seen)[64]) {
    if (seen[pc][pos])
        return false;
    seen[pc][pos] = true;
    const struct instruction *instruction = &regex.program[pc];
    int saved;
    switch (instruction->opcode) {
    case OP_MATCH:
        return true;
    case OP_JUMP:
        return backtrack(text, pc + instruction->x, pos, slots, seen);
    case OP_SPLIT:
        return backtrack(text, pc + instruction->x, pos, slots, seen) ||
               backtrack(text, pc + instruction->y, pos, slots, seen);
    case OP_ASSERT:
        return assertion_holds(instruction->x, text, (int)strlen(text), pos) &&
               backtrack(text, pc + 1, pos, slots, seen);
    case OP_SAVE:
        saved = slots[instruction->x];
        slots[instruction->x] = pos;
        if (backtrack(text, pc + 1, pos, slots, seen))
            return true;
        slots[instruction->x] = saved;
        return false;
    default:
        return text[pos] && eats(&regex, instruction, text[pos]) && backtrack(text, pc + 1, pos + 1, slots, seen);
    }
}

static unsigned random_below(unsigned bound) {
    static uint32_t state = 12345;
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % bound;
}

static char *random_pattern(char *out, int depth) {
    static const char *const atoms[] = {"a", "b", ".", "[ab]", "[^a]", "^", "$", "\\b"};
    static const char *const quantifiers[] = {"", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,2}", "{0,2}?"};
    for (unsigned n = 1 + random_below(3); n > 0; n--) {
        if (depth > 0 && random_below(3) == 0) {
            *out++ = '(';
            out = random_pattern(out, depth - 1);
            *out++ = '|';
            out = random_pattern(out, depth - 1);
            *out++ = ')';
        } else {
            out += strlen(strcpy(out, atoms[random_below(8)]));
        }
        out += strlen(strcpy(out, quantifiers[random_below(11)]));
    }
    return out;
}

static void check_against_backtracking(void) {
    static bool seen[MAX_PROGRAM][64];
    for (int round = 0; round < 1500; round++) {
        char pattern[1500], text[13];
        int slots[NUM_SLOTS], expected[NUM_SLOTS], column;
        *random_pattern(pattern, 2) = '\0';
        if (regex_compile(&regex, pattern, &column) != REGEX_OK)
            continue;
        unsigned size = random_below(sizeof text);
        for (unsigned i = 0; i < size; i++)
            text[i] = "aab "[random_below(4)];
        text[size] = '\0';

        bool found = false;
        memset(expected, -1, sizeof expected);
        memset(seen, 0, sizeof seen);
        for (int pos = 0; pos <= (int)size && !found; pos++)
            found = backtrack(text, 0, pos, expected, seen);
        memset(slots, -1, sizeof slots);
        check(regex_search(&regex, text, slots) == found, pattern, __LINE__);
        check(memcmp(slots, expected, sizeof slots) == 0, pattern, __LINE__);
    }
}

int main(void) {
    check_matches();
    check_errors();
    check_against_backtracking();
    if (checks_failed) {
        printf("regex: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("regex: ok (%d checks)\n", checks_run);
    return 0;
}
