// From strokes to shapes and maps, and back: `StrokeMap._geometry`, with a gradient to the strokes.
//
// A stroke has 13 columns: start x, y; bend x, y; end x, y; radius at start and end; opacity at start and end; colour.
#include "stroke_map_pixels.h"

#define COLUMNS 13
#define INPUTS 6
#define LAYERS 4
#define MARGIN 1.0f       // pixels around a stroke for its soft edge
#define BLOCK 16          // rows of the perceptron at a time

#define PANEL 64          // columns of a matrix that lie together; those of the usual network fit into the nearest cache
#define ROWS 6            // rows of the perceptron whose sums are kept in registers
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE 4            // vectors of columns of these sums
#else
#define TILE 1
#endif

// The perceptron and what strokes mean on a canvas. Matrices are padded with zeros to whole vectors and packed in panels: each
// panel holds PANEL columns (the last one the rest) of all rows, row after row. See `pack` in refine_strokes.py.
typedef struct {
    int G, hidden, outputs;           // outputs: 2 G G
    const float *forward[LAYERS];     // (in, padded out)
    const float *bias[LAYERS];        // (padded out); of the last layer .5 more, since maps are .5 + outputs
    const float *backward[LAYERS];    // (out, padded in)
    float sharpness, width, height;   // of the canvas in pixels
    float radius;                     // pixels of a radius of 1
    float mirrored;                   // half of the side below which mirror images are mixed in; 0 for none
} Network;

// Of a stroke, in its own frame: see stroke_map.py.
typedef struct {
    float mirror[2], extent, half[2], bend[2], radius[2];
    float image[2];  // how much of the mirror image is mixed in along each axis
    int64_t row;     // its first row of the perceptron; one for each combination of mirror images
} Frame;

// N strokes on their way through the perceptron. Rows of activations are padded.
typedef struct {
    int64_t N, rows, capacity;
    Frame *frame;
    Shape *shape;
    int64_t (*box)[4];       // left, top, width, height, as of BezierBrush.bounds
    float *maps;             // (N, outputs padded)
    float *grad_maps;        // likewise
    Shape *grad_shape;
    float *input;            // (rows, LANES)
    float *value[LAYERS];    // (rows, padded out) of each layer
    float *slope[LAYERS];    // of the activations, except the last layer's
} Encoding;

static inline int64_t inputs_of(const Network *net, int layer) { return layer == 0 ? INPUTS : net->hidden; }
static inline int64_t outputs_of(const Network *net, int layer) { return layer == LAYERS - 1 ? net->outputs : net->hidden; }

// A network from packed `weights`: of each layer its matrices forward and backward and its bias.
static Network network_of(const float *weights, int64_t hidden, int64_t G, float sharpness, float radius, float mirrored,
                          int64_t H, int64_t W) {
    Network net = {.G = (int)G, .hidden = (int)hidden, .outputs = (int)(2 * G * G), .sharpness = sharpness};
    net.radius = radius;
    net.mirrored = mirrored;
    net.width = W;
    net.height = H;
    for (int layer = 0; layer < LAYERS; layer++) {
        const int64_t in = inputs_of(&net, layer), out = outputs_of(&net, layer);
        net.forward[layer] = weights;
        net.backward[layer] = weights += in * PADDED(out);
        net.bias[layer] = weights += out * PADDED(in);
        weights += PADDED(out);
    }
    return net;
}

// y (rows, columns) = x (rows, in) matrix (in, columns) + bias, for a tile of rows and vectors that fits into registers. Rows of
// x, of the matrix and of y are x_step, width and y_step apart.
static ALWAYS_INLINE void multiply_tile(const int rows, const int vectors, const float *x, int64_t x_step, int64_t in,
                                        const float *matrix, int64_t width, const float *bias, float *y, int64_t y_step) {
    Lanes sum[ROWS][TILE];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = bias ? LANES_OF(bias + v * LANES) : (Lanes){0};
    for (int64_t k = 0; k < in; k++)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++) sum[r][v] += x[r * x_step + k] * LANES_OF(matrix + k * width + v * LANES);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) *(Lanes *)(y + r * y_step + v * LANES) = sum[r][v];
}

