/*
 * json.c - a strict JSON (RFC 8259) parser into a tree, and a printer, compact or indenting.
 * Errors carry the line and the column they were found at.
 *
 * Strings are checked and kept as UTF-8. Numbers are doubles; they print with as few digits as
 * read back the same. Duplicate keys are kept.
 */
#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

static const char *const words[] = {[JSON_NULL] = "null", [JSON_FALSE] = "false", [JSON_TRUE] = "true"};

struct json_string {
    char *bytes; /* NUL-terminated, and may hold NUL bytes of its own */
    size_t length;
};

struct json_value {
    enum json_type type;
    struct json_string key; /* of a member of an object, otherwise without bytes */
    union {
        double number;
        struct json_string string;
        struct {
            struct json_value *items;
            size_t count;
        } list; /* an array or an object */
    } u;
};

enum json_error {
    JSON_OK,
    JSON_ERR_MEMORY,
    JSON_ERR_END,
    JSON_ERR_TOKEN,
    JSON_ERR_NUMBER,
    JSON_ERR_ESCAPE,
    JSON_ERR_CONTROL,
    JSON_ERR_UTF8,
    JSON_ERR_DEPTH,
    JSON_ERR_TRAILING,
};

struct json_report {
    enum json_error error;
    int line;
    int column; /* in bytes, from 1 */
};

struct buffer {
    char *bytes;
    size_t length;
    size_t capacity;
    bool failed;
};

