// Strokes of a stroke map scored, or refined by gradient descent, in one call: see refine_strokes.py.
//
// Pictures are copied once to rows of `stride` floats, the three channels of a row beside one another, with room behind the
// last pixel, so that loops run over whole vectors of columns. Strokes beyond the end of a box have alpha 0 there.
#include <stddef.h>

#include "stroke_map_network.h"

#define BAND 64             // rows of a canvas that are painted and differentiated as one; it fits into a cache
#define FEW 20000           // pixels below which more threads would only wait for one another
#define NO_MEMORY (-2)

typedef struct {
    Network net;
    int64_t B, M, H, W, stride, P;
    const float *canvas, *target;  // (B, H, 3, stride)
    const float *palette;          // (P, 3) or null
    float min_radius, max_radius;  // of the column
    int opaque;
} Problem;

// The error of B pictures: strokes that are painted in order, with all that the gradient needs.
typedef struct {
    Encoding code;
    int64_t bands;         // of a picture
    int64_t *slot;         // (N) the first of a stroke's bands in the lists below
    int64_t *begin;        // (slots) where the pixels of a stroke in a band begin in what the band keeps
    float *maps;           // (slots, outputs padded), gradient
    Shape *shape;          // (slots), gradient
    float (*colour)[3];    // (slots), gradient
    double *error;         // (B, bands)
    float *work;           // the canvas
    int64_t slots, slot_room;
    int64_t *size;         // (B, bands) of what a band keeps: alpha and the three channels below of every pixel of its strokes
} Painting;

static float *padded(const float *pictures, int64_t B, int64_t H, int64_t W, int64_t stride) {
    float *rows = calloc(B * H * 3 * stride, sizeof(float));
    for (int64_t p = 0; rows && p < B; p++)
        for (int64_t y = 0; y < H; y++)
            for (int64_t c = 0; c < 3; c++)
                memcpy(rows + ((p * H + y) * 3 + c) * stride, pictures + ((p * 3 + c) * H + y) * W, sizeof(float) * W);
    return rows;
}

static int open_problem(Problem *q, const float *canvas, const float *target) {
    q->stride = PADDED(q->W) + LANES;
    if (q->P == 0) q->palette = NULL;
    q->canvas = padded(canvas, q->B, q->H, q->W, q->stride);
    q->target = padded(target, q->B, q->H, q->W, q->stride);
    return q->canvas && q->target;
}

static void close_problem(Problem *q) {
    free((void *)q->canvas);
    free((void *)q->target);
}

