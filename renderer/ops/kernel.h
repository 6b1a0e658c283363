// What all kernels check before they read or write: a stroke that fails leaves memory untouched.
//
// Kernels return 0, 1 + the index of the first malformed stroke, or -1 if the boxes do not fill their memory. The checks are on integers, since -ffast-math lets a
// compiler assume that there is neither NaN nor infinity.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FARTHEST 1e7f  // pixels; products of a few such numbers stay finite in single precision

static inline int is_moderate(const float *numbers, int count) {
    const float limit = FARTHEST;
    uint32_t most, bits;
    memcpy(&most, &limit, 4);
    for (int k = 0; k < count; k++) {
        memcpy(&bits, numbers + k, 4);
        if ((bits & 0x7fffffffu) > most) return 0;
    }
    return 1;
}

// Whether a number is neither NaN nor infinity.
static inline int is_finite(float number) {
    uint32_t bits;
    memcpy(&bits, &number, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

static int by_first(const void *a, const void *b) {
    const int64_t *one = a, *other = b;
    return one[0] != other[0] ? (one[0] > other[0]) - (one[0] < other[0]) : (one[1] > other[1]) - (one[1] < other[1]);
}

// Whether boxes that lie in any order in memory have neither gaps nor pixels in common.
static int fills(const int64_t *box, const int64_t *start, int64_t N) {
    int64_t (*spans)[2] = malloc(sizeof(int64_t[2]) * N), end = 0;
    int sound = spans != NULL;
    for (int64_t i = 0; sound && i < N; i++) {
        spans[i][0] = start[i];
        spans[i][1] = start[i] + box[4 * i + 2] * box[4 * i + 3];
    }
    if (sound) qsort(spans, N, sizeof(int64_t[2]), by_first);
    for (int64_t i = 0; sound && i < N; i++) {
        sound = spans[i][0] == end || spans[i][0] == spans[i][1];  // empty boxes lie anywhere
        end = spans[i][0] == spans[i][1] ? end : spans[i][1];
    }
    free(spans);
    return sound;
}

// box[4i..] = left, top, width, height, of T pixels in all; inside a canvas of H x W pixels if H >= 0.
static inline int64_t first_bad_box(const int64_t *box, const int64_t *start, int64_t N, int64_t T, int64_t H, int64_t W) {
    const int64_t most = INT32_MAX;
    int64_t total = 0, in_order = 1;
    for (int64_t i = 0; i < N; i++) {
        const int64_t left = box[4 * i], top = box[4 * i + 1], width = box[4 * i + 2], height = box[4 * i + 3];
        if (left < -most || left > most || top < -most || top > most || width < 0 || width > most || height < 0 ||
            height > most || start[i] < 0 || start[i] > T || width * height > T - start[i])
            return i + 1;
        if (H >= 0 && width * height > 0 && (left < 0 || top < 0 || left + width > W || top + height > H)) return i + 1;
        in_order &= start[i] == total;
        total += width * height;
    }
    return total == T && (in_order || fills(box, start, N)) ? 0 : -1;
}