static void buffer_add(struct buffer *buffer, const char *bytes, size_t length) {
    if (buffer->failed)
        return;
    if (buffer->capacity - buffer->length <= length) {
        size_t capacity = 2 * (buffer->length + length) + 16;
        char *grown = realloc(buffer->bytes, capacity);
        if (!grown) {
            buffer->failed = true;
            return;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
}

static void buffer_add_char(struct buffer *buffer, char c) { buffer_add(buffer, &c, 1); }

static void buffer_add_text(struct buffer *buffer, const char *text) { buffer_add(buffer, text, strlen(text)); }

static void buffer_add_code_point(struct buffer *buffer, uint32_t code) {
    static const uint8_t leads[] = {0x00, 0xC0, 0xE0, 0xF0};
    int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    buffer_add_char(buffer, (char)(leads[more] | code >> (6 * more)));
    while (more-- > 0)
        buffer_add_char(buffer, (char)(0x80 | (code >> (6 * more) & 0x3F)));
}

/* ---- parser -------------------------------------------------------------------------------- */

struct parser {
    const char *pos; /* on an error: where it is */
    int depth;
    enum json_error error;
};

static void json_free(struct json_value *value) {
    free(value->key.bytes);
    if (value->type == JSON_STRING)
        free(value->u.string.bytes);
    if (value->type == JSON_ARRAY || value->type == JSON_OBJECT) {
        for (size_t i = 0; i < value->u.list.count; i++)
            json_free(&value->u.list.items[i]);
        free(value->u.list.items);
    }
    memset(value, 0, sizeof *value);
}

static bool fail(struct parser *parser, enum json_error error) {
    parser->error = error;
    return false;
}

/* The character at hand is wrong; the end of the text has an error of its own. */
static bool fail_here(struct parser *parser, enum json_error error) {
    return fail(parser, *parser->pos ? error : JSON_ERR_END);
}

static void skip_space(struct parser *parser) {
    while (*parser->pos == ' ' || *parser->pos == '\t' || *parser->pos == '\n' || *parser->pos == '\r')
        parser->pos++;
}

/* Skips space, and then c if it comes next. */
static bool accept(struct parser *parser, char c) {
    skip_space(parser);
    if (*parser->pos != c)
        return false;
    parser->pos++;
    return true;
}

static bool expect(struct parser *parser, char c) { return accept(parser, c) || fail_here(parser, JSON_ERR_TOKEN); }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool parse_digits(struct parser *parser) {
    if (!is_digit(*parser->pos))
        return fail_here(parser, JSON_ERR_NUMBER);
    while (is_digit(*parser->pos))
        parser->pos++;
    return true;
}

static bool parse_number(struct parser *parser, struct json_value *value) {
    const char *start = parser->pos;
    if (*parser->pos == '-')
        parser->pos++;
    if (*parser->pos == '0')
        parser->pos++;
    else if (!parse_digits(parser))
        return false;
    if (is_digit(*parser->pos))
        return fail(parser, JSON_ERR_NUMBER);
    if (*parser->pos == '.') {
        parser->pos++;
        if (!parse_digits(parser))
            return false;
    }
    if (*parser->pos == 'e' || *parser->pos == 'E') {
        parser->pos++;
        if (*parser->pos == '+' || *parser->pos == '-')
            parser->pos++;
        if (!parse_digits(parser))
            return false;
    }
    value->type = JSON_NUMBER;
    value->u.number = strtod(start, NULL);
    if (value->u.number > DBL_MAX || value->u.number < -DBL_MAX)
        return fail(parser, JSON_ERR_NUMBER);
    return true;
}

static bool parse_hex4(struct parser *parser, uint32_t *code) {
    static const char digits[] = "0123456789abcdefABCDEF";
    *code = 0;
    for (int i = 0; i < 4; i++, parser->pos++) {
        const char *digit = *parser->pos ? strchr(digits, *parser->pos) : NULL;
        if (!digit)
            return fail_here(parser, JSON_ERR_ESCAPE);
        uint32_t index = (uint32_t)(digit - digits);
        *code = *code << 4 | (index < 16 ? index : index - 6);
    }
    return true;
}

static const char escape_letters[] = "\"\\/bfnrt";
static const char escape_meanings[] = "\"\\/\b\f\n\r\t";

static bool parse_escape(struct parser *parser, struct buffer *out) {
    char c = *parser->pos;
    const char *letter = c ? strchr(escape_letters, c) : NULL;
    if (letter) {
        buffer_add_char(out, escape_meanings[letter - escape_letters]);
        parser->pos++;
        return true;
    }
    if (c != 'u')
        return fail_here(parser, JSON_ERR_ESCAPE);

    uint32_t code, low;
    parser->pos++;
    if (!parse_hex4(parser, &code))
        return false;
    if (code >= 0xDC00 && code <= 0xDFFF)
        return fail(parser, JSON_ERR_ESCAPE);
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (parser->pos[0] != '\\' || parser->pos[1] != 'u')
            return fail_here(parser, JSON_ERR_ESCAPE);
        parser->pos += 2;
        if (!parse_hex4(parser, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(parser, JSON_ERR_ESCAPE);
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    buffer_add_code_point(out, code);
    return true;
}

/* The length of the well-formed UTF-8 sequence at text, or 0: no overlong forms, no surrogates. */
static size_t utf8_length(const char *text) {
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC0 || p[0] >= 0xF8)
        return 0;
    size_t more = p[0] < 0xE0 ? 1 : p[0] < 0xF0 ? 2 : 3;
    uint32_t code = p[0] & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3F);
    }
    if (code < smallest[more] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    return more + 1;
}

static bool parse_characters(struct parser *parser, struct buffer *out) {
    while (*parser->pos != '"') {
        if (*parser->pos == '\\') {
            parser->pos++;
            if (!parse_escape(parser, out))
                return false;
            continue;
        }
        if ((unsigned char)*parser->pos < 0x20)
            return fail_here(parser, JSON_ERR_CONTROL);
        size_t length = utf8_length(parser->pos);
        if (length == 0)
            return fail(parser, JSON_ERR_UTF8);
        buffer_add(out, parser->pos, length);
        parser->pos += length;
    }
    return out->failed ? fail(parser, JSON_ERR_MEMORY) : true;
}

static bool parse_string(struct parser *parser, struct json_string *string) {
    struct buffer out = {0};
    buffer_add(&out, "", 0);
    parser->pos++;
    if (!parse_characters(parser, &out)) {
        free(out.bytes);
        return false;
    }
    parser->pos++;
    string->bytes = out.bytes;
    string->length = out.length;
    return true;
}

static bool parse_value(struct parser *parser, struct json_value *value);

static bool parse_key(struct parser *parser, struct json_string *key) {
    skip_space(parser);
    if (*parser->pos != '"')
        return fail_here(parser, JSON_ERR_TOKEN);
    return parse_string(parser, key) && expect(parser, ':');
}

/* Parses one item and appends it, also when it is only half parsed, so that it is freed with the
 * list. Capacities are the powers of two, so only the count is stored. */
static bool parse_item(struct parser *parser, struct json_value *list) {
    size_t count = list->u.list.count;
    struct json_value item = {0};
    if ((count & (count - 1)) == 0) {
        struct json_value *grown = realloc(list->u.list.items, (count ? 2 * count : 1) * sizeof *grown);
        if (!grown)
            return fail(parser, JSON_ERR_MEMORY);
        list->u.list.items = grown;
    }
    bool ok = list->type == JSON_ARRAY || parse_key(parser, &item.key);
    ok = ok && parse_value(parser, &item);
    list->u.list.items[list->u.list.count++] = item;
    return ok;
}

static bool parse_list(struct parser *parser, enum json_type type, struct json_value *list) {
    char close = type == JSON_ARRAY ? ']' : '}';
    list->type = type;
    list->u.list.items = NULL;
    list->u.list.count = 0;
    parser->pos++;
    if (accept(parser, close))
        return true;
    while (parse_item(parser, list)) {
        if (accept(parser, close))
            return true;
        if (!expect(parser, ','))
            return false;
    }
    return false;
}

static bool parse_word(struct parser *parser, enum json_type type, struct json_value *value) {
    for (const char *word = words[type]; *word; word++, parser->pos++) {
        if (*parser->pos != *word)
            return fail_here(parser, JSON_ERR_TOKEN);
    }
    value->type = type;
    return true;
}

/* Takes a zeroed value; whatever the result, it is then something json_free() can take. */
static bool parse_value(struct parser *parser, struct json_value *value) {
    skip_space(parser);
    bool ok;
    switch (*parser->pos) {
    case '[':
    case '{':
        if (parser->depth++ == MAX_DEPTH)
            return fail(parser, JSON_ERR_DEPTH);
        ok = parse_list(parser, *parser->pos == '[' ? JSON_ARRAY : JSON_OBJECT, value);
        parser->depth--;
        return ok;
    case '"':
        ok = parse_string(parser, &value->u.string);
        value->type = ok ? JSON_STRING : JSON_NULL;
        return ok;
    case 't':
        return parse_word(parser, JSON_TRUE, value);
    case 'f':
        return parse_word(parser, JSON_FALSE, value);
    case 'n':
        return parse_word(parser, JSON_NULL, value);
    default:
        if (*parser->pos == '-' || is_digit(*parser->pos))
            return parse_number(parser, value);
        return fail_here(parser, JSON_ERR_TOKEN);
    }
}

static bool json_parse(const char *text, struct json_value *value, struct json_report *report) {
    struct parser parser = {text, 0, JSON_OK};
    memset(value, 0, sizeof *value);
    if (parse_value(&parser, value)) {
        skip_space(&parser);
        if (*parser.pos)
            fail(&parser, JSON_ERR_TRAILING);
    }
    report->error = parser.error;
    report->line = 1;
    report->column = 1;
    for (const char *p = text; p < parser.pos; p++) {
        report->column++;
        if (*p == '\n') {
            report->line++;
            report->column = 1;
        }
    }
    if (parser.error == JSON_OK)
        return true;
    json_free(value);
    return false;
}

/* ---- printer ------------------------------------------------------------------------------- */

static void print_string(struct buffer *out, const struct json_string *string) {
    buffer_add_char(out, '"');
    for (size_t i = 0; i < string->length; i++) {
        char c = string->bytes[i];
        const char *meaning = c && c != '/' ? strchr(escape_meanings, c) : NULL;
        char escape[8];
        if (meaning)
            snprintf(escape, sizeof escape, "\\%c", escape_letters[meaning - escape_meanings]);
        else if ((unsigned char)c < 0x20)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)c);
        else
            snprintf(escape, sizeof escape, "%c", c);
        buffer_add_text(out, escape);
    }
    buffer_add_char(out, '"');
}

