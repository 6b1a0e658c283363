// Alphas of strokes from textures in curve coordinates: see decode_texture.py and renderer/learned/curve_coordinates.py, which
// have the same formulas in PyTorch.
//
// Stroke i: shape[15i..] = start x, y; linear x, y; square x, y; first x, y; last x, y; extra x, y; reach; length / reach;
// strength.  logits[i] (A, C).  box[4i..] = left, top, width, height in canvas pixels.
// alpha[start[i] + y * width + x] and the curve parameter t are written.
#include <math.h>

#include "kernel.h"

#define NUMBERS 15
#define CAP 4
#define STARTS 8
#define ITERATIONS 6
#define CHUNK 256  // pixels of a row at a time
#define LEAST 3e-5f  // as in curve_coordinates.py

typedef struct {
    float sx, sy, bx, by, ax, ay, fx, fy, lx, ly, cx, cy, reach, ell, strength;
} Stroke;

// What a pixel is on a stroke: see curve_coordinates.Place.
typedef struct {
    float value, slope, next;  // of the last step of Newton's method, and where it leads
    float t, rx, ry, mx, my, norm, before, behind, qx, qy, side, distance;  // lengths in pixels
    float beyond, across, angle, den, body, row, column;
} Pixel;

static inline float clamp(float x, float low, float high) { return fminf(fmaxf(x, low), high); }
static inline float sigmoid(float x) { return 1 / (1 + expf(fminf(-x, 60))); }

// The curve parameters of a row of pixels; loops over pixels inside, so that they are vectorised.
static void solve(const Stroke *stroke, float px0, float py, int count, float *restrict t) {
    const Stroke s = *stroke;
    float low[CHUNK], high[CHUNK];
    const float ex = s.ax + s.bx, ey = s.ay + s.by;
    for (int n = 0; n < count; n++) {
        t[n] = low[n] = 0;
        high[n] = (px0 + n) * (px0 + n) + py * py;  // at first, the least square of a distance
    }
    for (int k = 1; k <= STARTS; k++) {
        const float at = (float)k / STARTS, bx = (s.ax * at + s.bx) * at, ry = py - (s.ay * at + s.by) * at;
        for (int n = 0; n < count; n++) {
            const float rx = px0 + n - bx, square = rx * rx + ry * ry;
            t[n] = square < high[n] ? at : t[n];
            high[n] = fminf(square, high[n]);
        }
    }
    for (int n = 0; n < count; n++) high[n] = 1;
    for (int k = 0; k < ITERATIONS; k++)
        for (int n = 0; n < count; n++) {
            const float u = t[n], rx = px0 + n - (s.ax * u + s.bx) * u, ry = py - (s.ay * u + s.by) * u;
            const float tx = 2 * s.ax * u + s.bx, ty = 2 * s.ay * u + s.by, mx = tx + s.cx, my = ty + s.cy;
            const float slope = fminf(2 * (rx * s.ax + ry * s.ay) - tx * mx - ty * my, -1e-2f) - 1e-2f;
            const float value = rx * mx + ry * my, next = u - value / slope;
            low[n] = value > 0 ? u : low[n];
            high[n] = value > 0 ? high[n] : u;
            t[n] = (next >= low[n]) & (next <= high[n]) ? next : (low[n] + high[n]) / 2;
        }
    for (int n = 0; n < count; n++) {
        const float px = px0 + n;
        const float at_start = px * (s.bx + s.cx) + py * (s.by + s.cy);
        const float at_end = (px - ex) * (s.ax + ex + s.cx) + (py - ey) * (s.ay + ey + s.cy);
        t[n] = at_start <= 0 ? 0 : at_end >= 0 ? 1 : t[n];
    }
}

