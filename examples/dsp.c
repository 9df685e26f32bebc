/*
 * dsp.c - fixed-point signal processing as on a microcontroller without a floating-point unit:
 * sine table, FIR filter and decimator, biquad (IIR) sections, FFT, Goertzel detector, integer
 * square root and the IMA ADPCM codec. Samples are Q15: 32768 stands for 1.0.
 *
 * Right shifts of negative numbers are arithmetic here, as with every compiler we know.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef int16_t q15;

static q15 saturate(int32_t value) {
    if (value > INT16_MAX)
        return INT16_MAX;
    return value < INT16_MIN ? INT16_MIN : (q15)value;
}

static q15 multiply_q15(q15 a, q15 b) { return saturate(((int32_t)a * b + 0x4000) >> 15); }

/* ---- sine ---------------------------------------------------------------------------------- */

/* The first quadrant in 64 steps. */
static const q15 quarter_sine[65] = {
    0,     804,   1608,  2411,  3212,  4011,  4808,  5602,  6393,  7180,  7962,  8740,  9512,
    10279, 11039, 11793, 12540, 13279, 14010, 14733, 15447, 16151, 16846, 17531, 18205, 18868,
    19520, 20160, 20788, 21403, 22006, 22595, 23170, 23732, 24279, 24812, 25330, 25833, 26320,
    26791, 27246, 27684, 28106, 28511, 28899, 29269, 29622, 29957, 30274, 30572, 30853, 31114,
    31357, 31581, 31786, 31972, 32138, 32286, 32413, 32522, 32610, 32679, 32729, 32758, 32767,
};

/* The sine of an angle in 1/256 of a turn. */
static q15 sine(unsigned angle) {
    unsigned step = angle & 63;
    switch (angle >> 6 & 3) {
    case 0:
        return quarter_sine[step];
    case 1:
        return quarter_sine[64 - step];
    case 2:
        return (q15)-quarter_sine[step];
    default:
        return (q15)-quarter_sine[64 - step];
    }
}

static q15 cosine(unsigned angle) { return sine(angle + 64); }

/* Digit by digit, rounded down. */
static uint32_t square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit > 0; bit >>= 2) {
        bool fits = value >= root + bit;
        if (fits)
            value -= root + bit;
        root >>= 1;
        if (fits)
            root += bit;
    }
    return (uint32_t)root;
}

/* ---- FIR ----------------------------------------------------------------------------------- */

#define FIR_MAX_TAPS 32

struct fir {
    const q15 *taps;
    unsigned num_taps;
    unsigned head; /* where the newest sample goes */
    q15 history[FIR_MAX_TAPS];
};

static bool fir_init(struct fir *fir, const q15 *taps, unsigned num_taps) {
    if (num_taps == 0 || num_taps > FIR_MAX_TAPS)
        return false;
    memset(fir, 0, sizeof *fir);
    fir->taps = taps;
    fir->num_taps = num_taps;
    return true;
}

static void fir_push(struct fir *fir, q15 sample) {
    fir->history[fir->head] = sample;
    fir->head = (fir->head + 1) % fir->num_taps;
}

static q15 fir_output(const struct fir *fir) {
    int64_t sum = 0x4000;
    unsigned index = fir->head;
    for (unsigned tap = 0; tap < fir->num_taps; tap++) {
        index = index == 0 ? fir->num_taps - 1 : index - 1;
        sum += (int32_t)fir->taps[tap] * fir->history[index];
    }
    sum >>= 15;
    if (sum > INT16_MAX)
        return INT16_MAX;
    return sum < INT16_MIN ? INT16_MIN : (q15)sum;
}

static q15 fir_step(struct fir *fir, q15 sample) {
    fir_push(fir, sample);
    return fir_output(fir);
}

/* Keeps one of factor outputs and computes only those. Returns how many there are. */
static size_t fir_decimate(struct fir *fir, unsigned factor, const q15 *in, size_t size, q15 *out) {
    size_t produced = 0;
    for (size_t i = 0; i < size; i++) {
        fir_push(fir, in[i]);
        if ((i + 1) % factor == 0)
            out[produced++] = fir_output(fir);
    }
    return produced;
}

/* ---- biquad -------------------------------------------------------------------------------- */

/* Direct form I with Q14 coefficients, a0 = 1. What rounding drops goes into the next sample. */
struct biquad {
    int16_t b0, b1, b2, a1, a2;
    q15 x1, x2, y1, y2;
    int32_t remainder;
};

