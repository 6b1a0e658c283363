// Alphas of strokes from maps of curve parameters, row by row: the formulas of decode_stroke_map.py.
//
// A map is interpolated linearly along x and y. Along x all rows of a box are alike, so that every node row of the maps is
// interpolated to the box's columns once (`columns_of`). A pixel then needs only the two node rows around it, which are
// contiguous in memory. The gradient takes the same way back. Columns are padded to whole vectors.
#include <math.h>

#include "kernel.h"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("prefer-vector-width=512")
#endif

#define LANES 16     // numbers that are computed side by side
#define CHUNK 256    // columns at a time; a multiple of LANES
#define MAX_GRID 64  // nodes a side
#define EPSILON 1e-6f

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

typedef float Lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float Nodes __attribute__((vector_size(32), aligned(4), may_alias));  // a node row of the usual grid

#define LANES_OF(pointer) (*(Lanes *)(pointer))
#define PADDED(n) (((n) + LANES - 1) / LANES * LANES)

// A stroke in pixels: centre and signed scale of its own frame, curve (a t + b) t + c, radius r0 + t dr, opacity w0 + t dw.
typedef struct {
    float centre_x, centre_y, scale_x, scale_y, ax, bx, cx, ay, by, cy, r0, dr, w0, dw;
} Shape;

// Sums over pixels that become the gradient of a shape, in lanes. Those of centre and scale are along y only.
typedef struct {
    float centre[LANES], scale[LANES], ax[LANES], bx[LANES], cx[LANES], ay[LANES], by[LANES], cy[LANES];
    float r0[LANES], dr[LANES], w0[LANES], dw[LANES], sharpness[LANES];
} Sums;

// Up to CHUNK columns of a box.
typedef struct {
    int G, count;                          // nodes a side; columns, padded
    float x[CHUNK];                        // pixel centres
    float inside[CHUNK];                   // 1 for columns of the box, 0 for padding
    float node[CHUNK], live[CHUNK];        // position in nodes; 1 where it follows a change of the frame
    float map[2 * MAX_GRID][CHUNK];        // the G node rows of each of both maps at the columns
    float gradient[2 * MAX_GRID][CHUNK];   // of `map`
} Columns;

// The two node rows around a pixel row.
typedef struct {
    float y, frac, live;
    int j;
} Row;