static inline float limited(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

static const float *nearest_colour(const Problem *q, const float *colour) {
    const float *best = q->palette;
    float least = INFINITY;
    for (int64_t k = 0; k < q->P; k++) {
        float distance = 0;
        for (int c = 0; c < 3; c++) distance += (q->palette[3 * k + c] - colour[c]) * (q->palette[3 * k + c] - colour[c]);
        if (distance >= least) continue;
        least = distance;
        best = q->palette + 3 * k;
    }
    return best;
}

// StrokeConstraints.apply; blank strokes get opacity 0.
static void allow(const Problem *q, const float *stroke, int blank, int coloured, float *allowed) {
    memcpy(allowed, stroke, sizeof(float) * COLUMNS);
    for (int k = 6; k < 8; k++) allowed[k] = limited(stroke[k], q->min_radius, q->max_radius);
    if (q->opaque) allowed[8] = allowed[9] = 1;
    if (blank) allowed[8] = allowed[9] = 0;
    if (q->palette && coloured) memcpy(allowed + 10, nearest_colour(q, allowed + 10), sizeof(float) * 3);
}

// The decay rates of Adam's averages, and what is added to the root of the second.
typedef struct {
    float mean, square, epsilon;
} Adam;

static const Adam FEW_STEPS = {0.8f, 0.9f, 1e-12f};

// One step of Adam on a stroke, after `step` others.
static void adam(const Adam *a, int64_t step, float rate, const float *step_size, const float *gradient, float *mean, float *square,
                 float *stroke) {
    const float first = rate / (1 - powf(a->mean, step + 1)), second = 1 / (1 - powf(a->square, step + 1));
    for (int k = 0; k < COLUMNS; k++) {
        mean[k] = a->mean * mean[k] + (1 - a->mean) * gradient[k];
        square[k] = a->square * square[k] + (1 - a->square) * gradient[k] * gradient[k];
        stroke[k] = limited(stroke[k] - step_size[k] * first * mean[k] / (sqrtf(square[k] * second) + a->epsilon), 0, 1);
    }
}

// ---- Each stroke by itself: its optimal colour, and what it gains.

// Sums over the pixels of a stroke in lanes; see optimal_compositing.py.
typedef struct {
    Lanes A[3], B, gained;
} Fit;

static inline void fit_row(Fit *fit, int count, const float *alpha, const float *canvas, const float *target, int64_t stride) {
    for (int i = 0; i < count; i += LANES) {
        const Lanes a = LANES_OF(alpha + i);
        fit->B += a * a;
        for (int c = 0; c < 3; c++) {
            const Lanes b = LANES_OF(canvas + c * stride + i), d = LANES_OF(target + c * stride + i) - b, ab = a * b;
            fit->A[c] += a * (d + ab);
            fit->gained -= ab * (d + d + ab);
        }
    }
}

// The gradient of -gain with respect to the alphas of a row. The colour is optimal, so that only their direct effect counts.
static inline void fit_row_backward(int count, const float *alpha, const float *canvas, const float *target, int64_t stride,
                                    const float *colour, float *grad) {
    for (int i = 0; i < count; i += LANES) {
        const Lanes a = LANES_OF(alpha + i);
        Lanes g = {0};
        for (int c = 0; c < 3; c++) {
            const Lanes b = LANES_OF(canvas + c * stride + i), d = LANES_OF(target + c * stride + i) - b, change = colour[c] - b;
            g += change * (a * change - d);
        }
        LANES_OF(grad + i) = 2 * g;
    }
}

// The gain of stroke i of picture p, its colour and, where `differentiate`, the gradient of -gain in `e`. alphas: room for
// the pixels of a box.
static float gain_of(const Problem *q, Encoding *e, int64_t i, int64_t p, float *alphas, float *colour, int differentiate) {
    const Network *net = &q->net;
    const Shape *s = e->shape + i;
    const int64_t *box = e->box[i], outputs = PADDED(net->outputs);
    const float *maps = e->maps + i * outputs;
    Columns columns;
    Fit fit = {0};
    for (int64_t first = 0; first < box[2]; first += CHUNK) {
        columns_of(&columns, s, maps, net->G, box[0] + first, box[2] - first);
        for (int64_t y = 0; y < box[3]; y++) {
            float *row = alphas + first * box[3] + y * columns.count;
            const int64_t at = (p * q->H + box[1] + y) * 3 * q->stride + box[0] + first;
            decode_row(&columns, *s, net->sharpness, row_at(s, net->G, box[1] + y), row);
            fit_row(&fit, columns.count, row, q->canvas + at, q->target + at, q->stride);
        }
    }
    const float weight = total((float *)&fit.B) + 1e-8f;
    float gain = total((float *)&fit.gained), sums[3], best[3];
    for (int c = 0; c < 3; c++) {
        sums[c] = total((float *)&fit.A[c]);
        best[c] = sums[c] / weight;
        colour[c] = limited(best[c], 0, 1);
    }
    if (q->palette) memcpy(colour, nearest_colour(q, best), sizeof(float) * 3);
    for (int c = 0; c < 3; c++) gain += 2 * colour[c] * sums[c] - colour[c] * colour[c] * weight;
    if (!differentiate) return gain;
    Sums along = {0};
    float *grad_maps = e->grad_maps + i * outputs;
    memset(grad_maps, 0, sizeof(float) * outputs);
    memset(e->grad_shape + i, 0, sizeof(Shape));
    for (int64_t first = 0; first < box[2]; first += CHUNK) {
        if (box[2] > CHUNK) columns_of(&columns, s, maps, net->G, box[0] + first, box[2] - first);
        columns_start_gradient(&columns);
        for (int64_t y = 0; y < box[3]; y++) {
            float *row = alphas + first * box[3] + y * columns.count;
            const int64_t at = (p * q->H + box[1] + y) * 3 * q->stride + box[0] + first;
            fit_row_backward(columns.count, row, q->canvas + at, q->target + at, q->stride, colour, row);
            decode_row_backward(&columns, *s, net->sharpness, row_at(s, net->G, box[1] + y), row, &along);
        }
        columns_backward(&columns, s, maps, net->G, grad_maps, &e->grad_shape[i].centre_x, &e->grad_shape[i].scale_x);
    }
    add_sums(&along, s, net->G, e->grad_shape + i);
    return gain;
}

// The gains of the strokes first to last of all B * M, in colour (., 3), and if grad is not null the gradient (., 13) of -gain.
static int64_t gains_of(const Problem *q, Encoding *e, float *alphas, const float *strokes, int64_t first, int64_t last, float *gain,
                        float *colour, float *grad) {
    e->N = last - first;
    const int64_t bad = place_all(&q->net, e, strokes);
    if (bad) return bad < 0 ? bad : first + bad;
    for (int64_t i = 0; i < e->N; i++) fill_rows(e, i);
    run_rows(&q->net, e, 0, e->rows, grad != NULL);
    for (int64_t i = 0; i < e->N; i++) {
        if (!mix_maps(&q->net, e, i)) return first + i + 1;
        gain[i] = gain_of(q, e, i, (first + i) / q->M, alphas, colour + 3 * i, grad != NULL);
        if (grad != NULL && !is_finite(gain[i])) return first + i + 1;
    }
    if (grad == NULL) return 0;
    float image[BLOCK][2];
    for (int64_t i = 0; i < e->N; i++) mix_maps_backward(&q->net, e, i, image[i]);
    run_rows_backward(&q->net, e, 0, e->rows);
    memset(grad, 0, sizeof(float) * COLUMNS * e->N);
    for (int64_t i = 0; i < e->N; i++) place_backward(&q->net, e, i, strokes + COLUMNS * i, image[i], grad + COLUMNS * i);
    return 0;
}

// A block of at most BLOCK strokes, refined by `steps` steps if there are any, else scored.
static int64_t refine_block(const Problem *q, float *strokes, const float *step_size, int64_t steps, float lr, int64_t first,
                            int64_t last, float *gain, float *colour) {
    Encoding e;
    float allowed[BLOCK * COLUMNS] = {0}, grad[BLOCK * COLUMNS], mean[BLOCK * COLUMNS] = {0}, square[BLOCK * COLUMNS] = {0};
    float *alphas = malloc(sizeof(float) * q->H * q->stride);
    int64_t bad = reserve_strokes(&q->net, &e, BLOCK) && alphas ? 0 : NO_MEMORY;
    for (int64_t step = 0; !bad && step < steps; step++) {
        for (int64_t i = 0; i < last - first; i++) allow(q, strokes + COLUMNS * i, 0, 0, allowed + COLUMNS * i);
        bad = gains_of(q, &e, alphas, allowed, first, last, gain, colour, grad);
        for (int64_t i = 0; !bad && i < (last - first) * COLUMNS; i += COLUMNS)
            adam(&FEW_STEPS, step, lr * (1 - (float)step / steps), step_size + i, grad + i, mean + i, square + i, strokes + i);
    }
    if (!bad && steps == 0) bad = gains_of(q, &e, alphas, strokes, first, last, gain, colour, NULL);
    free(alphas);
    free_encoding(&e);
    return bad;
}

static int64_t refine_blocks(Problem *q, float *strokes, const float *canvas, const float *target, const float *step_size, int64_t steps,
                             float lr, float *gain, float *colour, int threads) {
    int64_t bad = open_problem(q, canvas, target) ? 0 : NO_MEMORY;
    const int64_t N = q->B * q->M;
    float unused[BLOCK], colours[BLOCK * 3];
    if (!bad) {
#pragma omp parallel for num_threads(N > 4 * BLOCK ? threads : 1) schedule(dynamic, 1) private(unused, colours)
        for (int64_t first = 0; first < N; first += BLOCK) {
            const int64_t last = first + BLOCK < N ? first + BLOCK : N;
            const int64_t found = refine_block(q, strokes + COLUMNS * first, step_size ? step_size + COLUMNS * first : NULL, steps, lr,
                                               first, last, gain ? gain + first : unused, colour ? colour + 3 * first : colours);
            if (found)
#pragma omp critical
                bad = bad && bad < found ? bad : found;  // the first, whatever the order of threads
        }
    }
    close_problem(q);
    return bad;
}

int64_t score_strokes(float *strokes, const float *canvas, const float *target, const float *weights, const float *palette, float *gain,
                      float *colour, int64_t B, int64_t M, int64_t H, int64_t W, int64_t hidden, int64_t G, int64_t P, float sharpness,
                      float radius, float mirrored, int threads) {
    Problem q = {network_of(weights, hidden, G, sharpness, radius, mirrored, H, W), B, M, H, W, .P = P, .palette = palette};
    return refine_blocks(&q, strokes, canvas, target, NULL, 0, 0, gain, colour, threads);
}

int64_t refine_each(float *strokes, const float *canvas, const float *target, const float *weights, const float *palette,
                    const float *step_size, int64_t B, int64_t M, int64_t H, int64_t W, int64_t hidden, int64_t G, int64_t P, int64_t opaque,
                    int64_t steps, float sharpness, float radius, float mirrored, float lr, float min_radius, float max_radius, int threads) {
    Problem q = {network_of(weights, hidden, G, sharpness, radius, mirrored, H, W), B, M, H, W, .P = P, .palette = palette,
                 .min_radius = min_radius, .max_radius = max_radius, .opaque = (int)opaque};
    return steps > 0 ? refine_blocks(&q, strokes, canvas, target, step_size, steps, lr, NULL, NULL, threads) : 0;
}

// ---- All strokes together: the squared error of the canvas after them.

static inline int64_t band_of(int64_t y) { return y / BAND; }

static void close_painting(Painting *t) {
    void *all[] = {t->slot, t->begin, t->maps, t->shape, t->colour, t->error, t->work, t->size};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    free_encoding(&t->code);
}

static int open_painting(const Problem *q, Painting *t) {
    memset(t, 0, sizeof *t);
    const int coded = reserve_strokes(&q->net, &t->code, q->B * q->M);
    t->bands = (q->H + BAND - 1) / BAND;
    t->slot = malloc(sizeof(int64_t) * (q->B * q->M + 1));
    t->error = malloc(sizeof(double) * q->B * t->bands);
    t->size = malloc(sizeof(int64_t) * q->B * t->bands);
    t->work = malloc(sizeof(float) * q->B * q->H * 3 * q->stride);
    return coded && t->slot && t->error && t->size && t->work;
}

// Where each stroke's pixels of each band are kept. 0 without memory.
static int lay_out(const Problem *q, Painting *t) {
    const Encoding *e = &t->code;
    t->slots = 0;
    for (int64_t i = 0; i < e->N; i++) {
        const int64_t *box = e->box[i];
        t->slot[i] = t->slots;
        t->slots += band_of(box[1] + box[3] - 1) - band_of(box[1]) + 1;
    }
    t->slot[e->N] = t->slots;
    if (t->slots > t->slot_room) {
        free(t->begin);
        free(t->maps);
        free(t->shape);
        free(t->colour);
        t->slot_room = t->slots + t->slots / 4;
        t->begin = malloc(sizeof(int64_t) * t->slot_room);
        t->maps = malloc(sizeof(float) * t->slot_room * PADDED(q->net.outputs));
        t->shape = malloc(sizeof(Shape) * t->slot_room);
        t->colour = malloc(sizeof(float[3]) * t->slot_room);
        if (!(t->begin && t->maps && t->shape && t->colour)) return 0;
    }
    memset(t->size, 0, sizeof(int64_t) * q->B * t->bands);
    for (int64_t i = 0; i < e->N; i++) {
        const int64_t *box = e->box[i], bottom = box[1] + box[3];
        for (int64_t slot = t->slot[i], y = box[1]; slot < t->slot[i + 1]; slot++) {
            const int64_t end = (band_of(y) + 1) * BAND < bottom ? (band_of(y) + 1) * BAND : bottom;
            int64_t *size = t->size + i / q->M * t->bands + band_of(y);
            t->begin[slot] = *size;
            *size += (end - y) * 4 * PADDED(box[2]);
            y = end;
        }
    }
    return 1;
}

// `over`: the row below is kept behind the alphas, for the backward pass.
static inline void paint_row(int count, float *restrict canvas, int64_t stride, const float *colour, float *restrict kept) {
    for (int i = 0; i < count; i += LANES) {
        const Lanes a = LANES_OF(kept + i);
        for (int c = 0; c < 3; c++) {
            const Lanes below = LANES_OF(canvas + c * stride + i);
            LANES_OF(kept + (c + 1) * count + i) = below;
            LANES_OF(canvas + c * stride + i) = below + a * (colour[c] - below);
        }
    }
}

// `grad`: of the canvas after the stroke in, before it out; the gradient of the alphas replaces them.
static inline void paint_row_backward(int count, float *restrict grad, int64_t stride, const float *colour, float *restrict kept,
                                      Lanes *grad_colour) {
    for (int i = 0; i < count; i += LANES) {
        const Lanes a = LANES_OF(kept + i);
        Lanes sum = {0};
        for (int c = 0; c < 3; c++) {
            const Lanes g = LANES_OF(grad + c * stride + i), part = g * a;
            sum += g * (colour[c] - LANES_OF(kept + (c + 1) * count + i));
            grad_colour[c] += part;
            LANES_OF(grad + c * stride + i) = g - part;
        }
        LANES_OF(kept + i) = sum;
    }
}

// What a stroke does to a band: rows `top` to `bottom` of the canvas.
typedef struct {
    int64_t i, slot, top, bottom;
} Part;

static int part_of(const Painting *t, int64_t i, int64_t band, Part *part) {
    const int64_t *box = t->code.box[i], low = band * BAND, high = low + BAND, bottom = box[1] + box[3];
    if (box[1] >= high || bottom <= low) return 0;
    part->i = i;
    part->slot = t->slot[i] + band - band_of(box[1]);
    part->top = box[1] > low ? box[1] : low;
    part->bottom = bottom < high ? bottom : high;
    return 1;
}

static void paint_part(const Problem *q, Painting *t, const Part *part, float *canvas, const float *colour, float *kept, int one_row) {
    const Encoding *e = &t->code;
    const Shape *s = e->shape + part->i;
    const int64_t *box = e->box[part->i];
    Columns columns;
    for (int64_t first = 0; first < box[2]; first += CHUNK) {
        columns_of(&columns, s, e->maps + part->i * PADDED(q->net.outputs), q->net.G, box[0] + first, box[2] - first);
        for (int64_t y = part->top; y < part->bottom; y++) {
            decode_row(&columns, *s, q->net.sharpness, row_at(s, q->net.G, y), kept);
            paint_row(columns.count, canvas + y * 3 * q->stride + box[0] + first, q->stride, colour, kept);
            if (!one_row) kept += 4 * columns.count;
        }
    }
}

static void paint_part_backward(const Problem *q, Painting *t, const Part *part, float *grad, const float *colour, float *kept) {
    const Encoding *e = &t->code;
    const Shape *s = e->shape + part->i;
    const int64_t *box = e->box[part->i], outputs = PADDED(q->net.outputs);
    const float *maps = e->maps + part->i * outputs;
    float *grad_maps = t->maps + part->slot * outputs;
    Shape *grad_shape = t->shape + part->slot;
    Columns columns;
    Sums sums = {0};
    Lanes grad_colour[3] = {{0}};
    memset(grad_maps, 0, sizeof(float) * outputs);
    memset(grad_shape, 0, sizeof *grad_shape);
    for (int64_t first = 0; first < box[2]; first += CHUNK) {
        columns_of(&columns, s, maps, q->net.G, box[0] + first, box[2] - first);
        columns_start_gradient(&columns);
        for (int64_t y = part->top; y < part->bottom; y++, kept += 4 * columns.count) {
            paint_row_backward(columns.count, grad + y * 3 * q->stride + box[0] + first, q->stride, colour, kept, grad_colour);
            decode_row_backward(&columns, *s, q->net.sharpness, row_at(s, q->net.G, y), kept, &sums);
        }
        columns_backward(&columns, s, maps, q->net.G, grad_maps, &grad_shape->centre_x, &grad_shape->scale_x);
    }
    add_sums(&sums, s, q->net.G, grad_shape);
    for (int c = 0; c < 3; c++) t->colour[part->slot][c] = total((float *)(grad_colour + c));
}

// Paint a band of picture p, add up its error and, where `differentiate`, go back through its strokes. What it keeps for that is
// freed at once, so that large pictures need little memory. 0 without memory.
static int paint_band(const Problem *q, Painting *t, const float *strokes, int64_t p, int64_t band, int differentiate) {
    const int64_t low = band * BAND, high = low + BAND < q->H ? low + BAND : q->H, row = 3 * q->stride, size = (high - low) * row;
    float *work = t->work + p * q->H * row;  // of the picture
    const float *target = q->target + (p * q->H + low) * row;
    float one_row[4 * CHUNK], *all = differentiate ? malloc(sizeof(float) * (t->size[p * t->bands + band] + 1)) : one_row;
    Part part;
    if (!all) return 0;
    memcpy(work + low * row, q->canvas + (p * q->H + low) * row, sizeof(float) * size);
    for (int64_t i = p * q->M; i < (p + 1) * q->M; i++)
        if (part_of(t, i, band, &part))
            paint_part(q, t, &part, work, strokes + COLUMNS * i + 10, differentiate ? all + t->begin[part.slot] : one_row, !differentiate);
    double error = 0;
    for (int64_t y = 0; y < high - low; y++) {
        Lanes sum = {0};
        for (int64_t i = 0; i < row; i += LANES) {
            const Lanes d = LANES_OF(work + (low + y) * row + i) - LANES_OF(target + y * row + i);
            sum += d * d;
            if (differentiate) LANES_OF(work + (low + y) * row + i) = 2 * d;
        }
        error += total((float *)&sum);
    }
    t->error[p * t->bands + band] = error;
    for (int64_t i = (p + 1) * q->M - 1; differentiate && i >= p * q->M; i--)
        if (part_of(t, i, band, &part))
            paint_part_backward(q, t, &part, work, strokes + COLUMNS * i + 10, all + t->begin[part.slot]);
    if (differentiate) free(all);
    return 1;
}

// Add up the bands of stroke i, in their order.
static void gather_bands(const Problem *q, Painting *t, int64_t i, float *grad_colour) {
    const int64_t outputs = PADDED(q->net.outputs), first = t->slot[i];
    float *maps = t->code.grad_maps + i * outputs, *shape = (float *)(t->code.grad_shape + i);
    memcpy(maps, t->maps + first * outputs, sizeof(float) * outputs);
    memcpy(shape, t->shape + first, sizeof(Shape));
    memcpy(grad_colour, t->colour[first], sizeof(float) * 3);
    for (int64_t slot = first + 1; slot < t->slot[i + 1]; slot++) {
        for (int64_t n = 0; n < outputs; n++) maps[n] += t->maps[slot * outputs + n];
        for (size_t n = 0; n < sizeof(Shape) / sizeof(float); n++) shape[n] += ((float *)(t->shape + slot))[n];
        for (int c = 0; c < 3; c++) grad_colour[c] += t->colour[slot][c];
    }
}

// The error (B) of the canvases after all strokes, and its gradient (B * M, 13) if that is not null.
static int64_t error_of(const Problem *q, Painting *t, const float *strokes, float *error, float *grad, int threads) {
    Encoding *e = &t->code;
    const Network *net = &q->net;
    int64_t bad = place_all(net, e, strokes);
    if (bad) return bad;
    if (!lay_out(q, t)) return NO_MEMORY;
    int64_t pixels = 0;
    for (int64_t i = 0; i < e->N; i++) pixels += e->box[i][2] * e->box[i][3];
    threads = pixels < FEW ? 1 : threads;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < e->N; i++) fill_rows(e, i);
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < e->rows; first += BLOCK)
            run_rows(net, e, first, first + BLOCK < e->rows ? first + BLOCK : e->rows, grad != NULL);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < e->N; i++)
            if (!mix_maps(net, e, i))
