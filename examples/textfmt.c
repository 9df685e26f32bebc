/*
 * textfmt.c - plain-text output for a console or a log: a bounded string builder with its own
 * printf, paragraphs that are wrapped, justified or centred, and tables with aligned columns.
 *
 * The printf knows %d %i %u %x %X %o %c %s %% with the flags - + space 0 #, width, precision, * and
 * the sizes hh h l ll z. Nothing is allocated; what does not fit is cut off and reported.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *bytes; /* always NUL-terminated */
    size_t capacity;
    size_t length;
    bool truncated;
};

static void text_init(struct text *text, char *bytes, size_t capacity) {
    text->bytes = bytes;
    text->capacity = capacity;
    text->length = 0;
    text->truncated = false;
    bytes[0] = '\0';
}

static void text_add(struct text *text, const char *bytes, size_t length) {
    size_t room = text->capacity - 1 - text->length;
    if (length > room) {
        length = room;
        text->truncated = true;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

static void text_fill(struct text *text, char c, size_t count) {
    while (count-- > 0)
        text_add(text, &c, 1);
}

/* ---- printf -------------------------------------------------------------------------------- */

enum size_modifier { SIZE_INT, SIZE_CHAR, SIZE_SHORT, SIZE_LONG, SIZE_LONG_LONG, SIZE_SIZE };

struct spec {
    bool left, plus, space, zero, alternate;
    size_t width;
    bool has_precision;
    size_t precision;
    enum size_modifier size;
    char conversion;
};

static size_t parse_number(const char **format) {
    size_t number = 0;
    for (; **format >= '0' && **format <= '9'; (*format)++) {
        if (number < 10000)
            number = 10 * number + (size_t)(**format - '0');
    }
    return number;
}

static void parse_flags(struct spec *spec, const char **format) {
    for (;; (*format)++) {
        switch (**format) {
        case '-':
            spec->left = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return;
        }
    }
}

static void parse_size(struct spec *spec, const char **format) {
    char first = **format;
    if (first != 'h' && first != 'l' && first != 'z')
        return;
    (*format)++;
    bool doubled = first != 'z' && **format == first;
    if (doubled)
        (*format)++;
    if (first == 'h')
        spec->size = doubled ? SIZE_CHAR : SIZE_SHORT;
    else if (first == 'l')
        spec->size = doubled ? SIZE_LONG_LONG : SIZE_LONG;
    else
        spec->size = SIZE_SIZE;
}

/* The parts of a number from left to right: padding, prefix, zeros, digits, padding. */
static void add_number(struct text *text, const struct spec *spec, const char *prefix, uintmax_t value, unsigned base) {
    const char *digits = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char buffer[3 * sizeof value];
    size_t count = 0, prefix_length = strlen(prefix);
    for (uintmax_t rest = value; rest > 0; rest /= base)
        buffer[sizeof buffer - ++count] = digits[rest % base];

    size_t minimum = spec->has_precision ? spec->precision : 1;
    if (base == 8 && spec->alternate && minimum <= count)
        minimum = count + (value > 0 || minimum == 0);
    if (!spec->has_precision && spec->zero && !spec->left && spec->width > prefix_length + minimum)
        minimum = spec->width - prefix_length;
    size_t zeros = minimum > count ? minimum - count : 0;
    size_t total = prefix_length + zeros + count;
    size_t padding = spec->width > total ? spec->width - total : 0;

    if (!spec->left)
        text_fill(text, ' ', padding);
    text_add(text, prefix, prefix_length);
    text_fill(text, '0', zeros);
    text_add(text, buffer + sizeof buffer - count, count);
    if (spec->left)
        text_fill(text, ' ', padding);
}

static void add_signed(struct text *text, const struct spec *spec, intmax_t value) {
    const char *prefix = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
    add_number(text, spec, prefix, value < 0 ? 0 - (uintmax_t)value : (uintmax_t)value, 10);
}

static void add_unsigned(struct text *text, const struct spec *spec, uintmax_t value) {
    switch (spec->conversion) {
    case 'x':
        add_number(text, spec, spec->alternate && value ? "0x" : "", value, 16);
        break;
    case 'X':
        add_number(text, spec, spec->alternate && value ? "0X" : "", value, 16);
        break;
    case 'o':
        add_number(text, spec, "", value, 8);
        break;
    default:
        add_number(text, spec, "", value, 10);
    }
}

static void add_padded(struct text *text, const struct spec *spec, const char *bytes, size_t length) {
    size_t padding = spec->width > length ? spec->width - length : 0;
    if (!spec->left)
        text_fill(text, ' ', padding);
    text_add(text, bytes, length);
    if (spec->left)
        text_fill(text, ' ', padding);
}

static intmax_t signed_argument(enum size_modifier size, va_list *arguments) {
    switch (size) {
    case SIZE_CHAR:
        return (signed char)va_arg(*arguments, int);
    case SIZE_SHORT:
        return (short)va_arg(*arguments, int);
    case SIZE_LONG:
        return va_arg(*arguments, long);
    case SIZE_LONG_LONG:
        return va_arg(*arguments, long long);
    case SIZE_SIZE:
        return (intmax_t)va_arg(*arguments, size_t);
    default:
        return va_arg(*arguments, int);
    }
}

static uintmax_t unsigned_argument(enum size_modifier size, va_list *arguments) {
    switch (size) {
    case SIZE_CHAR:
        return (unsigned char)va_arg(*arguments, unsigned);
    case SIZE_SHORT:
        return (unsigned short)va_arg(*arguments, unsigned);
    case SIZE_LONG:
        return va_arg(*arguments, unsigned long);
    case SIZE_LONG_LONG:
        return va_arg(*arguments, unsigned long long);
    case SIZE_SIZE:
        return va_arg(*arguments, size_t);
    default:
        return va_arg(*arguments, unsigned);
    }
}

static void parse_spec(struct spec *spec, const char **format, va_list *arguments) {
    memset(spec, 0, sizeof *spec);
    parse_flags(spec, format);
    if (**format == '*') {
        (*format)++;
        int width = va_arg(*arguments, int);
        spec->left = spec->left || width < 0;
        spec->width = width < 0 ? 0 - (size_t)width : (size_t)width;
    } else {
        spec->width = parse_number(format);
    }
    if (**format == '.') {
        (*format)++;
        spec->has_precision = true;
        if (**format == '*') {
            (*format)++;
            int precision = va_arg(*arguments, int);
            spec->has_precision = precision >= 0;
            spec->precision = precision >= 0 ? (size_t)precision : 0;
        } else {
            spec->precision = parse_number(format);
        }
    }
    parse_size(spec, format);
    spec->conversion = **format;
    if (**format)
        (*format)++;
}

static void text_vformat(struct text *text, const char *format, va_list *arguments) {
    while (*format) {
        size_t plain = strcspn(format, "%");
        text_add(text, format, plain);
        format += plain;
        if (*format == '\0')
            return;
        const char *start = format++;
        struct spec spec;
        parse_spec(&spec, &format, arguments);
        const char *string;
        const char *end;
        char c;
        switch (spec.conversion) {
        case 'd':
        case 'i':
            add_signed(text, &spec, signed_argument(spec.size, arguments));
            break;
        case 'u':
        case 'x':
        case 'X':
        case 'o':
            add_unsigned(text, &spec, unsigned_argument(spec.size, arguments));
            break;
        case 'c':
            c = (char)va_arg(*arguments, int);
            add_padded(text, &spec, &c, 1);
            break;
        case 's':
            string = va_arg(*arguments, const char *);
            string = string ? string : "(null)";
            end = spec.has_precision ? memchr(string, '\0', spec.precision) : string + strlen(string);
            add_padded(text, &spec, string, end ? (size_t)(end - string) : spec.precision);
            break;
        case '%':
            text_add(text, "%", 1);
            break;
        default: /* unknown: as it stands */
            text_add(text, start, (size_t)(format - start));
        }
    }
}

static void text_format(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_vformat(text, format, &arguments);
    va_end(arguments);
}

/* ---- paragraphs ---------------------------------------------------------------------------- */

enum alignment { ALIGN_LEFT, ALIGN_RIGHT, ALIGN_CENTRE, ALIGN_JUSTIFY };

#define MAX_LINE_WORDS 64

struct word {
    const char *start;
    size_t length;
};

static void add_line(struct text *text, const struct word *words, size_t count, size_t width, enum alignment align) {
    size_t letters = 0;
    for (size_t i = 0; i < count; i++)
        letters += words[i].length;
    size_t gaps = count - 1;
    size_t slack = width > letters + gaps ? width - letters - gaps : 0;

    if (align == ALIGN_RIGHT)
        text_fill(text, ' ', slack);
    if (align == ALIGN_CENTRE)
        text_fill(text, ' ', slack / 2);
    for (size_t i = 0; i < count; i++) {
        text_add(text, words[i].start, words[i].length);
        if (i == gaps)
            break;
        /* Spread such that after i gaps i / gaps of the slack is used up. */
        size_t extra = align == ALIGN_JUSTIFY ? slack * (i + 1) / gaps - slack * i / gaps : 0;
        text_fill(text, ' ', 1 + extra);
    }
    text_add(text, "\n", 1);
}

/* The next word at *source, cut to the width; of a longer one the rest stays for the next call. */
static struct word next_word(const char **source, size_t width) {
    *source += strspn(*source, " \t\n");
    struct word word = {*source, strcspn(*source, " \t\n")};
    if (word.length > width)
        word.length = width;
    *source += word.length;
    return word;
}

/* Fills lines of at most width with the words of a paragraph; the last one is never stretched. */
static void text_paragraph(struct text *text, const char *source, size_t width, enum alignment align) {
    struct word words[MAX_LINE_WORDS];
    size_t count = 0, used = 0;
    for (;;) {
        struct word word = next_word(&source, width);
        bool full = count > 0 && (used + 1 + word.length > width || count == MAX_LINE_WORDS);
        if (word.length == 0) {
            if (count > 0)
                add_line(text, words, count, width, align == ALIGN_JUSTIFY ? ALIGN_LEFT : align);
            return;
        }
        if (full) {
            add_line(text, words, count, width, align);
            count = 0;
        }
        used = count == 0 ? word.length : used + 1 + word.length;
        words[count++] = word;
    }
}

/* ---- tables -------------------------------------------------------------------------------- */

#define MAX_COLUMNS 8

/* Cells are row by row, the first row holds the headings. One letter a column: l, r or c. */
struct table {
    const char *alignment;
    size_t num_rows;
    const char *const *cells;
};

static void add_rule(struct text *text, const size_t *widths, size_t columns) {
    for (size_t column = 0; column < columns; column++) {
        text_add(text, "+", 1);
        text_fill(text, '-', widths[column] + 2);
    }
    text_add(text, "+\n", 2);
}

static void add_cell(struct text *text, const char *cell, size_t width, char alignment) {
    size_t length = strlen(cell), slack = width - length;
    size_t before = alignment == 'r' ? slack : alignment == 'c' ? slack / 2 : 0;
    text_fill(text, ' ', before);
    text_add(text, cell, length);
    text_fill(text, ' ', slack - before);
}

static bool text_table(struct text *text, const struct table *table) {
    size_t columns = strlen(table->alignment), widths[MAX_COLUMNS] = {0};
    if (columns == 0 || columns > MAX_COLUMNS || table->num_rows == 0)
        return false;
    for (size_t i = 0; i < table->num_rows * columns; i++) {
        size_t length = strlen(table->cells[i]);
        if (length > widths[i % columns])
            widths[i % columns] = length;
    }
    add_rule(text, widths, columns);
    for (size_t row = 0; row < table->num_rows; row++) {
        for (size_t column = 0; column < columns; column++) {
            text_add(text, column == 0 ? "| " : " | ", column == 0 ? 2 : 3);
            add_cell(text, table->cells[row * columns + column], widths[column], table->alignment[column]);
        }
        text_add(text, " |\n", 3);
        if (row == 0)
            add_rule(text, widths, columns);
    }
    add_rule(text, widths, columns);
    return true;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;
static char buffer[2048];
static struct text text;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("textfmt.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static bool formats_to(const char *expected, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_init(&text, buffer, sizeof buffer);
    text_vformat(&text, format, &arguments);
    va_end(arguments);
    return strcmp(buffer, expected) == 0;
}

static void check_format(void) {
    CHECK(formats_to("a 42% of -7", "a %d%% of %i", 42, -7));
    CHECK(formats_to("[   x|x   ]", "[%4c|%-4c]", 'x', 'x'));
    CHECK(formats_to("[abc|  abc|ab   |]", "[%s|%5s|%-5.2s|%.0s]", "abc", "abc", "abc", "abc"));
    CHECK(formats_to("-9223372036854775808 18446744073709551615", "%lld %llu", LLONG_MIN, ULLONG_MAX));
    CHECK(formats_to("[   7][7   ][007]", "[%*d][%*d][%.*d]", 4, 7, -4, 7, 3, 7));
    CHECK(formats_to("-1 255 44 65535", "%hhd %hhu %hd %hu", -1, 255, 44, 65535));
    CHECK(formats_to("(null) %y %", "%s %y %", (char *)NULL));
    CHECK(formats_to("addr=0x00ff1c size=99", "addr=%#08x size=%zu", 0xff1c, (size_t)99));

    text_init(&text, buffer, 8);
    text_format(&text, "%s-%d", "abcd", 123456);
    CHECK(text.truncated && strcmp(buffer, "abcd-12") == 0);
}

/* All combinations of flags, width and precision, against the C library. */
static void check_against_libc(void) {
    static const char *const flags[] = {"", "-", "+", " ", "0", "#", "-0", "+0", "#0", "-#", "+ ", "-+0"};
    static const char *const sizes[] = {"", "1", "6", "12", ".0", ".3", "8.5", "3.7"};
    static const char conversions[] = "duxXo";
    static const int values[] = {0, 1, -1, 7, -42, 255, 123456, INT32_MAX, INT32_MIN};
    for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            for (const char *conversion = conversions; *conversion; conversion++) {
                bool is_signed = *conversion == 'd', decimal = is_signed || *conversion == 'u';
                char format[16], expected[64];
                if (decimal && strchr(flags[f], '#'))
                    continue; /* undefined in C */
                snprintf(format, sizeof format, "%%%s%s%c", flags[f], sizes[s], *conversion);
                for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                    bool same;
                    if (is_signed) {
                        snprintf(expected, sizeof expected, format, values[v]);
                        same = formats_to(expected, format, values[v]);
                    } else {
                        snprintf(expected, sizeof expected, format, (unsigned)values[v]);
                        same = formats_to(expected, format, (unsigned)values[v]);
                    }
                    check(same, format, __LINE__);
                }
            }
        }
    }
}