static inline Pixel locate(const Stroke *s, float px, float py, float t0, int A, int C) {
    Pixel p;
    float rx = px - (s->ax * t0 + s->bx) * t0, ry = py - (s->ay * t0 + s->by) * t0;
    float tx = 2 * s->ax * t0 + s->bx, ty = 2 * s->ay * t0 + s->by, mx = tx + s->cx, my = ty + s->cy;
    p.slope = fminf(2 * (rx * s->ax + ry * s->ay) - tx * mx - ty * my, -1e-2f) - 1e-2f;
    p.value = rx * mx + ry * my;
    p.next = t0 - p.value / p.slope;
    p.t = clamp(p.next, 0, 1);
    p.rx = px - (s->ax * p.t + s->bx) * p.t;
    p.ry = py - (s->ay * p.t + s->by) * p.t;
    p.mx = 2 * s->ax * p.t + s->bx + s->cx;
    p.my = 2 * s->ay * p.t + s->by + s->cy;
    const float ox = s->bx + s->cx, oy = s->by + s->cy, ex = 2 * s->ax + ox, ey = 2 * s->ay + oy;
    const float before = fminf((p.rx * ox + p.ry * oy) / fmaxf(s->fx * ox + s->fy * oy, LEAST), 0);
    const float behind = fmaxf((p.rx * ex + p.ry * ey) / fmaxf(s->lx * ex + s->ly * ey, LEAST), 0);
    p.before = p.t == 0 ? before : 0;
    p.behind = p.t == 1 ? behind : 0;
    p.qx = p.rx - p.before * s->fx - p.behind * s->lx;
    p.qy = p.ry - p.before * s->fy - p.behind * s->ly;
    p.norm = sqrtf(p.mx * p.mx + p.my * p.my + LEAST * LEAST);
    p.side = (p.qy * p.mx - p.qx * p.my) / p.norm;
    p.distance = sqrtf(p.rx * p.rx + p.ry * p.ry + 1e-6f);
    p.beyond = (p.before + p.behind) / s->reach;
    p.across = p.side / s->reach;
    p.den = fabsf(p.beyond) + fabsf(p.across) + 1e-6f;
    p.angle = p.beyond / p.den;
    const float early = p.t * s->ell, late = (1 - p.t) * s->ell, full = 1 + s->ell / (1 + s->ell);
    p.body = (p.t + 0.5f * (early / (1 + early) - late / (1 + late)) + 0.5f * (full - 1)) / full;
    p.row = CAP * (1 + p.angle) + (A - 1 - 2 * CAP) * p.body;
    p.column = ((p.side < 0 ? -p.distance : p.distance) / s->reach + 1) * 0.5f * (C - 1);
    return p;
}

static int64_t first_bad(const float *shapes, const int64_t *box, const int64_t *start, int64_t N, int64_t T) {
    for (int64_t i = 0; i < N; i++) {
        const float *s = shapes + NUMBERS * i;
        if (!is_moderate(s, NUMBERS) || s[12] < 1e-3f || s[13] < 0) return i + 1;  // they are divided by reach and 1 + ell
    }
    return first_bad_box(box, start, N, T, -1, -1);
}

int64_t decode_texture_forward(const float *shapes, const float *all_logits, const int64_t *box, const int64_t *start,
                          float *alpha, float *all_t, int64_t N, int64_t T, int64_t A, int64_t C, int threads) {
    const int64_t bad = first_bad(shapes, box, start, N, T);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t i = 0; i < N; i++) {
        const Stroke s = *(const Stroke *)(shapes + NUMBERS * i);
        const float *logits = all_logits + i * A * C;
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        for (int64_t yy = 0; yy < height; yy++) {
            const float py = top + yy + 0.5f - s.sy;
            for (int64_t first = 0; first < width; first += CHUNK) {
                const int count = width - first < CHUNK ? (int)(width - first) : CHUNK;
                const float px0 = left + first + 0.5f - s.sx;
                float *restrict out = alpha + start[i] + yy * width + first;
                float *restrict t = all_t + start[i] + yy * width + first;
                solve(&s, px0, py, count, t);
#pragma omp simd
                for (int n = 0; n < count; n++) {
                    const Pixel p = locate(&s, px0 + n, py, t[n], A, C);
                    const int j = (int)clamp(p.row, 0, A - 2), k = (int)clamp(p.column, 0, C - 2);
                    const float f = p.row - j, g = p.column - k;
                    const float *corner = logits + j * (int)C + k;
                    const float above = corner[0] + g * (corner[1] - corner[0]);
                    const float below = corner[C] + g * (corner[C + 1] - corner[C]);
                    const float value = sigmoid(above + f * (below - above)) * s.strength;
                    out[n] = p.distance < s.reach ? value : 0;
                }
            }
        }
    }
    return 0;
}