#pragma omp critical
                bad = bad && bad < i + 1 ? bad : i + 1;
    }
    if (bad) return bad;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) collapse(2)
    for (int64_t p = 0; p < q->B; p++)
        for (int64_t band = 0; band < t->bands; band++)
            if (!paint_band(q, t, strokes, p, band, grad != NULL))
#pragma omp critical
                bad = NO_MEMORY;
    if (bad) return bad;
    for (int64_t p = 0; p < q->B; p++) {
        double sum = 0;
        for (int64_t band = 0; band < t->bands; band++) sum += t->error[p * t->bands + band];
        error[p] = sum;
    }
    if (!grad) return 0;
    float(*image)[2] = malloc(sizeof(float[2]) * e->N);
    if (!image && e->N > 0) return NO_MEMORY;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < e->N; i++) {
            gather_bands(q, t, i, grad + COLUMNS * i + 10);
            mix_maps_backward(net, e, i, image[i]);
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < e->rows; first += BLOCK)
            run_rows_backward(net, e, first, first + BLOCK < e->rows ? first + BLOCK : e->rows);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < e->N; i++) place_backward(net, e, i, strokes + COLUMNS * i, image[i], grad + COLUMNS * i);
    }
    free(image);
    return 0;
}

// error (B) and, if it is not null, its gradient (B, M, 13).
int64_t error_of_strokes(const float *strokes, const float *canvas, const float *target, const float *weights, float *error, float *grad,
                         int64_t B, int64_t M, int64_t H, int64_t W, int64_t hidden, int64_t G, float sharpness, float radius,
                         float mirrored, int threads) {
    Problem q = {network_of(weights, hidden, G, sharpness, radius, mirrored, H, W), B, M, H, W, .P = 0};
    Painting t = {0};
    int64_t bad = open_problem(&q, canvas, target) && open_painting(&q, &t) ? 0 : NO_MEMORY;
    if (!bad) bad = error_of(&q, &t, strokes, error, grad, threads);
    close_painting(&t);
    close_problem(&q);
    return bad;
}