static q15 biquad_step(struct biquad *s, q15 x) {
    int64_t sum = s->remainder;
    sum += (int32_t)s->b0 * x;
    sum += (int32_t)s->b1 * s->x1;
    sum += (int32_t)s->b2 * s->x2;
    sum -= (int32_t)s->a1 * s->y1;
    sum -= (int32_t)s->a2 * s->y2;
    s->remainder = (int32_t)(sum & 0x3FFF);
    int64_t scaled = sum >> 14;
    q15 y = scaled > INT16_MAX ? INT16_MAX : scaled < INT16_MIN ? INT16_MIN : (q15)scaled;
    s->x2 = s->x1;
    s->x1 = x;
    s->y2 = s->y1;
    s->y1 = y;
    return y;
}

static q15 biquad_chain(struct biquad *sections, size_t count, q15 x) {
    for (size_t i = 0; i < count; i++)
        x = biquad_step(&sections[i], x);
    return x;
}

/* ---- FFT ----------------------------------------------------------------------------------- */

#define FFT_MAX 256

struct complex_q15 {
    q15 re, im;
};

/* In place, radix 2, decimation in time. Every stage halves, so the result is the transform
 * divided by the size, a power of two up to FFT_MAX. */
static bool fft(struct complex_q15 *data, unsigned size) {
    if (size < 2 || size > FFT_MAX || (size & (size - 1)) != 0)
        return false;
    for (unsigned i = 1, reversed = 0; i < size; i++) {
        unsigned bit = size >> 1;
        for (; reversed & bit; bit >>= 1)
            reversed ^= bit;
        reversed ^= bit;
        if (i < reversed) {
            struct complex_q15 swap = data[i];
            data[i] = data[reversed];
            data[reversed] = swap;
        }
    }
    for (unsigned half = 1; half < size; half *= 2) {
        unsigned angle_step = 256 / (2 * half);
        for (unsigned k = 0; k < half; k++) {
            int32_t wr = cosine(k * angle_step), wi = -sine(k * angle_step);
            for (unsigned i = k; i < size; i += 2 * half) {
                struct complex_q15 *a = &data[i], *b = &data[i + half];
                int32_t re = (wr * b->re - wi * b->im + 0x4000) >> 15;
                int32_t im = (wr * b->im + wi * b->re + 0x4000) >> 15;
                b->re = saturate((a->re - re + 1) >> 1);
                b->im = saturate((a->im - im + 1) >> 1);
                a->re = saturate((a->re + re + 1) >> 1);
                a->im = saturate((a->im + im + 1) >> 1);
            }
        }
    }
    return true;
}

static uint32_t magnitude(struct complex_q15 z) {
    return square_root((uint64_t)((int64_t)z.re * z.re + (int64_t)z.im * z.im));
}

/* The magnitude of one frequency, in 1/256 of the sampling rate, divided by the block size. */
static uint32_t goertzel(const q15 *samples, size_t size, unsigned frequency) {
    int64_t s1 = 0, s2 = 0;
    int32_t c = cosine(frequency);
    for (size_t i = 0; i < size; i++) {
        int64_t s0 = samples[i] + ((2 * c * s1) >> 15) - s2;
        s2 = s1;
        s1 = s0;
    }
    int64_t power = s1 * s1 + s2 * s2 - ((2 * c * s1) >> 15) * s2;
    return power > 0 ? square_root((uint64_t)power) / (uint32_t)size : 0;
}

/* ---- IMA ADPCM ----------------------------------------------------------------------------- */

static const int16_t adpcm_steps[89] = {
    7,    8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,    28,
    31,   34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,   118,
    130,  143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,   494,
    544,  598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878,  2066,
    2272, 2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845,  8630,
    9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
};

static const int8_t adpcm_index_changes[8] = {-1, -1, -1, -1, 2, 4, 6, 8};

struct adpcm {
    q15 predicted;
    uint8_t index;
};

/* What the decoder does with a code; the encoder does it too, to stay in step. */
static q15 adpcm_decode(struct adpcm *state, uint8_t code) {
    int32_t step = adpcm_steps[state->index];
    int32_t difference = step >> 3;
    if (code & 4)
        difference += step;
    if (code & 2)
        difference += step >> 1;
    if (code & 1)
        difference += step >> 2;
    state->predicted = saturate(state->predicted + (code & 8 ? -difference : difference));

    int index = state->index + adpcm_index_changes[code & 7];
    state->index = (uint8_t)(index < 0 ? 0 : index > 88 ? 88 : index);
    return state->predicted;
}

static uint8_t adpcm_encode(struct adpcm *state, q15 sample) {
    int32_t step = adpcm_steps[state->index];
    int32_t difference = sample - state->predicted;
    uint8_t code = 0;
    if (difference < 0) {
        code = 8;
        difference = -difference;
    }
    for (uint8_t bit = 4; bit > 0; bit >>= 1, step >>= 1) {
        if (difference >= step) {
            code |= bit;
            difference -= step;
        }
    }
    adpcm_decode(state, code);
    return code;
}