// The same for any number of rows, `vectors` at a time.
static ALWAYS_INLINE void multiply_columns(int64_t rows, const int vectors, const float *x, int64_t x_step, int64_t in,
                                           const float *matrix, int64_t width, const float *bias, float *y, int64_t y_step) {
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * x_step, y += ROWS * y_step)
        multiply_tile(ROWS, vectors, x, x_step, in, matrix, width, bias, y, y_step);
    if (rows >= 4) {
        multiply_tile(4, vectors, x, x_step, in, matrix, width, bias, y, y_step);
        rows -= 4, x += 4 * x_step, y += 4 * y_step;
    }
    if (rows >= 2) {
        multiply_tile(2, vectors, x, x_step, in, matrix, width, bias, y, y_step);
        rows -= 2, x += 2 * x_step, y += 2 * y_step;
    }
    if (rows == 1) multiply_tile(1, vectors, x, x_step, in, matrix, width, bias, y, y_step);
}

// y (rows, step) = x (rows, in) matrix (in, step) + bias; rows of x are x_step apart.
static void multiply(int64_t rows, const float *x, int64_t x_step, int64_t in, const float *matrix, int64_t step,
                     const float *bias, float *y) {
    for (int64_t first = 0; first < step; first += PANEL, matrix += in * PANEL) {  // all rows, while the panel is in the cache
        const int64_t width = step - first < PANEL ? step - first : PANEL;
        int64_t column = 0;
        for (; column + TILE * LANES <= width; column += TILE * LANES)
            multiply_columns(rows, TILE, x, x_step, in, matrix + column, width, bias ? bias + first + column : NULL, y + first + column, step);
        for (; column < width; column += LANES)
            multiply_columns(rows, 1, x, x_step, in, matrix + column, width, bias ? bias + first + column : NULL, y + first + column, step);
    }
}

// x sigmoid(x) in place, and its slope if that is not null.
static void silu(int64_t count, float *restrict value, float *restrict slope) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        const float x = value[i], s = 1 / (1 + exponential(clamp(-x, -80, 80)));
        value[i] = x * s;
        if (slope) slope[i] = s * (1 + x * (1 - s));
    }
}

// Rows first to last through the perceptron.
static void run_rows(const Network *net, const Encoding *e, int64_t first, int64_t last, int with_slopes) {
    const float *x = e->input + first * LANES;
    int64_t step = LANES;
    for (int layer = 0; layer < LAYERS; layer++) {
        const int64_t out = PADDED(outputs_of(net, layer));
        float *y = e->value[layer] + first * out;
        multiply(last - first, x, step, inputs_of(net, layer), net->forward[layer], out, net->bias[layer], y);
        if (layer < LAYERS - 1) silu((last - first) * out, y, with_slopes ? e->slope[layer] + first * out : NULL);
        x = y;
        step = out;
    }
}

// The gradient of rows first to last: from `value` of the last layer, where it stands instead of the outputs, to `input`. The
// values of the other layers are overwritten.
static void run_rows_backward(const Network *net, const Encoding *e, int64_t first, int64_t last) {
    for (int layer = LAYERS - 1; layer >= 0; layer--) {
        const int64_t out = PADDED(outputs_of(net, layer)), in = layer == 0 ? LANES : PADDED(net->hidden);
        float *y = (layer == 0 ? e->input : e->value[layer - 1]) + first * in;
        multiply(last - first, e->value[layer] + first * out, out, outputs_of(net, layer), net->backward[layer], in, NULL, y);
        if (layer == 0) break;
        const float *restrict slope = e->slope[layer - 1] + first * in;
        for (int64_t i = 0; i < (last - first) * in; i++) y[i] *= slope[i];
    }
}

static void free_encoding(Encoding *e) {
    void *all[] = {e->frame, e->shape, e->box, e->maps, e->grad_maps, e->grad_shape, e->input};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    for (int layer = 0; layer < LAYERS; layer++) {
        free(e->value[layer]);
        free(e->slope[layer]);
    }
}

