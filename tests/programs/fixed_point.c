/* A Mandelbrot set in fixed point and one in doubles with the same rounding; CORDIC against libm. */
#include <math.h>

#include "check.h"

enum { SHIFT = 20 };

static NOINLINE int escape_fixed(int32_t cr, int32_t ci) {
    int64_t zr = 0, zi = 0;
    int n = 0;
    for (; n < 60; n++) {
        int64_t rr = zr * zr >> SHIFT, ii = zi * zi >> SHIFT;
        if (rr + ii > (int64_t)4 << SHIFT) break;
        zi = (2 * zr * zi >> SHIFT) + ci;
        zr = rr - ii + cr;
    }
    return n;
}

static NOINLINE int escape_double(int32_t cr, int32_t ci) {
    const double unit = 1.0 / (1 << SHIFT);
    double zr = 0, zi = 0;
    int n = 0;
    while (n < 60) {
        double rr = floor(zr * zr * unit), ii = floor(zi * zi * unit);
        if (rr + ii > 4.0 * (1 << SHIFT)) break;
        zi = floor(2 * zr * zi * unit) + ci;
        zr = rr - ii + cr;
        n++;
    }
    return n;
}

static NOINLINE void cordic(int32_t angle, int32_t *cosine, int32_t *sine) {
    static const int32_t angles[] = {13176795, 7778716, 4110060, 2086331, 1047214, 524117, 262123, 131069, 65536, 32768, 16384, 8192,
                                     4096, 2048, 1024, 512, 256, 128, 64, 32};
    int32_t x = 10188014, y = 0;
    for (int i = 0; i < 20; i++) {
        int32_t dx = x >> i, dy = y >> i;
        if (angle >= 0) x -= dy, y += dx, angle -= angles[i];
        else x += dy, y -= dx, angle += angles[i];
    }
    *cosine = x;
    *sine = y;
}

int main(void) {
    int total = 0;
    for (int row = 0; row < 24; row++) {
        for (int column = 0; column < 48; column++) {
            int32_t cr = (column - 32) * ((1 << SHIFT) / 16), ci = (row - 12) * ((1 << SHIFT) / 10);
            int n = escape_fixed(cr, ci);
            CHECK(n == escape_double(cr, ci));
            total += n;
            note((uint64_t)n);
        }
    }
    CHECK(total > 10000 && escape_fixed(0, 0) == 60 && escape_fixed(3 << SHIFT, 0) < 3);
    for (int degrees = -90; degrees <= 90; degrees += 3) {
        double radians = degrees * 3.14159265358979 / 180;
        int32_t c, s;
        cordic((int32_t)(radians * (1 << 24)), &c, &s);
        CHECK(fabs(c / 16777216.0 - cos(radians)) < 1e-5 && fabs(s / 16777216.0 - sin(radians)) < 1e-5);
    }
    return finish();
}