static void print_number(struct buffer *out, double number) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buffer_add_text(out, text);
}

static void print_break(struct buffer *out, int indent, int depth) {
    if (indent > 0)
        buffer_add_char(out, '\n');
    for (int i = 0; i < indent * depth; i++)
        buffer_add_char(out, ' ');
}

static void print_value(struct buffer *out, const struct json_value *value, int indent, int depth);

static void print_list(struct buffer *out, const struct json_value *list, int indent, int depth) {
    buffer_add_char(out, list->type == JSON_ARRAY ? '[' : '{');
    for (size_t i = 0; i < list->u.list.count; i++) {
        if (i > 0)
            buffer_add_char(out, ',');
        print_break(out, indent, depth + 1);
        if (list->type == JSON_OBJECT) {
            print_string(out, &list->u.list.items[i].key);
            buffer_add_text(out, indent ? ": " : ":");
        }
        print_value(out, &list->u.list.items[i], indent, depth + 1);
    }
    if (list->u.list.count > 0)
        print_break(out, indent, depth);
    buffer_add_char(out, list->type == JSON_ARRAY ? ']' : '}');
}

static void print_value(struct buffer *out, const struct json_value *value, int indent, int depth) {
    switch (value->type) {
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        buffer_add_text(out, words[value->type]);
        break;
    case JSON_NUMBER:
        print_number(out, value->u.number);
        break;
    case JSON_STRING:
        print_string(out, &value->u.string);
        break;
    default:
        print_list(out, value, indent, depth);
        break;
    }
}

