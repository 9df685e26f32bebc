/* va_lists that optimisation takes apart, copies, keeps in memory of others, or hands on. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FAR __attribute__((noinline))

FAR int sum(int n, ...) {
    va_list list;
    va_start(list, n);
    int total = 0;
    for (int at = 0; at < n; at++)
        total += va_arg(list, int);
    va_end(list);
    return total;
}

FAR double mean(int n, ...) {
    va_list list;
    va_start(list, n);
    double total = 0;
    for (int at = 0; at < n; at++)
        total += va_arg(list, double);
    va_end(list);
    return total / n;
}

FAR int first(int n, ...) {
    va_list list;
    va_start(list, n);
    int one = va_arg(list, int);
    va_end(list);
    return one + n;
}

FAR double both(const char *kinds, double start, ...) {
    va_list list;
    va_start(list, start);
    double total = start;
    for (; *kinds; kinds++)
        total = *kinds == 'd' ? total + va_arg(list, double) : total * va_arg(list, long);
    va_end(list);
    return total;
}

FAR char *join(char *to, ...) {
    va_list list;
    va_start(list, to);
    for (char *one; (one = va_arg(list, char *)) != NULL;)
        to = strcpy(to, one) + strlen(one);
    va_end(list);
    return to;
}

FAR long twice(int n, ...) {
    va_list list, copy;
    va_start(list, n);
    va_copy(copy, list);
    long total = 0;
    for (int at = 0; at < n; at++)
        total += va_arg(list, long);
    for (int at = 0; at < n; at++)
        total = total * 3 + va_arg(copy, long);
    va_end(copy);
    va_end(list);
    return total;
}

FAR long rest(int n, va_list list) {
    long total = 0;
    while (n-- > 0)
        total = total * 11 + va_arg(list, int);
    return total;
}

/* gcc reads the first argument when it compiles: the va_list that is handed on begins behind it. */
FAR long behind(int n, ...) {
    va_list list, copy;
    va_start(list, n);
    int head = va_arg(list, int);
    va_copy(copy, list);
    long one = rest(n, list), other = rest(n, copy);
    va_end(copy);
    va_end(list);
    return one == other ? one * head : -1;
}

struct reader {
    int left;
    va_list list;
};

FAR int next(struct reader *one) {
    return one->left-- > 0 ? va_arg(one->list, int) : -1;
}

FAR int kept(struct reader *one, int n, ...) {
    one->left = n;
    va_start(one->list, n);
    int total = 0;
    for (int at; (at = next(one)) != -1;)
        total = total * 10 + at;
    va_end(one->list);
    return total;
}

FAR long past(int a, int b, int c, int d, int e, int f, int g, ...) {
    va_list list;
    va_start(list, g);
    long total = a + b + c + d + e + f + g;
    for (int at = 0; at < g; at++)
        total = total * 7 + va_arg(list, int);
    va_end(list);
    return total;
}

FAR int again(int n, ...) {
    int total = 0;
    for (int round = 0; round < 3; round++) {
        va_list list;
        va_start(list, n);
        for (int at = 0; at < n; at++)
            total = total * 5 + va_arg(list, int);
        va_end(list);
    }
    return total;
}

FAR long call_past(void) {
    return past(1, 2, 3, 4, 5, 6, 3, 8, 9, 10);
}

int main(void) {
    char text[64];
    struct reader reader;
    printf("%d %d\n", sum(3, 1, 2, 3), sum(9, 1, 2, 3, 4, 5, 6, 7, 8, 9));
    printf("%g %g\n", mean(2, 1.5, 2.5), mean(10, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.));
    printf("%d\n", first(4, 5));
    printf("%g\n", both("dldl", 0.5, 1.5, 3L, 2.5, 4L));
    printf("%g\n", both("lllllll", 0.5, 1L, 2L, 3L, 4L, 5L, 6L, 7L));
    *join(text, "va", "_", "list", " ", "taken", " ", "apart", NULL) = 0;
    puts(text);
    printf("%ld %ld\n", twice(2, 3L, 4L), twice(7, 1L, 2L, 3L, 4L, 5L, 6L, 7L));
    printf("%ld %ld\n", behind(2, 5, 6, 7), behind(7, 1, 2, 3, 4, 5, 6, 7, 8));
    printf("%d %d\n", kept(&reader, 3, 1, 2, 3), kept(&reader, 7, 1, 2, 3, 4, 5, 6, 7));
    printf("%ld\n", call_past());
    printf("%d\n", again(4, 1, 2, 3, 4));
    return 0;
}