/* A block: the state it starts with in four bytes, then two samples a byte, the first one low. */
static size_t adpcm_pack(struct adpcm *state, const q15 *samples, size_t size, uint8_t *out) {
    out[0] = (uint8_t)((uint16_t)state->predicted & 0xFF);
    out[1] = (uint8_t)((uint16_t)state->predicted >> 8);
    out[2] = state->index;
    out[3] = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t code = adpcm_encode(state, samples[i]);
        if (i % 2 == 0)
            out[4 + i / 2] = code;
        else
            out[4 + i / 2] |= (uint8_t)(code << 4);
    }
    return 4 + (size + 1) / 2;
}

static bool adpcm_unpack(const uint8_t *block, size_t num_samples, q15 *samples) {
    struct adpcm state = {(q15)(block[0] | block[1] << 8), block[2]};
    if (state.index > 88 || block[3] != 0)
        return false;
    for (size_t i = 0; i < num_samples; i++)
        samples[i] = adpcm_decode(&state, (block[4 + i / 2] >> (i % 2 * 4)) & 15);
    return true;
}

/* ---- checks -------------------------------------------------------------------------------- */

static int checks_run, checks_failed;

static void check(bool ok, const char *what, int line) {
    checks_run++;
    if (!ok) {
        checks_failed++;
        printf("dsp.c:%d: failed: %s\n", line, what);
    }
}
#define CHECK(condition) check((condition), #condition, __LINE__)

static bool near(int32_t a, int32_t b, int32_t tolerance) { return abs(a - b) <= tolerance; }

static q15 noise(int32_t amplitude) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (q15)((int32_t)(state >> 8) % (2 * amplitude + 1) - amplitude);
}

static void check_arithmetic(void) {
    CHECK(saturate(40000) == 32767 && saturate(-40000) == -32768 && saturate(-5) == -5);
    CHECK(multiply_q15(-32768, -32768) == 32767 && multiply_q15(16384, 16384) == 8192);
    CHECK(sine(0) == 0 && sine(64) == 32767 && sine(128) == 0 && sine(192) == -32767 && sine(256 + 64) == 32767);
    for (unsigned angle = 0; angle < 256; angle++) {
        int32_t s = sine(angle), c = cosine(angle);
        CHECK(near((s * s + c * c) >> 15, 32767, 3));
    }
    for (uint64_t i = 0; i < 70; i++) {
        uint64_t value = i * i * i * i * 1234567, root = square_root(value);
        CHECK(root * root <= value && (root + 1) * (root + 1) > value);
    }
    CHECK(square_root(UINT64_MAX) == UINT32_MAX);
}

static void check_fir(void) {
    static const q15 taps[] = {1000, -2000, 3000, 8000, 3000, -2000, 1000};
    static const q15 average[] = {8192, 8192, 8192, 8192}, loud[] = {32767, 32767};
    struct fir fir, again;
    q15 in[64], filtered[64], decimated[64];
    CHECK(!fir_init(&fir, taps, 0) && !fir_init(&fir, taps, FIR_MAX_TAPS + 1));

    CHECK(fir_init(&fir, taps, COUNT_OF(taps)));
    for (size_t i = 0; i < 12; i++)
        CHECK(fir_step(&fir, i == 0 ? 16384 : 0) == (i < COUNT_OF(taps) ? taps[i] / 2 : 0));

    CHECK(fir_init(&fir, average, 4));
    for (int i = 1; i <= 40; i++)
        CHECK(fir_step(&fir, (q15)(100 * i)) == (i < 4 ? 25 * i * (i + 1) / 2 : 100 * i - 150));

    CHECK(fir_init(&fir, loud, 2));
    fir_step(&fir, -32768);
    CHECK(fir_step(&fir, -32768) == -32768);

    CHECK(fir_init(&fir, taps, COUNT_OF(taps)) && fir_init(&again, taps, COUNT_OF(taps)));
    for (size_t i = 0; i < COUNT_OF(in); i++) {
        in[i] = noise(20000);
        filtered[i] = fir_step(&fir, in[i]);
    }
    CHECK(fir_decimate(&again, 4, in, COUNT_OF(in), decimated) == 16);
    for (size_t i = 0; i < 16; i++)
        CHECK(decimated[i] == filtered[4 * i + 3]);
}