/* All in one line without spaces when indent is 0. The text is the caller's to free; NULL when memory ran out. */
static char *json_print(const struct json_value *value, int indent) {
    struct buffer out = {0};
    print_value(&out, value, indent, 0);
    if (out.failed) {
        free(out.bytes);
        return NULL;
    }
    return out.bytes;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("json.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static void check_print(const char *text, int indent, const char *expected) {
    struct json_value value;
    struct json_report report;
    bool ok = json_parse(text, &value, &report);
    check(ok, text, __LINE__);
    if (!ok)
        return;
    char *printed = json_print(&value, indent);
    CHECK(printed && strcmp(printed, expected) == 0);
    free(printed);
    json_free(&value);
}

static void check_values(void) {
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {" null ", "null"},
        {"[true,\n false]", "[true,false]"},
        {"[-0, 12e-1, 0.1]", "[-0,1.2,0.1]"},
        {"123456789012345680", "1.2345678901234568e+17"},
        {"5e-324", "4.94065645841247e-324"},
        {"\"a\\u00e9\\u20ac\\ud83d\\ude00\\n\\/\\u0001\"", "\"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\\n/\\u0001\""},
        {"{ \"b\" : [ ] , \"a\" : { \"\" : 1 } }", "{\"b\":[],\"a\":{\"\":1}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_print(cases[i].text, 0, cases[i].printed);
    check_print("{\"id\":7,\"tags\":[\"x\",\"y\"],\"none\":{}}", 2,
                "{\n  \"id\": 7,\n  \"tags\": [\n    \"x\",\n    \"y\"\n  ],\n  \"none\": {}\n}");
}

static void check_error(const char *text, struct json_report expected) {
    struct json_value value;
    struct json_report report;
    bool parsed = json_parse(text, &value, &report);
    bool same = report.error == expected.error && report.line == expected.line && report.column == expected.column;
    check(!parsed && same, text, __LINE__);
    if (!same)
        printf("    error %d at %d:%d\n", (int)report.error, report.line, report.column);
}

static void check_errors(void) {
    static const struct {
        const char *text;
        struct json_report report;
    } cases[] = {
        {"", {JSON_ERR_END, 1, 1}},
        {"[1,\n 2,\n ?]", {JSON_ERR_TOKEN, 3, 2}},
        {"[1,]", {JSON_ERR_TOKEN, 1, 4}},
        {"{\"a\":1,}", {JSON_ERR_TOKEN, 1, 8}},
        {"{\"a\" 1}", {JSON_ERR_TOKEN, 1, 6}},
        {"nulL", {JSON_ERR_TOKEN, 1, 4}},
        {"true false", {JSON_ERR_TRAILING, 1, 6}},
        {"01", {JSON_ERR_NUMBER, 1, 2}},
        {"[1e400]", {JSON_ERR_NUMBER, 1, 7}},
        {"[1.e3]", {JSON_ERR_NUMBER, 1, 4}},
        {"2e+", {JSON_ERR_END, 1, 4}},
        {"\"abc", {JSON_ERR_END, 1, 5}},
        {"\"a\nb\"", {JSON_ERR_CONTROL, 1, 3}},
        {"\"\\u12g4\"", {JSON_ERR_ESCAPE, 1, 6}},
        {"\"\\ud800x\"", {JSON_ERR_ESCAPE, 1, 8}},
        {"\"\\udc00\"", {JSON_ERR_ESCAPE, 1, 8}},
        {"\"\xC0\xAF\"", {JSON_ERR_UTF8, 1, 2}},
        {"\"\xED\xA0\x80\"", {JSON_ERR_UTF8, 1, 2}},
        {"\"ok \xF4\x90\x80\x80\"", {JSON_ERR_UTF8, 1, 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_error(cases[i].text, cases[i].report);

    char deep[MAX_DEPTH + 2] = "";
    memset(deep, '[', MAX_DEPTH);
    check_error(deep, (struct json_report){JSON_ERR_END, 1, MAX_DEPTH + 1});
    deep[MAX_DEPTH] = '[';
    check_error(deep, (struct json_report){JSON_ERR_DEPTH, 1, MAX_DEPTH + 1});
}

static const char document[] = "{\"rooms\":[{\"name\":\"lab \\u2116 1\",\"temp\":[20.5,21,-3e2]},{\"name\":\"hall\","
                               "\"open\":true}],\"a/b\":{\"~\":null},\"\":\"empty key\"}";

/* Every change of one byte is refused or survives print and parse. */
static void check_damage(void) {
    char text[sizeof document];
    for (size_t i = 0; i < sizeof document - 1; i++) {
        static const char bytes[] = "\0,]}\"\\0e \xC3";
        for (size_t k = 0; k < sizeof bytes - 1; k++) {
            struct json_value first, second;
            struct json_report report;
            memcpy(text, document, sizeof document);
            text[i] = bytes[k];
            if (!json_parse(text, &first, &report)) {
                CHECK(report.error != JSON_OK && report.line == 1 && report.column <= (int)sizeof document);
                continue;
            }
            char *compact = json_print(&first, 0), *indented = json_print(&first, 4), *again = NULL;
            if (indented && json_parse(indented, &second, &report)) {
                again = json_print(&second, 0);
                json_free(&second);
            }
            CHECK(compact && again && strcmp(compact, again) == 0);
            free(compact);
            free(indented);
            free(again);
            json_free(&first);
        }
    }
}

int main(void) {
    check_values();
    check_errors();
    check_damage();
    if (checks_failed) {
        printf("json: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("json: ok (%d checks)\n", checks_run);
    return 0;
}
