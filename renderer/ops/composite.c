// Compositing: `over`, stroke after stroke, each on its own box of the canvas: see composite.py.
//
// canvas (B, 3, H, W); strokes i = 0..N-1 in painting order; box[4i] = left, top, width, height, inside the canvas;
// alpha[start[i] + y * width + x] is the mark; colour[3i..]; picture[i] in 0..B-1.
// Every thread owns a band of rows of all pictures and walks all strokes, so that no two threads meet.
#include "kernel.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static int64_t first_bad(const int64_t *box, const int64_t *start, const int64_t *picture, int64_t N, int64_t T, int64_t B,
                         int64_t H, int64_t W) {
    for (int64_t i = 0; i < N; i++)
        if (picture[i] < 0 || picture[i] >= B) return i + 1;
    return first_bad_box(box, start, N, T, H, W);
}

// before (3, T) receives what each stroke covered, for the backward pass; it may be null.
int64_t composite_forward(float *canvas, const float *alpha, const float *colour, const int64_t *box, const int64_t *start,
                       const int64_t *picture, float *before, int64_t N, int64_t T, int64_t B, int64_t H, int64_t W, int threads) {
    const int64_t bad = first_bad(box, start, picture, N, T, B, H, W);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int band = 0; band < threads; band++) {
        int64_t low = H * band / threads, high = H * (band + 1) / threads;
        for (int64_t i = 0; i < N; i++) {
            const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
            for (int64_t y = MAX(top, low); y < MIN(top + height, high); y++) {
                const int64_t at = start[i] + (y - top) * width;
                const float *restrict a = alpha + at;
                for (int c = 0; c < 3; c++) {
                    float *restrict row = canvas + ((picture[i] * 3 + c) * H + y) * W + left;
                    const float value = colour[3 * i + c];
                    if (before) {
                        float *restrict kept = before + c * T + at;
                        for (int64_t x = 0; x < width; x++) kept[x] = row[x];
                    }
                    for (int64_t x = 0; x < width; x++) row[x] += a[x] * (value - row[x]);
                }
            }
        }
    }
    return 0;
}

// grad (B, 3, H, W) comes in as the gradient of the finished canvas and leaves as that of the canvas before any stroke.
// rows (R, 3) is room for a number for each row of each box, R = sum of heights: they are added in the order of one thread,
// so that grad_colour (N, 3) does not depend on how many there are.
int64_t composite_backward(float *grad, const float *alpha, const float *colour, const int64_t *box, const int64_t *start,
                        const int64_t *picture, const float *before, float *grad_alpha, float *rows, float *grad_colour,
                        int64_t N, int64_t T, int64_t B, int64_t H, int64_t W, int threads) {
    const int64_t bad = first_bad(box, start, picture, N, T, B, H, W);
    if (bad) return bad;
    int64_t *first = malloc(sizeof(int64_t) * (N + 1));  // row of each box in `rows`
    if (first == NULL) return -1;
    first[0] = 0;
    for (int64_t i = 0; i < N; i++) first[i + 1] = first[i] + box[4 * i + 3];
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int band = 0; band < threads; band++) {
        int64_t low = H * band / threads, high = H * (band + 1) / threads;
        for (int64_t i = N - 1; i >= 0; i--) {
            const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
            for (int64_t y = MAX(top, low); y < MIN(top + height, high); y++) {
                const int64_t at = start[i] + (y - top) * width;
                const float *restrict a = alpha + at;
                float *restrict ga = grad_alpha + at;
                for (int64_t x = 0; x < width; x++) ga[x] = 0;
                for (int c = 0; c < 3; c++) {
                    float *restrict g = grad + ((picture[i] * 3 + c) * H + y) * W + left;
                    const float *restrict kept = before + c * T + at;
                    const float value = colour[3 * i + c];
                    float sum = 0;
                    for (int64_t x = 0; x < width; x++) {
                        ga[x] += g[x] * (value - kept[x]);
                        sum += g[x] * a[x];
                        g[x] -= g[x] * a[x];
                    }
                    rows[(first[i] + y - top) * 3 + c] = sum;
                }
            }
        }
    }
    for (int64_t i = 0; i < N; i++)
        for (int c = 0; c < 3; c++) {
            float sum = 0;
            for (int64_t row = first[i]; row < first[i + 1]; row++) sum += rows[row * 3 + c];
            grad_colour[3 * i + c] = sum;
        }
    free(first);
    return 0;
}

// worth (N): by how much the squared error of the finished canvas grows without each stroke: see importance.py. canvas (3, H, W) comes
// in as it is before the strokes and leaves as it is after them; before (3, T) and visible (H, W) are room, visible all ones.
int64_t composite_without(float *canvas, const float *alpha, const float *colour, const int64_t *box, const int64_t *start,
                          const int64_t *picture, float *before, const float *target, float *visible, float *worth, int64_t N,
                          int64_t T, int64_t B, int64_t H, int64_t W, int threads) {
    if (B != 1) return -1;
    const int64_t bad = composite_forward(canvas, alpha, colour, box, start, picture, before, N, T, B, H, W, threads);
    if (bad) return bad;
    for (int64_t i = N - 1; i >= 0; i--) {
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        double sum = 0;
        for (int64_t y = 0; y < height; y++) {
            const float *restrict a = alpha + start[i] + y * width;
            float *restrict seen = visible + (top + y) * W + left;
            float row = 0;
            for (int c = 0; c < 3; c++) {
                const int64_t at = (c * H + top + y) * W + left;
                const float *restrict after = canvas + at, *restrict wanted = target + at;
                const float *restrict covered = before + c * T + start[i] + y * width;
                const float value = colour[3 * i + c];
                for (int64_t x = 0; x < width; x++) {
                    const float change = seen[x] * a[x] * (covered[x] - value);
                    row += change * (2 * (after[x] - wanted[x]) + change);
                }
            }
            for (int64_t x = 0; x < width; x++) seen[x] *= 1 - a[x];
            sum += row;
        }
        worth[i] = (float)sum;
    }
    return 0;
}