// Room for `rows` rows; 0 without memory.
static int reserve_rows(const Network *net, Encoding *e, int64_t rows) {
    if (rows <= e->capacity) return 1;
    free(e->input);
    int sound = (e->input = malloc(sizeof(float) * rows * LANES)) != NULL;
    for (int layer = 0; layer < LAYERS; layer++) {
        const size_t size = sizeof(float) * rows * PADDED(outputs_of(net, layer));
        free(e->value[layer]);
        free(e->slope[layer]);
        e->value[layer] = malloc(size);
        e->slope[layer] = layer == LAYERS - 1 ? NULL : malloc(size);
        sound = sound && e->value[layer] && (layer == LAYERS - 1 || e->slope[layer]);
    }
    e->capacity = sound ? rows : 0;
    return sound;
}

// Room for N strokes; 0 without memory, when `free_encoding` frees the rest.
static int reserve_strokes(const Network *net, Encoding *e, int64_t N) {
    memset(e, 0, sizeof *e);
    e->N = N;
    const size_t maps = sizeof(float) * N * PADDED(net->outputs);
    e->frame = malloc(sizeof(Frame) * N);
    e->shape = malloc(sizeof(Shape) * N);
    e->box = malloc(sizeof(int64_t[4]) * N);
    e->maps = malloc(maps);
    e->grad_maps = malloc(maps);
    e->grad_shape = malloc(sizeof(Shape) * N);
    return e->frame && e->shape && e->box && e->maps && e->grad_maps && e->grad_shape && reserve_rows(net, e, N);
}

static inline int64_t within(float at, int64_t low, int64_t high) { return (int64_t)fminf(fmaxf(at, low), high); }

// As BezierBrush.bounds and box_of: at least a pixel, inside the canvas.
static void box_of(const Network *net, const float *start, const float *end, float reach, int64_t *box) {
    const int64_t size[2] = {(int64_t)net->width, (int64_t)net->height};
    for (int a = 0; a < 2; a++) {
        const int64_t low = within(floorf(fminf(start[a], end[a]) - reach), 0, size[a] - 1);
        const int64_t high = within(ceilf(fmaxf(start[a], end[a]) + reach), 0, size[a]);
        box[a] = low;
        box[2 + a] = high - low > 1 ? high - low : 1;
    }
}

// How much of the mirror image to mix in where the sign of `side` chooses the frame: 1/2 at 0.
static inline float mirrored_weight(float mirrored, float side) {
    return fabsf(side) < mirrored ? 0.5f - 0.5f * fabsf(side) / mirrored : 0;
}

static inline int images_of(const Frame *f) { return (1 + (f->image[0] > 0)) * (1 + (f->image[1] > 0)); }

// The k-th combination of mirror images: whether each axis is mirrored, and how much the combination counts.
static inline float combination(const Frame *f, int k, int *mirrored) {
    mirrored[0] = f->image[0] > 0 ? k & 1 : 0;
    mirrored[1] = f->image[1] > 0 ? (f->image[0] > 0 ? k >> 1 : k) : 0;
    float weight = 1;
    for (int a = 0; a < 2; a++) weight *= mirrored[a] ? f->image[a] : 1 - f->image[a];
    return weight;
}