/* Two equal Butterworth low-pass sections with the corner at a tenth of the sampling rate. */
static void check_biquad(void) {
    static const struct biquad low_pass = {1105, 2210, 1105, -18727, 6763, 0, 0, 0, 0, 0};
    struct biquad constant[2] = {low_pass, low_pass}, low[2] = {low_pass, low_pass}, high[2] = {low_pass, low_pass};
    int32_t last = 0, low_peak = 0, high_peak = 0;
    for (unsigned i = 0; i < 2000; i++) {
        last = biquad_chain(constant, 2, 10000);
        int32_t slow = abs(biquad_chain(low, 2, sine(2 * i) / 2));
        int32_t fast = abs(biquad_chain(high, 2, sine(90 * i) / 2));
        if (i >= 200) {
            low_peak = slow > low_peak ? slow : low_peak;
            high_peak = fast > high_peak ? fast : high_peak;
        }
    }
    CHECK(near(last, 10000, 10));
    CHECK(near(low_peak, 16384, 200));
    CHECK(high_peak < 160);
    for (int i = 0; i < 400; i++)
        last = biquad_chain(constant, 2, 0);
    CHECK(near(last, 0, 3));
}

/* Compares with the transform by its definition. */
static void check_fft_against_dft(unsigned size, int32_t amplitude) {
    struct complex_q15 data[FFT_MAX], original[FFT_MAX];
    for (unsigned i = 0; i < size; i++) {
        data[i].re = noise(amplitude);
        data[i].im = noise(amplitude);
    }
    memcpy(original, data, sizeof original[0] * size);
    CHECK(fft(data, size));
    for (unsigned k = 0; k < size; k++) {
        int64_t re = 0, im = 0;
        for (unsigned i = 0; i < size; i++) {
            int64_t c = cosine(k * i * (256 / size)), s = sine(k * i * (256 / size));
            re += c * original[i].re + s * original[i].im;
            im += c * original[i].im - s * original[i].re;
        }
        CHECK(near(data[k].re, (int32_t)(re / (int64_t)size >> 15), 4));
        CHECK(near(data[k].im, (int32_t)(im / (int64_t)size >> 15), 4));
    }
}

static void check_fft(void) {
    struct complex_q15 data[FFT_MAX] = {{0, 0}};
    CHECK(!fft(data, 1) && !fft(data, 48) && !fft(data, 512));
    data[0].re = 25600;
    CHECK(fft(data, 256));
    for (unsigned k = 0; k < 256; k++)
        CHECK(near(data[k].re, 100, 1) && near(data[k].im, 0, 1));

    q15 tone[256];
    for (unsigned i = 0; i < 256; i++) {
        tone[i] = multiply_q15(cosine(20 * i), 20000);
        data[i].re = tone[i];
        data[i].im = 0;
    }
    CHECK(fft(data, 256));
    for (unsigned k = 0; k < 256; k++)
        CHECK(near((int32_t)magnitude(data[k]), k == 20 || k == 236 ? 10000 : 0, 8));
    CHECK(near((int32_t)goertzel(tone, 256, 20), 10000, 40));
    CHECK(goertzel(tone, 256, 33) < 60);

    for (unsigned size = 2; size <= FFT_MAX; size *= 2)
        check_fft_against_dft(size, 16000);
}

static void check_adpcm(void) {
    enum { SIZE = 1001 };
    static q15 in[SIZE], out[SIZE];
    static uint8_t block[4 + (SIZE + 1) / 2];
    static const uint8_t expected[] = {0, 0, 0, 0, 0x46, 0x97, 0xef, 0x81, 0x77, 0x01};
    static const q15 short_signal[] = {10, 25, 60, 40, -30, -120, -90, -95, 200, 700, 650, 655};
    struct adpcm state = {0, 0};
    CHECK(adpcm_pack(&state, short_signal, COUNT_OF(short_signal), block) == sizeof expected);
    CHECK(memcmp(block, expected, sizeof expected) == 0);

    for (unsigned i = 0; i < SIZE; i++)
        in[i] = saturate(sine(3 * i) / 2 + sine(17 * i) / 8 + noise(300));
    state = (struct adpcm){0, 30};
    CHECK(adpcm_pack(&state, in, SIZE, block) == sizeof block);
    CHECK(adpcm_unpack(block, SIZE, out));
    CHECK(out[SIZE - 1] == state.predicted);
    int64_t signal = 0, error = 0;
    for (unsigned i = 0; i < SIZE; i++) {
        signal += (int64_t)in[i] * in[i];
        error += (int64_t)(in[i] - out[i]) * (in[i] - out[i]);
    }
    CHECK(signal / error > 300);
    block[2] = 89;
    CHECK(!adpcm_unpack(block, SIZE, out));
}

int main(void) {
    check_arithmetic();
    check_fir();
    check_biquad();
    check_fft();
    check_adpcm();
    if (checks_failed) {
        printf("dsp: %d of %d checks failed\n", checks_failed, checks_run);
        return 1;
    }
    printf("dsp: ok (%d checks)\n", checks_run);
    return 0;
}