// Refine strokes (B, M, 13) in place. mask (B, M): 0 for blank strokes. counts (B): steps of each picture. The strokes of a
// picture whose error did not fall come back as they were. painted (B, 3, H, W): the canvas after them.
int64_t refine_together(float *strokes, const float *canvas, const float *target, const float *weights, const float *palette,
                        const float *step_size, const float *mask, const int64_t *counts, float *painted, int64_t B, int64_t M, int64_t H,
                        int64_t W, int64_t hidden, int64_t G, int64_t P, int64_t opaque, int64_t steps, float sharpness, float radius,
                        float mirrored, float lr, float min_radius, float max_radius, int threads) {
    Problem q = {network_of(weights, hidden, G, sharpness, radius, mirrored, H, W), B, M, H, W, .P = P, .palette = palette,
                 .min_radius = min_radius, .max_radius = max_radius, .opaque = (int)opaque};
    Painting t = {0};
    const int64_t N = B * M, numbers = N * COLUMNS;
    float *room = calloc(5 * numbers + 2 * B + 1, sizeof(float)), *allowed = room, *grad = allowed + numbers, *mean = grad + numbers;
    float *square = mean + numbers, *original = square + numbers, *before = original + numbers, *error = before + B;
    int64_t bad = open_problem(&q, canvas, target) && open_painting(&q, &t) && room ? 0 : NO_MEMORY, worse = 0;
    for (int64_t step = 0; !bad && step <= steps; step++) {
        for (int64_t i = 0; i < N; i++) allow(&q, strokes + COLUMNS * i, mask[i] == 0, 1, allowed + COLUMNS * i);
        bad = error_of(&q, &t, allowed, error, step < steps ? grad : NULL, threads);
        if (!bad && step == 0) {
            memcpy(original, strokes, sizeof(float) * numbers);
            memcpy(before, error, sizeof(float) * B);
        }
        for (int64_t i = 0; !bad && step < steps && i < N; i++) {
            const int64_t at = COLUMNS * i, count = counts[i / M];
            if (step >= count) continue;
            if (mask[i] == 0) grad[at + 8] = grad[at + 9] = 0;
            adam(&FEW_STEPS, step, lr * (1 - (float)step / count), step_size + at, grad + at, mean + at, square + at, strokes + at);
        }
    }
    for (int64_t p = 0; !bad && p < B; p++) {
        const int64_t first = p * M * COLUMNS, size = sizeof(float) * M * COLUMNS;
        if (!is_finite(before[p])) bad = p * M + 1;
        const int kept = steps == 0 || !is_finite(error[p]) || error[p] >= before[p];
        worse += kept;
        memcpy(strokes + first, (kept ? original : allowed) + first, size);
    }
    if (!bad && worse) {
        for (int64_t i = 0; i < N; i++) allow(&q, strokes + COLUMNS * i, mask[i] == 0, 1, allowed + COLUMNS * i);
        bad = error_of(&q, &t, allowed, error, NULL, threads);
    }
    for (int64_t k = 0; !bad && k < B * H * 3; k++) {  // rows of a channel
        const int64_t p = k / (H * 3), y = k / 3 % H, c = k % 3;
        memcpy(painted + ((p * 3 + c) * H + y) * W, t.work + k * q.stride, sizeof(float) * W);
    }
    free(room);
    close_painting(&t);
    close_problem(&q);
    return bad;
}