// grad_shapes (N, 15) and grad_logits (N, A, C) must be zero on entry.
int64_t decode_texture_backward(const float *shapes, const float *all_logits, const int64_t *box, const int64_t *start,
                           const float *all_t, const float *grad_alpha, float *grad_shapes, float *grad_logits, int64_t N,
                           int64_t T, int64_t A, int64_t C, int threads) {
    const int64_t bad = first_bad(shapes, box, start, N, T);
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
    for (int64_t i = 0; i < N; i++) {
        const Stroke s = *(const Stroke *)(shapes + NUMBERS * i);
        const float *logits = all_logits + i * A * C;
        float *grad = grad_logits + i * A * C;
        Stroke d = {0};
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        const float full = 1 + s.ell / (1 + s.ell), full_slope = 1 / ((1 + s.ell) * (1 + s.ell));
        const float ox = s.bx + s.cx, oy = s.by + s.cy, ex = 2 * s.ax + ox, ey = 2 * s.ay + oy;
        for (int64_t n = 0; n < width * height; n++) {
            const float go = grad_alpha[start[i] + n], t0 = all_t[start[i] + n];
            if (go == 0) continue;
            const float px = left + n % width + 0.5f - s.sx, py = top + n / width + 0.5f - s.sy;
            const Pixel p = locate(&s, px, py, t0, A, C);
            if (!(p.distance < s.reach)) continue;
            // The texture.
            const int j = (int)clamp(p.row, 0, A - 2), k = (int)clamp(p.column, 0, C - 2);
            const float f = p.row - j, g = p.column - k;
            const float *corner = logits + j * C + k;
            const float above = corner[0] + g * (corner[1] - corner[0]);
            const float below = corner[C] + g * (corner[C + 1] - corner[C]);
            const float cover = sigmoid(above + f * (below - above));
            d.strength += go * cover;
            const float gvalue = go * s.strength * cover * (1 - cover);
            float *node = grad + j * C + k;
            node[0] += gvalue * (1 - f) * (1 - g);
            node[1] += gvalue * (1 - f) * g;
            node[C] += gvalue * f * (1 - g);
            node[C + 1] += gvalue * f * g;
            const float grow = gvalue * (below - above);
            const float gcolumn =
                gvalue * ((1 - f) * (corner[1] - corner[0]) + f * (corner[C + 1] - corner[C])) * 0.5f * (C - 1);
            // Its nodes.
            const float gangle = p.beyond == 0 ? 0 : CAP * grow, gbody = (A - 1 - 2 * CAP) * grow;
            const float sign = p.side < 0 ? -1 : 1;
            const float gbeyond = gangle * (fabsf(p.across) + 1e-6f) / (p.den * p.den);
            const float gacross = -gangle * p.beyond * sign / (p.den * p.den);
            const float early = 1 + p.t * s.ell, late = 1 + (1 - p.t) * s.ell;
            const float e2 = 1 / (early * early), l2 = 1 / (late * late);
            float gt = gbody * (1 + 0.5f * s.ell * (e2 + l2)) / full;
            d.ell += gbody * (0.5f * (p.t * e2 - (1 - p.t) * l2 + full_slope) - p.body * full_slope) / full;
            const float gdistance = gcolumn * sign / s.reach, gside = gacross / s.reach, gends = gbeyond / s.reach;
            d.reach -= gdistance * p.distance / s.reach + gside * p.across + gends * p.beyond;
            // Its place.
            float grx = gdistance * p.rx / p.distance, gry = gdistance * p.ry / p.distance;
            const float gs = gside / p.norm;
            const float gqx = -gs * p.my, gqy = gs * p.mx;
            const float gmx = gs * (p.qy - p.side * p.mx / p.norm), gmy = gs * (-p.qx - p.side * p.my / p.norm);
            grx += gqx;
            gry += gqy;
            if (p.before < 0) {
                const float along = s.fx * ox + s.fy * oy, under = fmaxf(along, LEAST);
                const float gb = gends - gqx * s.fx - gqy * s.fy;
                const float over = gb / under, down = along > LEAST ? -gb * p.before / under : 0;
                grx += over * ox;
                gry += over * oy;
                const float gox = over * p.rx + down * s.fx, goy = over * p.ry + down * s.fy;
                d.fx += down * ox - p.before * gqx;
                d.fy += down * oy - p.before * gqy;
                d.bx += gox;
                d.by += goy;
                d.cx += gox;
                d.cy += goy;
            }
            if (p.behind > 0) {
                const float along = s.lx * ex + s.ly * ey, under = fmaxf(along, LEAST);
                const float gb = gends - gqx * s.lx - gqy * s.ly;
                const float over = gb / under, down = along > LEAST ? -gb * p.behind / under : 0;
                grx += over * ex;
                gry += over * ey;
                const float gex = over * p.rx + down * s.lx, gey = over * p.ry + down * s.ly;
                d.lx += down * ex - p.behind * gqx;
                d.ly += down * ey - p.behind * gqy;
                d.ax += 2 * gex;
                d.ay += 2 * gey;
                d.bx += gex;
                d.by += gey;
                d.cx += gex;
                d.cy += gey;
            }
            gt += 2 * (s.ax * gmx + s.ay * gmy) - grx * (2 * s.ax * p.t + s.bx) - gry * (2 * s.ay * p.t + s.by);
            float gpx = grx, gpy = gry;
            d.ax += 2 * p.t * gmx - p.t * p.t * grx;
            d.ay += 2 * p.t * gmy - p.t * p.t * gry;
            d.bx += gmx - p.t * grx;
            d.by += gmy - p.t * gry;
            d.cx += gmx;
            d.cy += gmy;
            if (p.next >= 0 && p.next <= 1) {  // the root moves with the stroke
                const float gv = -gt / p.slope;
                const float rx = px - (s.ax * t0 + s.bx) * t0, ry = py - (s.ay * t0 + s.by) * t0;
                const float mx = gv * (2 * s.ax * t0 + s.bx + s.cx), my = gv * (2 * s.ay * t0 + s.by + s.cy);
                gpx += mx;
                gpy += my;
                d.ax += 2 * t0 * gv * rx - t0 * t0 * mx;
                d.ay += 2 * t0 * gv * ry - t0 * t0 * my;
                d.bx += gv * rx - t0 * mx;
                d.by += gv * ry - t0 * my;
                d.cx += gv * rx;
                d.cy += gv * ry;
            }
            d.sx -= gpx;
            d.sy -= gpy;
        }
        *(Stroke *)(grad_shapes + NUMBERS * i) = d;
    }
    return 0;
}
