/* Signatures: structs by value, `{ i32, ptr }` returns, varargs, bit-fields, many arguments, out arguments. */
typedef struct { int length; const char *text; } slice;
typedef struct { long x, y, z, w; } box;
typedef struct { unsigned low : 5; unsigned high : 11; int sign : 3; unsigned long long wide : 40; } packed;

static slice word(const char *text)
{
    slice found = {0, text};
    while (text[found.length] && text[found.length] != ' ')
        found.length++;
    return found;
}

static slice next_word(slice before)
{
    const char *at = before.text + before.length;
    while (*at == ' ')
        at++;
    return word(at);
}

static box grow(box b, int by)
{
    b.x += by;
    b.w *= by;
    return b;
}

static long volume(box b) { return b.x * b.y * b.z * b.w; }

static int add_all(int count, ...)
{
    __builtin_va_list arguments;
    __builtin_va_start(arguments, count);
    int sum = 0;
    while (count--)
        sum += __builtin_va_arg(arguments, int);
    __builtin_va_end(arguments);
    return sum;
}

static int ignores(int first, ...) { return first + 1; }

static packed pack(unsigned low, unsigned high, int sign, unsigned long long wide)
{
    packed p = {low, high, sign, wide};
    return p;
}

static unsigned long long unpack(const packed *p) { return p->low + p->high * 3 + p->sign + p->wide; }

static int many(int a, int b, int c, int d, int e, int f, int g, double h, char i)
{
    return a - b + c - d + e - f + g - (int)h + i;
}

static int divide(int by, int *quotient, const int *number)
{
    if (by == 0)
        return 0;
    *quotient = *number / by;
    return 1;
}

static float halve(float x, int unused) { return x / 2; }

int longest(const char *text)
{
    int best = 0;
    for (slice s = word(text); s.length; s = next_word(s))
        if (s.length > best)
            best = s.length;
    return best;
}

int quotients(int number)
{
    int sum = 0;
    for (int by = -3; by <= 3; by++) {
        int quotient;
        if (divide(by, &quotient, &number))
            sum += quotient * by;
    }
    return sum;
}

int main(void)
{
    if (longest("a few words of different lengths") != 9 || word("two words").length != 3)
        return 1;
    box b = {1, 2, 3, 4};
    if (volume(grow(b, 5)) != 6 * 2 * 3 * 20 || volume(b) != 24)
        return 2;
    if (add_all(4, 1, 2, 3, 4) != 10 || add_all(0) != 0 || ignores(1, 2, 3.0) != 2)
        return 3;
    packed p = pack(33, 2047, -4, 1ull << 39), q = pack(7, 1, 3, 9);
    if (unpack(&p) != 1 + 2047 * 3 - 4 + (1ull << 39) || unpack(&q) != 7 + 3 + 3 + 9)
        return 4;
    if (many(9, 8, 7, 6, 5, 4, 3, 2.5, 1) != 5)
        return 5;
    if (quotients(12) != 72 || quotients(7) != 6 * 7 - 2 * 2)
        return 6;
    return halve(3, 4) != 1.5f;
}