// Frame, shape and box of stroke i.
static void place(const Network *net, Encoding *e, int64_t i, const float *stroke) {
    const float scale[2] = {net->width, net->height}, radius[2] = {stroke[6] * net->radius, stroke[7] * net->radius};
    float start[2], end[2], half[2], a[2], b[2], centre[2];
    Frame *f = e->frame + i;
    f->extent = 0;
    for (int k = 0; k < 2; k++) {
        start[k] = stroke[k] * scale[k];
        end[k] = stroke[4 + k] * scale[k];
        half[k] = (end[k] - start[k]) / 2;
        f->extent = fmaxf(f->extent, fabsf(half[k]));
    }
    const float reach = fmaxf(radius[0], radius[1]);
    f->extent += reach + 1e-3f;
    for (int k = 0; k < 2; k++) {
        const float control = start[k] + (end[k] - start[k]) * stroke[2 + k];
        centre[k] = (start[k] + end[k]) / 2;
        a[k] = start[k] - 2 * control + end[k];
        b[k] = 2 * (control - start[k]);
        f->mirror[k] = half[k] < 0 ? -1 : 1;
        f->half[k] = half[k] / f->extent;
        f->bend[k] = (control - centre[k]) / f->extent;
        f->radius[k] = radius[k] / f->extent;
        f->image[k] = mirrored_weight(net->mirrored, f->half[k]);
    }
    const Shape shape = {centre[0], centre[1], f->mirror[0] / f->extent, f->mirror[1] / f->extent,
                         a[0], b[0], start[0], a[1], b[1], start[1],
                         radius[0], radius[1] - radius[0], stroke[8], stroke[9] - stroke[8]};
    e->shape[i] = shape;
    box_of(net, start, end, reach + MARGIN, e->box[i]);
}

// Place N strokes and give each its rows; 1 + the index of a stroke that cannot be drawn, -2 without memory.
static int64_t place_all(const Network *net, Encoding *e, const float *strokes) {
    e->rows = 0;
    for (int64_t i = 0; i < e->N; i++) {
        if (!is_moderate(strokes + COLUMNS * i, COLUMNS)) return i + 1;
        place(net, e, i, strokes + COLUMNS * i);
        e->frame[i].row = e->rows;
        e->rows += images_of(e->frame + i);
    }
    return reserve_rows(net, e, e->rows) ? 0 : -2;
}

// What the perceptron sees of stroke i.
static void fill_rows(const Encoding *e, int64_t i) {
    const Frame *f = e->frame + i;
    for (int k = 0; k < images_of(f); k++) {
        int mirrored[2];
        combination(f, k, mirrored);
        float *x = e->input + (f->row + k) * LANES;
        for (int a = 0; a < 2; a++) {
            const float sign = mirrored[a] ? -f->mirror[a] : f->mirror[a];
            x[a] = 2 * f->half[a] * sign;
            x[2 + a] = 2 * f->bend[a] * sign;
            x[4 + a] = 2 * f->radius[a];
        }
    }
}

// Where node `at` of both maps (2, G, G) is in those of a mirror image.
static inline int64_t image_of(int64_t at, int64_t G, const int *mirrored) {
    int64_t map = at / (G * G), y = at / G % G, x = at % G;
    x = mirrored[0] ? G - 1 - x : x;
    y = mirrored[1] ? G - 1 - y : y;
    return (map * G + y) * G + x;
}

// The maps of stroke i from its rows; 0 where they are not finite.
static int mix_maps(const Network *net, const Encoding *e, int64_t i) {
    const Frame *f = e->frame + i;
    const int64_t step = PADDED(net->outputs);
    float *restrict maps = e->maps + i * step;
    const float *restrict rows = e->value[LAYERS - 1] + f->row * step;
    if (images_of(f) == 1)
        memcpy(maps, rows, sizeof(float) * step);
    else {
        memset(maps, 0, sizeof(float) * step);
        for (int k = 0; k < images_of(f); k++) {
            int mirrored[2];
            const float weight = combination(f, k, mirrored);
            for (int64_t n = 0; n < net->outputs; n++) maps[n] += weight * rows[k * step + image_of(n, net->G, mirrored)];
        }
    }
    return is_moderate(maps, net->outputs);
}