static inline float clamp(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

// exp(x) for x in [-80, 80], with a relative error of 3e-7. Unlike expf, it can be inlined into vector code.
static inline float exponential(float x) {
    const float t = x * 1.44269504f, whole = rintf(t), f = t - whole;
    float p = 1.32647e-3f;
    p = p * f + 9.67151e-3f;
    p = p * f + 5.550734e-2f;
    p = p * f + 2.4022242e-1f;
    p = p * f + 6.9314698e-1f;
    p = p * f + 1;
    union {
        int32_t bits;
        float value;
    } power = {((int32_t)whole + 127) << 23};
    return p * power.value;
}

// Start with `width` columns from `left` on; more than CHUNK are left for later calls. G is a constant in the caller, so that
// loops over nodes are unrolled.
static ALWAYS_INLINE void columns_of_grid(Columns *c, const Shape *s, const float *maps, const int G, int64_t left, int64_t width) {
    const float last = G - 1;
    const int real = width < CHUNK ? (int)width : CHUNK;
    c->count = PADDED(real);
    for (int i = 0; i < CHUNK && i < c->count; i++) {
        const float x = left + i + 0.5f, at = ((x - s->centre_x) * s->scale_x + 1) * 0.5f * last;
        c->x[i] = x;
        c->inside[i] = i < real;
        c->node[i] = clamp(at, 0, last);
        c->live[i] = i < real && c->node[i] == at;
    }
    for (int first = 0; first < c->count; first += LANES) {
        float hat[MAX_GRID][LANES];
        for (int k = 0; k < G; k++)
            for (int i = 0; i < LANES; i++) hat[k][i] = fmaxf(1 - fabsf(c->node[first + i] - k), 0);
        for (int j = 0; j < 2 * G; j++) {
            Lanes sum = maps[j * G] * *(Lanes *)hat[0];
            for (int k = 1; k < G; k++) sum += maps[j * G + k] * *(Lanes *)hat[k];
            *(Lanes *)&c->map[j][first] = sum;
        }
    }
}

static inline void columns_of(Columns *c, const Shape *s, const float *maps, int G, int64_t left, int64_t width) {
    c->G = G;
    if (G == 8)
        columns_of_grid(c, s, maps, 8, left, width);
    else
        columns_of_grid(c, s, maps, G, left, width);
}

static inline Row row_at(const Shape *s, int G, int64_t y) {
    Row row;
    row.y = y + 0.5f;
    const float last = G - 1, at = ((row.y - s->centre_y) * s->scale_y + 1) * 0.5f * last, node = clamp(at, 0, last);
    row.live = node == at;
    row.j = (int)fminf(node, last - 1);
    row.frac = node - row.j;
    return row;
}

typedef struct {
    float n, l, dx, dy, r, distance, inverse, near, far, A, B, value;
} Point;

// What is at a pixel, from the interpolated maps there.
static inline Point point_at(const Shape *s, float sharpness, float x, float y, float nearest, float last) {
    Point p;
    p.n = clamp(nearest, 0, 1);
    p.l = clamp(last, 0, 1);
    p.dx = x - ((s->ax * p.n + s->bx) * p.n + s->cx);
    p.dy = y - ((s->ay * p.n + s->by) * p.n + s->cy);
    p.r = s->r0 + s->dr * p.n;
    const float square = p.dx * p.dx + p.dy * p.dy + EPSILON;
    p.inverse = 1 / sqrtf(square);
    p.distance = square * p.inverse;
    // near = 1 / (1 + A) and far = 1 / (1 + B), with one division. Beyond e^40 they are 0, and the product would overflow.
    p.A = exponential(clamp(sharpness * (p.distance - p.r), -80, 40));
    p.B = exponential(clamp(sharpness * (p.distance + p.r), -80, 40));
    const float both = 1 / ((1 + p.A) * (1 + p.B));
    p.near = (1 + p.B) * both;
    p.far = (1 + p.A) * both;
    p.value = s->w0 + s->dw * p.l;
    return p;
}

// Alphas (count) of a row; 0 in padding.
static inline void decode_row(const Columns *c, const Shape shape, float sharpness, Row row, float *restrict alpha) {
    const Shape *s = &shape;
    const float *restrict n0 = c->map[row.j], *restrict n1 = c->map[row.j + 1];
    const float *restrict l0 = c->map[c->G + row.j], *restrict l1 = c->map[c->G + row.j + 1];
    for (int first = 0; first < c->count; first += LANES)
#pragma omp simd
        for (int k = 0; k < LANES; k++) {
            const int i = first + k;
            const Point p = point_at(s, sharpness, c->x[i], row.y, n0[i] + row.frac * (n1[i] - n0[i]),
                                     l0[i] + row.frac * (l1[i] - l0[i]));
            alpha[i] = (p.near - p.far) * p.value * c->inside[i];
        }
}

// Add what follows from the gradient (count) of a row's alphas to `sums` and to the columns' gradient.
static inline void decode_row_backward(Columns *restrict c, const Shape shape, float sharpness, Row row,
                                       const float *restrict grad, Sums *restrict sums) {
    const Shape *s = &shape;
    const float *restrict n0 = c->map[row.j], *restrict n1 = c->map[row.j + 1];
    const float *restrict l0 = c->map[c->G + row.j], *restrict l1 = c->map[c->G + row.j + 1];
    float *restrict gn0 = c->gradient[row.j], *restrict gn1 = c->gradient[row.j + 1];
    float *restrict gl0 = c->gradient[c->G + row.j], *restrict gl1 = c->gradient[c->G + row.j + 1];
    const float from_centre = row.y - s->centre_y;
    for (int first = 0; first < c->count; first += LANES)
#pragma omp simd
        for (int k = 0; k < LANES; k++) {
            const int i = first + k;
            const float dn = n1[i] - n0[i], dl = l1[i] - l0[i];
            const float nearest = n0[i] + row.frac * dn, last = l0[i] + row.frac * dl;
            const Point p = point_at(s, sharpness, c->x[i], row.y, nearest, last);
            const float go = grad[i] * c->inside[i];
            const float gvalue = go * (p.near - p.far), gcover = go * p.value;
            const float gnear = gcover * p.near * (p.A * p.near), gfar = gcover * p.far * (p.B * p.far);
            sums->sharpness[k] += gnear * (p.r - p.distance) + gfar * (p.r + p.distance);
            sums->w0[k] += gvalue;
            sums->dw[k] += gvalue * p.l;
            const float gr = sharpness * (gnear + gfar), gd = sharpness * (gfar - gnear) * p.inverse;
            const float gdx = gd * p.dx, gdy = gd * p.dy, gdxn = gdx * p.n, gdyn = gdy * p.n;
            sums->r0[k] += gr;
            sums->dr[k] += gr * p.n;
            sums->cx[k] -= gdx;
            sums->bx[k] -= gdxn;
            sums->ax[k] -= gdxn * p.n;
            sums->cy[k] -= gdy;
            sums->by[k] -= gdyn;
            sums->ay[k] -= gdyn * p.n;
            const float gt = gr * s->dr - 2 * (s->ax * gdxn + s->ay * gdyn) - s->bx * gdx - s->by * gdy;
            const float gn = nearest == p.n ? gt : 0, gl = last == p.l ? gvalue * s->dw : 0;
            const float gv = row.live * (gn * dn + gl * dl);
            sums->centre[k] += gv;
            sums->scale[k] += gv * from_centre;
            gn0[i] += gn - row.frac * gn;
            gn1[i] += row.frac * gn;
            gl0[i] += gl - row.frac * gl;
            gl1[i] += row.frac * gl;
        }
}

static inline void columns_start_gradient(Columns *c) {
    for (int j = 0; j < 2 * c->G; j++) memset(c->gradient[j], 0, sizeof(float) * c->count);
}

// The gradient of the columns' positions in nodes, `along`.
static ALWAYS_INLINE void along_columns(const Columns *c, const float *maps, const int G, float *restrict along) {
    for (int first = 0; first < c->count; first += LANES) {
        float within[MAX_GRID][LANES];  // 1 between nodes k and k + 1
        for (int k = 0; k < G - 1; k++)
            for (int i = 0; i < LANES; i++) within[k][i] = (int)fminf(c->node[first + i], G - 2) == k;
        Lanes sum = {0};
        for (int j = 0; j < 2 * G; j++) {
            const float *nodes = maps + j * G;
            Lanes slope = {0};
            for (int k = 0; k < G - 1; k++) slope += (nodes[k + 1] - nodes[k]) * *(Lanes *)within[k];
            sum += slope * *(Lanes *)&c->gradient[j][first];
        }
        *(Lanes *)&along[first] = sum;
    }
}

// Add the gradient of the maps (2, G, G) to `grad_maps`: each column gives to the two nodes around it.
static ALWAYS_INLINE void columns_to_nodes(const Columns *c, const int G, float *restrict grad_maps) {
    if (G == 8) {
        Nodes hat[LANES], sums[16];
        for (int j = 0; j < 16; j++) sums[j] = *(Nodes *)(grad_maps + 8 * j);
        for (int first = 0; first < c->count; first += LANES) {
            memset(hat, 0, sizeof hat);
            for (int i = 0; i < LANES; i++) {
                const int k = (int)fminf(c->node[first + i], 6);
                const float f = c->node[first + i] - k;
                ((float *)hat)[8 * i + k] = 1 - f;
                ((float *)hat)[8 * i + k + 1] = f;
            }
            for (int i = 0; i < LANES; i++)
                for (int j = 0; j < 16; j++) sums[j] += c->gradient[j][first + i] * hat[i];
        }
        for (int j = 0; j < 16; j++) *(Nodes *)(grad_maps + 8 * j) = sums[j];
        return;
    }
    for (int j = 0; j < 2 * G; j++)
        for (int i = 0; i < c->count; i++) {
            const int k = (int)fminf(c->node[i], G - 2);
            const float f = c->node[i] - k;
            grad_maps[j * G + k] += c->gradient[j][i] * (1 - f);
            grad_maps[j * G + k + 1] += c->gradient[j][i] * f;
        }
}

// From the gradient of the columns to that of the maps (2, G, G), and of the frame's centre and scale along x; all are added to.
static inline void columns_backward(const Columns *c, const Shape *s, const float *maps, int G, float *restrict grad_maps,
                                    float *grad_centre, float *grad_scale) {
    float along[CHUNK], centre = 0, scale = 0;
    if (G == 8) {
        along_columns(c, maps, 8, along);
        columns_to_nodes(c, 8, grad_maps);
    } else {
        along_columns(c, maps, G, along);
        columns_to_nodes(c, G, grad_maps);
    }
    for (int i = 0; i < c->count; i++) {
        centre += along[i] * c->live[i];
        scale += along[i] * c->live[i] * (c->x[i] - s->centre_x);
    }
    *grad_centre -= centre * 0.5f * (G - 1) * s->scale_x;
    *grad_scale += scale * 0.5f * (G - 1);
}

static inline float total(const float *lanes) {
    float sum = 0;
    for (int k = 0; k < LANES; k++) sum += lanes[k];
    return sum;
}

// Add the sums to the gradient of a shape.
static inline void add_sums(const Sums *sums, const Shape *s, int G, Shape *grad) {
    const float half = 0.5f * (G - 1);
    grad->centre_y -= total(sums->centre) * half * s->scale_y;
    grad->scale_y += total(sums->scale) * half;
    grad->ax += total(sums->ax);
    grad->bx += total(sums->bx);
    grad->cx += total(sums->cx);
    grad->ay += total(sums->ay);
    grad->by += total(sums->by);
    grad->cy += total(sums->cy);
    grad->r0 += total(sums->r0);
    grad->dr += total(sums->dr);
    grad->w0 += total(sums->w0);
    grad->dw += total(sums->dw);
}
