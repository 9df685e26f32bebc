/* Days, weeks and leap years: three ways from a date to a day number, and back; Roman numerals and number words. */
#include <string.h>

#include "check.h"

static NOINLINE int leap(int y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }
static NOINLINE int month_days(int y, int m) {
    switch (m) {
    case 2: return leap(y) ? 29 : 28;
    case 4: case 6: case 9: case 11: return 30;
    default: return 31;
    }
}
static NOINLINE long formula(int y, int m, int d) {
    y -= m <= 2;
    long era = (y >= 0 ? y : y - 399) / 400;
    unsigned of_era = (unsigned)(y - era * 400), of_year = (153u * (unsigned)(m + (m > 2 ? -3 : 9)) + 2) / 5 + (unsigned)d - 1;
    return era * 146097 + (long)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}
static NOINLINE void inverse(long days, int *y, int *m, int *d) {
    days += 719468;
    long era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned of_era = (unsigned)(days - era * 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100), mp = (5 * of_year + 2) / 153;
    *d = (int)(of_year - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(year + (unsigned)(era * 400 + (*m <= 2)));
}
static NOINLINE int weekday(int y, int m, int d) {
    static const int shifts[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    if (m < 3) y--;
    return (y + y / 4 - y / 100 + y / 400 + shifts[m - 1] + d) % 7;
}
static NOINLINE char *roman(int n, char *out) {
    static const struct { int value; char text[3]; } parts[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
                                                                {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}};
    char *p = out;
    *p = 0;
    for (unsigned i = 0; n; i++)
        for (; n >= parts[i].value; n -= parts[i].value) strcpy(p, parts[i].text), p += strlen(p);
    return out;
}
static NOINLINE int from_roman(const char *s) {
    int sum = 0, previous = 0;
    for (size_t i = strlen(s); i--;) {
        int v;
        switch (s[i]) {
        case 'M': v = 1000; break;
        case 'D': v = 500; break;
        case 'C': v = 100; break;
        case 'L': v = 50; break;
        case 'X': v = 10; break;
        case 'V': v = 5; break;
        case 'I': v = 1; break;
        default: return -1;
        }
        sum += v < previous ? -v : v;
        previous = v > previous ? v : previous;
    }
    return sum;
}

int main(void) {
    int y = 1890, m = 1, d = 1;
    long number = formula(y, m, d);
    int day = weekday(y, m, d);
    CHECK(formula(1970, 1, 1) == 0 && formula(2000, 3, 1) == 11017 && formula(-400, 1, 1) == formula(0, 1, 1) - 146097);
    for (; y < 2110; number++, day = (day + 1) % 7) {
        int y2, m2, d2;
        inverse(number, &y2, &m2, &d2);
        if (formula(y, m, d) != number || y2 != y || m2 != m || d2 != d || weekday(y, m, d) != day) CHECK(!"a day is wrong");
        if (++d > month_days(y, m)) {
            d = 1;
            if (++m > 12) m = 1, y++;
            CHECK(formula(y, m, 1) == number + 1);
        }
    }
    CHECK(weekday(2026, 11, 22) == 0);
    char text[32];
    for (int n = 1; n < 4000; n += 7) CHECK(from_roman(roman(n, text)) == n);
    CHECK(!strcmp(roman(1994, text), "MCMXCIV") && from_roman("Q") == -1);
    note((uint64_t)number);
    return finish();
}