// From the gradient of the maps of stroke i to that of its rows, in their place, and of how much each image counts.
static void mix_maps_backward(const Network *net, const Encoding *e, int64_t i, float *grad_image) {
    const Frame *f = e->frame + i;
    const int64_t step = PADDED(net->outputs);
    const float *restrict grad = e->grad_maps + i * step;
    float *restrict rows = e->value[LAYERS - 1] + f->row * step;
    grad_image[0] = grad_image[1] = 0;
    if (images_of(f) == 1) {
        memcpy(rows, grad, sizeof(float) * step);
        return;
    }
    for (int k = 0; k < images_of(f); k++) {
        int mirrored[2];
        const float weight = combination(f, k, mirrored);
        float product = 0, image[2 * MAX_GRID * MAX_GRID];
        for (int64_t n = 0; n < net->outputs; n++) {
            const int64_t at = image_of(n, net->G, mirrored);
            product += grad[n] * rows[k * step + at];
            image[at] = weight * grad[n];
        }
        memcpy(rows + k * step, image, sizeof(float) * net->outputs);
        for (int a = 0; a < 2; a++)  // the weight is a product of factors `image` and 1 - `image`
            if (f->image[a] > 0) grad_image[a] += product * weight / (mirrored[a] ? f->image[a] : f->image[a] - 1);
    }
}

static inline float sign_of(float x) { return (x > 0) - (x < 0); }

// The gradient of the larger of two numbers, as torch.amax shares it out.
static inline void share_maximum(float one, float other, float grad, float *grad_one, float *grad_other) {
    *grad_one += one > other ? grad : one == other ? grad / 2 : 0;
    *grad_other += other > one ? grad : one == other ? grad / 2 : 0;
}

// From the gradient of its rows and its shape to the first 10 columns of stroke i.
static void place_backward(const Network *net, const Encoding *e, int64_t i, const float *stroke, const float *grad_image, float *grad) {
    const Frame *f = e->frame + i;
    const Shape *s = e->grad_shape + i;
    const float scale[2] = {net->width, net->height}, inverse = 1 / f->extent;
    float half[2] = {0}, bend[2] = {0}, radius[2] = {0};
    for (int k = 0; k < images_of(f); k++) {
        int mirrored[2];
        combination(f, k, mirrored);
        const float *x = e->input + (f->row + k) * LANES;
        for (int a = 0; a < 2; a++) {
            const float sign = mirrored[a] ? -f->mirror[a] : f->mirror[a];
            half[a] += 2 * sign * x[a];
            bend[a] += 2 * sign * x[2 + a];
            radius[a] += 2 * x[4 + a];
        }
    }
    float extent = -(s->scale_x * f->mirror[0] + s->scale_y * f->mirror[1]) * inverse * inverse;
    for (int a = 0; a < 2; a++) {
        if (f->image[a] > 0) half[a] -= 0.5f / net->mirrored * sign_of(f->half[a]) * grad_image[a];
        extent -= (half[a] * f->half[a] + bend[a] * f->bend[a] + radius[a] * f->radius[a]) * inverse;
    }
    // In pixels from here on.
    float side[2] = {fabsf(f->half[0]), fabsf(f->half[1])}, grad_side[2] = {0}, grad_radius[2] = {0};
    share_maximum(side[0], side[1], extent, grad_side, grad_side + 1);
    share_maximum(stroke[6], stroke[7], extent, grad_radius, grad_radius + 1);
    const float a[2] = {s->ax, s->ay}, b[2] = {s->bx, s->by}, c[2] = {s->cx, s->cy}, centre[2] = {s->centre_x, s->centre_y};
    for (int k = 0; k < 2; k++) {
        const float along = (half[k] * inverse + sign_of(f->half[k]) * grad_side[k]) / 2;
        const float middle = (centre[k] - bend[k] * inverse) / 2, control = bend[k] * inverse - 2 * a[k] + 2 * b[k];
        grad[k] = scale[k] * (a[k] - 2 * b[k] + c[k] + middle - along + control * (1 - stroke[2 + k]));
        grad[2 + k] = scale[k] * control * (stroke[4 + k] - stroke[k]);
        grad[4 + k] = scale[k] * (a[k] + middle + along + control * stroke[2 + k]);
        grad_radius[k] += radius[k] * inverse;
    }
    grad[6] = net->radius * (grad_radius[0] + s->r0 - s->dr);
    grad[7] = net->radius * (grad_radius[1] + s->dr);
    grad[8] = s->w0 - s->dw;
    grad[9] = s->dw;
}