// One step of Adam on strokes (B, M, 13) in place, after `step` others, down the error of the allowed strokes. lr (B, M, 13): rates
// of the numbers; averages are those of the gradient of strokes / lr. locked (M): not 0 for strokes that stay as they are, or
// null. error (B): before the step.
int64_t descend(float *strokes, const float *canvas, const float *target, const float *weights, const float *palette, const float *lr,
                const float *locked, float *mean, float *square, float *error, int64_t B, int64_t M, int64_t H, int64_t W, int64_t hidden,
                int64_t G, int64_t P, int64_t opaque, int64_t step, float sharpness, float radius, float mirrored, float rate,
                float mean_decay, float square_decay, float epsilon, float min_radius, float max_radius, int threads) {
    Problem q = {network_of(weights, hidden, G, sharpness, radius, mirrored, H, W), B, M, H, W, .P = P, .palette = palette,
                 .min_radius = min_radius, .max_radius = max_radius, .opaque = (int)opaque};
    Painting t = {0};
    const Adam a = {mean_decay, square_decay, epsilon};
    const int64_t N = B * M;
    const float each = 1.0f / (3 * H * W);
    float *allowed = calloc(2 * N * COLUMNS + 1, sizeof(float)), *grad = allowed + N * COLUMNS;
    int64_t bad = open_problem(&q, canvas, target) && open_painting(&q, &t) && allowed ? 0 : NO_MEMORY;
    for (int64_t i = 0; !bad && i < N; i++) {
        if (locked && locked[i % M] != 0) memcpy(allowed + COLUMNS * i, strokes + COLUMNS * i, sizeof(float) * COLUMNS);
        else allow(&q, strokes + COLUMNS * i, 0, 1, allowed + COLUMNS * i);
    }
    if (!bad) bad = error_of(&q, &t, allowed, error, grad, threads);
    for (int64_t p = 0; !bad && p < B; p++)
        if (!is_finite(error[p])) bad = p * M + 1;
    for (int64_t i = 0; !bad && i < N; i++) {
        if (locked && locked[i % M] != 0) continue;
        const int64_t at = COLUMNS * i;
        for (int k = 0; k < COLUMNS; k++) grad[at + k] *= each * lr[at + k];
        adam(&a, step, rate, lr + at, grad + at, mean + at, square + at, strokes + at);
    }
    free(allowed);
    close_painting(&t);
    close_problem(&q);
    return bad;
}
