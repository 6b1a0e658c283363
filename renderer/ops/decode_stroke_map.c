// Alphas of strokes from maps of curve parameters: see decode_stroke_map.py, which has the same formulas in PyTorch.
//
// Stroke i: shape[14i..] = centre x, y; signed scale x, y of the own frame; ax, bx, cx; ay, by, cy (curve = (a t + b) t + c);
// r0, dr; w0, dw.  maps[i] (2, G, G): nearest t, last t.  box[4i..] = left, top, width, height in canvas pixels.
// alpha[start[i] + y * width + x] is written.
#include <math.h>

#include "kernel.h"

#define EPSILON 1e-6f
#define MAX_GRID 64

typedef struct {
    float row[2][MAX_GRID + 1], slope[2][MAX_GRID + 1], frac, live;
    int j;
} Row;

static inline float clamp(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

// Fast division turns 1 / infinity into NaN, hence the limit.
static inline float sigmoid(float x) { return 1 / (1 + expf(fminf(-x, 60))); }

// The two maps interpolated to one pixel row, and their change per unit of (node) position downwards.
static Row map_row(const float *maps, int G, float v) {
    Row out;
    float scaled = (v + 1) * 0.5f * (G - 1), inside = clamp(scaled, 0, G - 1);
    out.live = inside == scaled;
    out.j = (int)fminf(inside, G - 2);
    out.frac = inside - out.j;
    for (int m = 0; m < 2; m++) {
        const float *top = maps + (m * G + out.j) * G, *bottom = top + G;
        for (int g = 0; g < G; g++) {
            out.slope[m][g] = bottom[g] - top[g];
            out.row[m][g] = top[g] + out.frac * out.slope[m][g];
        }
        out.row[m][G] = out.row[m][G - 1];
        out.slope[m][G] = out.slope[m][G - 1];
    }
    return out;
}

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
        const float *s = shapes + 14 * i, *maps = all_maps + i * 2 * G * G;
        const float centre_x = s[0], scale_x = s[2], ax = s[4], bx = s[5], cx = s[6], ay = s[7], by = s[8], cy = s[9];
        const float r0 = s[10], dr = s[11], w0 = s[12], dw = s[13], top_node = G - 1;
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        for (int64_t yy = 0; yy < height; yy++) {
            const float y = top + yy + 0.5f;
            const Row row = map_row(maps, G, (y - s[1]) * s[3]);
            float *restrict out = alpha + start[i] + yy * width;
#pragma omp simd
            for (int64_t xx = 0; xx < width; xx++) {
                const float x = left + xx + 0.5f;
                const float u = clamp(((x - centre_x) * scale_x + 1) * 0.5f * top_node, 0, top_node);
                const int k = (int)u;
                const float f = u - k;
                const float n = clamp(row.row[0][k] + f * (row.row[0][k + 1] - row.row[0][k]), 0, 1);
                const float l = clamp(row.row[1][k] + f * (row.row[1][k + 1] - row.row[1][k]), 0, 1);
                const float dx = x - ((ax * n + bx) * n + cx), dy = y - ((ay * n + by) * n + cy);
                const float r = r0 + dr * n, d = sqrtf(dx * dx + dy * dy + EPSILON);
                const float near = sigmoid(sharpness * (r - d)), far = sigmoid(-sharpness * (r + d));
                out[xx] = (near - far) * (w0 + dw * l);
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
        const float *s = shapes + 14 * i, *maps = all_maps + i * 2 * G * G;
        const float centre_x = s[0], scale_x = s[2], ax = s[4], bx = s[5], cx = s[6], ay = s[7], by = s[8], cy = s[9];
        const float r0 = s[10], dr = s[11], w0 = s[12], dw = s[13], top_node = G - 1;
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        float gcentre_x = 0, gcentre_y = 0, gscale_x = 0, gscale_y = 0, gax = 0, gbx = 0, gcx = 0, gay = 0, gby = 0, gcy = 0;
        float gr0 = 0, gdr = 0, gw0 = 0, gdw = 0, gk = 0;
        for (int64_t yy = 0; yy < height; yy++) {
            const float y = top + yy + 0.5f;
            const Row row = map_row(maps, G, (y - s[1]) * s[3]);
            const float *restrict g = grad_alpha + start[i] + yy * width;
            float gnode[2][MAX_GRID + 1] = {{0}};
            float gv = 0;
            for (int64_t first = 0; first < width; first += 256) {
                const int count = width - first < 256 ? (int)(width - first) : 256;
                float gt[2][256], frac[256];
                int node[256];
#pragma omp simd reduction(+ : gcentre_x, gscale_x, gax, gbx, gcx, gay, gby, gcy, gr0, gdr, gw0, gdw, gk, gv)
                for (int xx = 0; xx < count; xx++) {
                    const float x = left + first + xx + 0.5f, go = g[first + xx];
                    const float raw_u = ((x - centre_x) * scale_x + 1) * 0.5f * top_node, u = clamp(raw_u, 0, top_node);
                    const int k = (int)u;
                    const float f = u - k;
                    const float n0 = row.row[0][k], n1 = row.row[0][k + 1], l0 = row.row[1][k], l1 = row.row[1][k + 1];
                    const float raw_n = n0 + f * (n1 - n0), raw_l = l0 + f * (l1 - l0);
                    const float n = clamp(raw_n, 0, 1), l = clamp(raw_l, 0, 1);
                    const float dx = x - ((ax * n + bx) * n + cx), dy = y - ((ay * n + by) * n + cy);
                    const float r = r0 + dr * n, d = sqrtf(dx * dx + dy * dy + EPSILON);
                    const float near = sigmoid(sharpness * (r - d)), far = sigmoid(-sharpness * (r + d));
                    const float value = w0 + dw * l;
                    const float gvalue = go * (near - far), gcover = go * value;
                    const float gnear = gcover * near * (1 - near), gfar = gcover * far * (1 - far);
                    gk += gnear * (r - d) + gfar * (r + d);
                    gw0 += gvalue;
                    gdw += gvalue * l;
                    const float gr = sharpness * (gnear + gfar), gd = sharpness * (gfar - gnear) / d;
                    const float gdx = gd * dx, gdy = gd * dy;
                    gr0 += gr;
                    gdr += gr * n;
                    gax -= gdx * n * n;
                    gbx -= gdx * n;
                    gcx -= gdx;
                    gay -= gdy * n * n;
                    gby -= gdy * n;
                    gcy -= gdy;
                    const float gn = raw_n == n ? gr * dr - gdx * (2 * ax * n + bx) - gdy * (2 * ay * n + by) : 0;
                    const float gl = raw_l == l ? gvalue * dw : 0;
                    gt[0][xx] = gn;
                    gt[1][xx] = gl;
                    frac[xx] = f;
                    node[xx] = k;
                    const float gu = raw_u == u ? gn * (n1 - n0) + gl * (l1 - l0) : 0;
                    gcentre_x += gu;
                    gscale_x += gu * (x - centre_x);
                    const float sn = row.slope[0][k] + f * (row.slope[0][k + 1] - row.slope[0][k]);
                    const float sl = row.slope[1][k] + f * (row.slope[1][k + 1] - row.slope[1][k]);
                    gv += gn * sn + gl * sl;
                }
                for (int m = 0; m < 2; m++)
                    for (int xx = 0; xx < count; xx++) {
                        const float part = gt[m][xx] * frac[xx];
                        gnode[m][node[xx]] += gt[m][xx] - part;
                        gnode[m][node[xx] + 1] += part;
                    }
            }
            gcentre_y += gv * row.live;
            gscale_y += gv * row.live * (y - s[1]);
            for (int m = 0; m < 2; m++) {
                gnode[m][G - 1] += gnode[m][G];
                float *grad_top = grad_maps + ((i * 2 + m) * G + row.j) * G;
                for (int k = 0; k < G; k++) {
                    grad_top[k] += gnode[m][k] * (1 - row.frac);
                    grad_top[G + k] += gnode[m][k] * row.frac;
                }
            }
        }
        const float half = 0.5f * top_node;
        const float result[14] = {-gcentre_x * half * scale_x, -gcentre_y * half * s[3], gscale_x * half, gscale_y * half,
                                  gax, gbx, gcx, gay, gby, gcy, gr0, gdr, gw0, gdw};
        for (int k = 0; k < 14; k++) grad_shapes[14 * i + k] = result[k];
        grad_sharpness[i] = gk;
    }
    return 0;
}
