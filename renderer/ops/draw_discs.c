// Coverage of strokes that are rows of discs, on a grid of samples: see draw_discs.py.
//
// curves (N, 10): (a t + b) t + c as a, b, c of x and a, b, c of y, radius r + t dr, opacity w + t dw; in pixels.
// box[4i..] = left, top, width, height. alpha[start[i] + y * width + x] is written.
#include <math.h>

#include "kernel.h"

#define NUMBERS 10
#define MOST 2048    // discs of a stroke
#define WIDER 0.1f   // samples by which rows of the reference brush's discs are wider on average: OpenCV rounds their outlines
#define SPACING 1.5f  // samples between discs, at least: closer discs change nothing

static inline int64_t within(float at, int64_t high) { return at < 0 ? 0 : at > high ? high : (int64_t)at; }

// How many discs: their outline may lie `outline_error` samples inside of the curve's, and opacity changes in 64 steps.
static int discs_of(const float *s, float samples, float outline_error) {
    const float control[2] = {s[2] + s[1] / 2, s[5] + s[4] / 2}, end[2] = {s[0] + s[1] + s[2], s[3] + s[4] + s[5]};
    const float length = fabsf(control[0] - s[2]) + fabsf(control[1] - s[5]) + fabsf(end[0] - control[0]) + fabsf(end[1] - control[1]);
    const float radius = samples * fmaxf(0, fminf(s[6], s[6] + s[7]));
    const float count = samples * length / fmaxf(SPACING, sqrtf(8 * outline_error * radius));
    return (int)fminf(fmaxf(count, fmaxf(4, 64 * fabsf(s[9]))), MOST);
}

typedef struct {
    float x, y, radius, value;  // in samples, which lie at whole numbers
} Disc;

static int place_discs(const float *s, int samples, float outline_error, const int64_t *box, Disc *discs) {
    const int count = discs_of(s, samples, outline_error);
    for (int k = 0; k < count; k++) {
        const float t = (float)k / (count - 1), radius = samples * (s[6] + t * s[7]);
        discs[k].x = samples * ((s[0] * t + s[1]) * t + s[2] - box[0]) - 0.5f;
        discs[k].y = samples * ((s[3] * t + s[4]) * t + s[5] - box[1]) - 0.5f;
        discs[k].radius = radius > 0 ? radius + WIDER : -1;
        discs[k].value = s[8] + t * s[9];
    }
    return count;
}

// A row of samples (width); later discs replace earlier ones.
static void fill_row(const Disc *discs, int count, int64_t row, int64_t width, float *restrict at) {
    memset(at, 0, sizeof(float) * width);
    for (int k = 0; k < count; k++) {
        const float below = row - discs[k].y, radius = discs[k].radius;
        if (radius < 0 || fabsf(below) > radius) continue;
        const float half = sqrtf(radius * radius - below * below), value = discs[k].value;
        const int64_t last = within(floorf(discs[k].x + half) + 1, width);
        for (int64_t column = within(ceilf(discs[k].x - half), width); column < last; column++) at[column] = value;
    }
}

// A row of pixels (width) from its rows of samples; `fine` is room for one of these.
static void draw_row(const Disc *discs, int count, int64_t y, int64_t width, int samples, float *restrict fine, float *restrict alpha) {
    memset(alpha, 0, sizeof(float) * width);
    for (int row = 0; row < samples; row++) {
        fill_row(discs, count, y * samples + row, width * samples, fine);
        for (int64_t x = 0; x < width; x++) {
            float sum = 0;
            for (int k = 0; k < samples; k++) sum += fine[x * samples + k];
            alpha[x] += sum / (samples * samples);
        }
    }
}

int64_t draw_discs(const float *curves, const int64_t *box, const int64_t *start, float *alpha, int64_t N, int64_t T, int64_t samples,
                   float outline_error, int threads) {
    for (int64_t i = 0; i < N; i++)
        if (!is_moderate(curves + NUMBERS * i, NUMBERS)) return i + 1;
    int64_t bad = first_bad_box(box, start, N, T, -1, -1);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t i = 0; i < N; i++) {
        const int64_t width = box[4 * i + 2], height = box[4 * i + 3];
        Disc discs[MOST];
        float *fine = malloc(sizeof(float) * (width * samples + 1));
        if (fine == NULL) {
#pragma omp critical
            bad = -2;
            continue;
        }
        const int count = place_discs(curves + NUMBERS * i, (int)samples, outline_error, box + 4 * i, discs);
        for (int64_t y = 0; y < height; y++) draw_row(discs, count, y, width, (int)samples, fine, alpha + start[i] + y * width);
        free(fine);
    }
    return bad;
}