static const char proverb[] = "The quick brown fox\njumps   over the lazy dog, incomprehensibilities notwithstanding.";

static void check_paragraphs(void) {
    static const struct {
        enum alignment align;
        const char *expected;
    } cases[] = {
        {ALIGN_LEFT, "The quick brown\nfox jumps over\nthe lazy dog,\nincomprehensibil\nities\nnotwithstanding.\n"},
        {ALIGN_RIGHT, " The quick brown\n  fox jumps over\n   the lazy dog,\nincomprehensibil\n"
                      "           ities\nnotwithstanding.\n"},
        {ALIGN_CENTRE, "The quick brown\n fox jumps over\n the lazy dog,\nincomprehensibil\n     ities\n"
                       "notwithstanding.\n"},
        {ALIGN_JUSTIFY, "The quick  brown\nfox  jumps  over\nthe  lazy   dog,\nincomprehensibil\nities\n"
                        "notwithstanding.\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text_init(&text, buffer, sizeof buffer);
        text_paragraph(&text, proverb, 16, cases[i].align);
        check(strcmp(buffer, cases[i].expected) == 0, cases[i].expected, __LINE__);
    }
    text_init(&text, buffer, sizeof buffer);
    text_paragraph(&text, " \n\t ", 16, ALIGN_JUSTIFY);
    CHECK(text.length == 0);

    /* Justified lines are exactly as wide as asked, except the last and those of a single word. */
    for (size_t width = 8; width < 70; width++) {
        text_init(&text, buffer, sizeof buffer);
        text_paragraph(&text, proverb, width, ALIGN_JUSTIFY);
        for (const char *line = buffer; *line; line += strcspn(line, "\n") + 1) {
            size_t length = strcspn(line, "\n");
            bool last = line[length + 1] == '\0', single = memchr(line, ' ', length) == NULL;
            CHECK(length == width || ((last || single) && length < width));
        }
    }
}

static void check_tables(void) {
    static const char *const cells[] = {"Part", "Qty", "Note", "bolt M4", "120", "-", "nut", "8", "spare"};
    static const char expected[] = "+---------+-----+-------+\n"
                                   "| Part    | Qty | Note  |\n"
                                   "+---------+-----+-------+\n"
                                   "| bolt M4 | 120 |   -   |\n"
                                   "| nut     |   8 | spare |\n"
                                   "+---------+-----+-------+\n";
    struct table table = {"lrc", 3, cells};
    text_init(&text, buffer, sizeof buffer);
    CHECK(text_table(&text, &table) && strcmp(buffer, expected) == 0);
    table.alignment = "";
    CHECK(!text_table(&text, &table));
    table.alignment = "lllllllll";
    CHECK(!text_table(&text, &table));
}

int main(void) {
    check_format();
    check_against_libc();
    check_paragraphs();
    check_tables();
    if (checks_failed) {
        printf("textfmt: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("textfmt: ok (%d checks)\n", checks_run);
    return 0;
}
