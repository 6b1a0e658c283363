// Marks in the colours that suit a target best: see optimal_compositing.py, which has the same formulas in PyTorch.
//
// canvas, target (B, 3, H, W); candidates i = 0..B*K-1, those of picture p at p*K..p*K+K-1; alpha, box and
// start as in composite.c. Threads share out the pictures, in score_marks the candidates.
#include <math.h>
#include <stddef.h>

#include "kernel.h"

typedef struct {
    int64_t left, top, width, height;
    const float *alpha;
} Mark;

static Mark mark_of(const float *alpha, const int64_t *box, const int64_t *start, int64_t i) {
    Mark m = {box[4 * i], box[4 * i + 1], box[4 * i + 2], box[4 * i + 3], alpha + start[i]};
    return m;
}

// Best colour (3) of a mark over a picture (3, H, W), of `palette` (P, 3) where there is one, and the error that it takes
// away. weight receives B; free (3) is 1 where the colour would follow a change of alpha.
static float fit(const Mark m, const float *canvas, const float *target, const float *palette, int64_t P, int64_t H,
                 int64_t W, float *colour, float *weight, float *free) {
    float A[3], B = 0, gained = 0;
    for (int64_t c = 0; c < 3; c++) {
        float sum = 0, square = 1e-8f;
        for (int64_t y = 0; y < m.height; y++) {
            const int64_t row = (c * H + m.top + y) * W + m.left;
            const float *restrict a = m.alpha + y * m.width, *restrict b = canvas + row, *restrict t = target + row;
            for (int64_t x = 0; x < m.width; x++) {
                const float d = t[x] - b[x], e = d + a[x] * b[x];
                sum += a[x] * e;
                square += a[x] * a[x];
                gained += d * d - e * e;
            }
        }
        A[c] = sum;
        B = square;
        const float best = sum / square;
        colour[c] = fminf(fmaxf(best, 0), 1);
        free[c] = palette == NULL && best == colour[c];
    }
    float nearest = INFINITY;
    for (int64_t k = 0; k < P; k++) {
        float distance = 0;
        for (int64_t c = 0; c < 3; c++) distance += (palette[3 * k + c] - A[c] / B) * (palette[3 * k + c] - A[c] / B);
        if (distance >= nearest) continue;
        nearest = distance;
        for (int64_t c = 0; c < 3; c++) colour[c] = palette[3 * k + c];
    }
    *weight = B;
    for (int64_t c = 0; c < 3; c++) gained += 2 * colour[c] * A[c] - colour[c] * colour[c] * B;
    return gained;
}

int64_t score_marks_forward(const float *canvas, const float *target, const float *alpha, const int64_t *box, const int64_t *start,
                   const float *palette, float *gain, float *colour, int64_t B, int64_t K, int64_t T, int64_t H, int64_t W, int64_t P,
                   int threads) {
    const int64_t bad = first_bad_box(box, start, B * K, T, H, W);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
    for (int64_t i = 0; i < B * K; i++) {
        const int64_t picture = i / K * 3 * H * W;
        float weight, free[3];
        gain[i] = fit(mark_of(alpha, box, start, i), canvas + picture, target + picture, palette, P, H, W, colour + 3 * i,
                      &weight, free);
    }
    return 0;
}

// The colour is optimal (or held, at its limit or by the palette), so that only the direct effect of alpha remains.
int64_t score_marks_backward(const float *canvas, const float *target, const float *alpha, const int64_t *box, const int64_t *start,
                    const float *colour, const float *grad_gain, float *grad_alpha, int64_t B, int64_t K, int64_t T, int64_t H,
                    int64_t W, int threads) {
    const int64_t bad = first_bad_box(box, start, B * K, T, H, W);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
    for (int64_t i = 0; i < B * K; i++) {
        const Mark m = mark_of(alpha, box, start, i);
        for (int64_t y = 0; y < m.height; y++) {
            const float *restrict a = m.alpha + y * m.width;
            float *restrict g = grad_alpha + start[i] + y * m.width;
            for (int64_t x = 0; x < m.width; x++) g[x] = 0;
            for (int64_t c = 0; c < 3; c++) {
                const int64_t row = ((i / K * 3 + c) * H + m.top + y) * W + m.left;
                const float *restrict b = canvas + row, *restrict t = target + row;
                const float value = colour[3 * i + c];
                for (int64_t x = 0; x < m.width; x++)
                    g[x] += 2 * grad_gain[i] * (value - b[x]) * (t[x] - b[x] - a[x] * (value - b[x]));
            }
        }
    }
    return 0;
}

