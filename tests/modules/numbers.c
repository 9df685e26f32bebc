/* Floating constants, vectors of them, recursion, a comparison called through a pointer; needs no header. */
typedef int order(const void *, const void *);

double horner(double x)
{
    static const double coefficients[] = {1.0, -0.5, 0.25, -0.125, 0.0625, 3.75e-3};
    double sum = 0;
    for (int i = 5; i >= 0; i--)
        sum = sum * x + coefficients[i];
    return sum * 1.7320508075688772;
}

float blend(const float *samples, int count)
{
    float total = 0.1f;
    for (int i = 0; i < count; i++)
        total += samples[i] * 0.299f + (float)i * 0.587f;
    return total;
}

static void exchange(char *one, char *other, int size)
{
    while (size--) {
        char kept = *one;
        *one++ = *other;
        *other++ = kept;
    }
}

void sort(char *base, int count, int size, order *compare)
{
    if (count < 2)
        return;
    char *pivot = base, *end = base + (count - 1) * size, *edge = base;
    for (char *at = base + size; at <= end; at += size)
        if (compare(at, pivot) < 0) {
            edge += size;
            exchange(edge, at, size);
        }
    exchange(pivot, edge, size);
    sort(base, (int)(edge - base) / size, size, compare);
    sort(edge + size, (int)(end - edge) / size, size, compare);
}

unsigned long fibonacci(int n)
{
    return n < 2 ? (unsigned long)n : fibonacci(n - 1) + fibonacci(n - 2);
}

int digits(unsigned long value, char *out)
{
    char reversed[24];
    int count = 0, written = 0;
    do
        reversed[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        out[written++] = reversed[--count];
    out[written] = 0;
    return written;
}
