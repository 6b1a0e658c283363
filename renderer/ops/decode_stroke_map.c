// Alphas of strokes from maps of curve parameters: see decode_stroke_map.py, which has the same formulas in PyTorch.
//
// shapes (N, 14), maps (N, 2, G, G): nearest t, last t.  box[4i..] = left, top, width, height in canvas pixels.
// alpha[start[i] + y * width + x] is written.
#include "stroke_map_pixels.h"

static int64_t first_bad(const float *shapes, const int64_t *box, const int64_t *start, int64_t N, int64_t T) {
    for (int64_t i = 0; i < N; i++)
        if (!is_moderate(shapes + 14 * i, 14)) return i + 1;
    return first_bad_box(box, start, N, T, -1, -1);
}

int64_t decode_stroke_map_forward(const float *shapes, const float *all_maps, const int64_t *box, const int64_t *start, float *alpha,
                        int64_t N, int64_t T, int64_t G, float sharpness, int threads) {
    const int64_t bad = first_bad(shapes, box, start, N, T);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t i = 0; i < N; i++) {
        const Shape *s = (const Shape *)(shapes + 14 * i);
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        Columns columns;
        float row[CHUNK];
        for (int64_t first = 0; first < width; first += CHUNK) {
            const int64_t count = width - first < CHUNK ? width - first : CHUNK;
            columns_of(&columns, s, all_maps + i * 2 * G * G, (int)G, left + first, width - first);
            for (int64_t y = 0; y < height; y++) {
                decode_row(&columns, *s, sharpness, row_at(s, (int)G, top + y), row);
                memcpy(alpha + start[i] + y * width + first, row, sizeof(float) * count);
            }
        }
    }
    return 0;
}

// grad_shapes (N, 14), grad_maps (N, 2, G, G) and grad_sharpness (N) must be zero on entry.
int64_t decode_stroke_map_backward(const float *shapes, const float *all_maps, const int64_t *box, const int64_t *start,
                         const float *grad_alpha, float *grad_shapes, float *grad_maps, float *grad_sharpness, int64_t N,
                         int64_t T, int64_t G, float sharpness, int threads) {
    const int64_t bad = first_bad(shapes, box, start, N, T);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t i = 0; i < N; i++) {
        const Shape *s = (const Shape *)(shapes + 14 * i);
        Shape *grad = (Shape *)(grad_shapes + 14 * i);
        const float *maps = all_maps + i * 2 * G * G;
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        Columns columns;
        Sums sums = {0};
        float row[CHUNK] = {0};
        for (int64_t first = 0; first < width; first += CHUNK) {
            const int64_t count = width - first < CHUNK ? width - first : CHUNK;
            columns_of(&columns, s, maps, (int)G, left + first, width - first);
            columns_start_gradient(&columns);
            for (int64_t y = 0; y < height; y++) {
                memcpy(row, grad_alpha + start[i] + y * width + first, sizeof(float) * count);
                decode_row_backward(&columns, *s, sharpness, row_at(s, (int)G, top + y), row, &sums);
            }
            columns_backward(&columns, s, maps, (int)G, grad_maps + i * 2 * G * G, &grad->centre_x, &grad->scale_x);
        }
        add_sums(&sums, s, (int)G, grad);
        grad_sharpness[i] = total(sums.sharpness);
    }
    return 0;
}