// Walks the candidates of each picture in `order` (B, K) and paints those whose gain on the canvas as it is then is at
// least `least[i]`, until `limit` are painted. painted (B, limit) receives their indices, -1 where there were too few.
// before (3, T) keeps what each covered, weight (B * K,) and free (B * K, 3) are for the backward pass.
int64_t composite_greedily_forward(float *canvas, const float *target, const float *alpha, const int64_t *box, const int64_t *start,
                          const int64_t *order, const float *least, const float *palette, int64_t *painted, float *colour,
                          float *weight, float *free, float *before, int64_t B, int64_t K, int64_t limit, int64_t T,
                          int64_t H, int64_t W, int64_t P, int threads) {
    const int64_t bad = first_bad_box(box, start, B * K, T, H, W);
    if (bad) return bad;
    for (int64_t k = 0; k < B * K; k++)  // pictures, and so threads, do not share marks
        if (order[k] < k / K * K || order[k] >= (k / K + 1) * K) return k + 1;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t p = 0; p < B; p++) {
        int64_t done = 0;
        for (int64_t k = 0; k < K && done < limit; k++) {
            const int64_t i = order[p * K + k];
            const Mark m = mark_of(alpha, box, start, i);
            const int64_t picture = p * 3 * H * W;
            const float gain = fit(m, canvas + picture, target + picture, palette, P, H, W, colour + 3 * i, weight + i,
                                   free + 3 * i);
            if (gain < least[i]) continue;
            painted[p * limit + done++] = i;
            for (int64_t c = 0; c < 3; c++)
                for (int64_t y = 0; y < m.height; y++) {
                    const float *restrict a = m.alpha + y * m.width;
                    float *restrict row = canvas + ((p * 3 + c) * H + m.top + y) * W + m.left;
                    float *restrict kept = before + c * T + start[i] + y * m.width;
                    const float value = colour[3 * i + c];
                    for (int64_t x = 0; x < m.width; x++) {
                        kept[x] = row[x];
                        row[x] += a[x] * (value - row[x]);
                    }
                }
        }
        for (; done < limit; done++) painted[p * limit + done] = -1;
    }
    return 0;
}

// grad (B, 3, H, W): of the canvas after, in; of the canvas before, out. grad_alpha must be zero on entry.
int64_t composite_greedily_backward(float *grad, const float *target, const float *alpha, const int64_t *box, const int64_t *start,
                           const int64_t *painted, const float *colour, const float *weight, const float *free,
                           const float *before, float *grad_alpha, int64_t B, int64_t K, int64_t limit, int64_t T, int64_t H,
                           int64_t W, int threads) {
    const int64_t bad = first_bad_box(box, start, B * K, T, H, W);
    if (bad) return bad;
    for (int64_t k = 0; k < B * limit; k++)
        if (painted[k] >= B * K) return painted[k] + 1;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int64_t p = 0; p < B; p++)
        for (int64_t done = limit - 1; done >= 0; done--) {
            const int64_t i = painted[p * limit + done];
            if (i < 0) continue;
            const Mark m = mark_of(alpha, box, start, i);
            for (int64_t c = 0; c < 3; c++) {
                const float value = colour[3 * i + c];
                float sum = 0;
                for (int64_t y = 0; y < m.height; y++) {
                    const float *restrict a = m.alpha + y * m.width;
                    const float *restrict g = grad + ((p * 3 + c) * H + m.top + y) * W + m.left;
                    for (int64_t x = 0; x < m.width; x++) sum += g[x] * a[x];
                }
                // c = A / B: dc/da = (t - (1 - 2 a) b - 2 a c) / B, dc/db = -a (1 - a) / B
                const float through = free[3 * i + c] * sum / weight[i];
                for (int64_t y = 0; y < m.height; y++) {
                    const float *restrict a = m.alpha + y * m.width;
                    const int64_t row = ((p * 3 + c) * H + m.top + y) * W + m.left;
                    float *restrict g = grad + row, *restrict ga = grad_alpha + start[i] + y * m.width;
                    const float *restrict t = target + row, *restrict b = before + c * T + start[i] + y * m.width;
                    for (int64_t x = 0; x < m.width; x++) {
                        ga[x] += g[x] * (value - b[x]) + through * (t[x] - (1 - 2 * a[x]) * b[x] - 2 * a[x] * value);
                        g[x] = (1 - a[x]) * (g[x] - through * a[x]);
                    }
                }
            }
        }
    return 0;
}
