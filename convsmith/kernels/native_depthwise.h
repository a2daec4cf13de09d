/* Depthwise convolution of ELEMENT maps (images, height, width, channels); included once for each element type.

   Weights are float32, taps x channels. A window is a list of the pixels that it meets, worked out once for a pixel
   and used for all channels, LANES at a time, so that sums stay in registers: as many as one of the processor's holds,
   since GCC keeps wider vectors in memory. */

#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t whole_lanes __attribute__((vector_size(4 * LANES), aligned(4)));

#define MOST_TAPS 49

struct plane {
    int64_t images, height, width, channels, out_height, out_width;
    int kernel, stride, padding;
};

typedef uint16_t half_lanes __attribute__((vector_size(2 * LANES), aligned(2)));
typedef uint32_t unsigned_lanes __attribute__((vector_size(4 * LANES), aligned(4)));

static inline lanes load_float32(const float *from) { return *(const lanes *)from; }
static inline void store_float32(float *to, lanes value) { *(lanes *)to = value; }

/* GCC 12 widens and narrows vectors of 16 by halves, unless told. */
static inline lanes load_bfloat16(const bfloat16 *from) {
#ifdef __AVX512F__
    return (lanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16);
#else
    return (lanes)(__builtin_convertvector(*(const half_lanes *)from, unsigned_lanes) << 16);
#endif
}

static inline void store_bfloat16(bfloat16 *to, lanes value) {
    unsigned_lanes bits = (unsigned_lanes)value;
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
#ifdef __AVX512F__
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16((__m512i)bits));
#else
    *(half_lanes *)to = __builtin_convertvector(bits, half_lanes);
#endif
}

/* The range of taps that meet a pixel of the input, along one axis. */
static inline void meet(int64_t place, int kernel, int stride, int padding, int64_t size, int *from, int *to) {
    int64_t start = place * stride - padding;
    *from = start < 0 ? (int)-start : 0;
    *to = start + kernel > size ? (int)(size - start) : kernel;
}
#endif

#define LOAD JOIN(load, SUFFIX)
#define STORE JOIN(store, SUFFIX)

/* One output pixel, or one input pixel of the gradient: the sum of `count` pixels times their taps. */
static inline void NAMED(gather)(const ELEMENT *const *restrict pixels, const float *const *restrict taps, int count,
                                 int64_t channels, ELEMENT *restrict to) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        lanes sum = {0};
        for (int tap = 0; tap < count; tap++) sum += LOAD(pixels[tap] + c) * load_float32(taps[tap] + c);
        STORE(to + c, sum);
    }
    for (; c < channels; c++) {
        float sum = 0.0f;
        for (int tap = 0; tap < count; tap++) sum += WIDEN(pixels[tap][c]) * taps[tap][c];
        to[c] = NARROW(sum);
    }
}

/* One output pixel whose window lies within the map, for a kernel whose side is known to the compiler. */
static inline __attribute__((always_inline)) void NAMED(slide)(const ELEMENT *restrict corner,
                                                               const float *restrict weight, const int side,
                                                               int64_t line, int64_t channels, ELEMENT *restrict to) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        lanes sum = {0};
#pragma GCC unroll 7
        for (int i = 0; i < side; i++)
#pragma GCC unroll 7
            for (int j = 0; j < side; j++)
                sum += LOAD(corner + i * line + j * channels + c) *
                       load_float32(weight + (i * side + j) * channels + c);
        STORE(to + c, sum);
    }
    for (; c < channels; c++) {
        float sum = 0.0f;
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++)
                sum += WIDEN(corner[i * line + j * channels + c]) * weight[(i * side + j) * channels + c];
        to[c] = NARROW(sum);
    }
}

/* One line of the output, from one image. */
static void NAMED(depthwise_line)(const ELEMENT *restrict x, const float *restrict weight, ELEMENT *restrict y,
                                  int64_t row, const struct plane *p) {
    int64_t channels = p->channels, width = p->width * channels;
    const ELEMENT *pixels[MOST_TAPS];
    const float *taps[MOST_TAPS];
    int top, bottom, left, right;
    meet(row, p->kernel, p->stride, p->padding, p->height, &top, &bottom);
    for (int64_t column = 0; column < p->out_width; column++) {
        ELEMENT *to = y + column * channels;
        const ELEMENT *corner = x + (row * p->stride - p->padding) * width + (column * p->stride - p->padding) * channels;
        meet(column, p->kernel, p->stride, p->padding, p->width, &left, &right);
        if ((bottom - top) == p->kernel && (right - left) == p->kernel) {
            if (p->kernel == 3) {
                NAMED(slide)(corner, weight, 3, width, channels, to);
                continue;
            }
            if (p->kernel == 5) {
                NAMED(slide)(corner, weight, 5, width, channels, to);
                continue;
            }
        }
        int count = 0;
        for (int i = top; i < bottom; i++)
            for (int j = left; j < right; j++) {
                pixels[count] = corner + i * width + j * channels;
                taps[count++] = weight + (i * p->kernel + j) * channels;
            }
        NAMED(gather)(pixels, taps, count, channels, to);
    }
}

void NAMED(depthwise)(const ELEMENT *restrict x, const float *restrict weight, ELEMENT *restrict y,
                      const struct plane *p) {
    int64_t image = p->height * p->width * p->channels, line = p->out_width * p->channels;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->images * p->out_height; i++)
        NAMED(depthwise_line)(x + i / p->out_height * image, weight, y + i * line, i % p->out_height, p);
}

/* One line of the gradient of one image: each pixel gathers from the windows that met it. */
static void NAMED(gradient_line)(const ELEMENT *restrict gradient, const float *restrict weight,
                                 ELEMENT *restrict result, int64_t row, const struct plane *p) {
    const ELEMENT *pixels[MOST_TAPS];
    const float *taps[MOST_TAPS];
    for (int64_t column = 0; column < p->width; column++) {
        int count = 0;
        for (int i = 0; i < p->kernel; i++) {
            int64_t above = row + p->padding - i;
            if (above < 0 || above % p->stride || above / p->stride >= p->out_height) continue;
            int64_t start = above / p->stride * p->out_width;
            for (int j = 0; j < p->kernel; j++) {
                int64_t before = column + p->padding - j;
                if (before < 0 || before % p->stride || before / p->stride >= p->out_width) continue;
                pixels[count] = gradient + (start + before / p->stride) * p->channels;
                taps[count++] = weight + (i * p->kernel + j) * p->channels;
            }
        }
        NAMED(gather)(pixels, taps, count, p->channels, result + column * p->channels);
    }
}

/* The gradient of x. */
void NAMED(depthwise_gradient)(const ELEMENT *restrict gradient, const float *restrict weight,
                               ELEMENT *restrict result, const struct plane *p) {
    int64_t image = p->out_height * p->out_width * p->channels, line = p->width * p->channels;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < p->images * p->height; i++)
        NAMED(gradient_line)(gradient + i / p->height * image, weight, result + i * line, i % p->height, p);
}

/* Adds to the gradients of one row of the kernel what one row of the map gives, LANES channels from `c` on.

   `side` taps keep their sums in registers while the row passes; columns whose windows reach past the map come first
   and last, tap by tap. */
static inline __attribute__((always_inline)) void NAMED(weigh)(const ELEMENT *restrict from,
                                                               const ELEMENT *restrict grad, float *restrict to,
                                                               const int side, int64_t c, const struct plane *p) {
    int64_t channels = p->channels, column = 0;
    lanes sums[7];
    for (int j = 0; j < side; j++) sums[j] = load_float32(to + j * channels + c);
    for (; column < p->out_width; column++) {
        int64_t start = column * p->stride - p->padding;
        lanes g = LOAD(grad + column * channels + c);
        const ELEMENT *first = from + start * channels + c;
        if (start >= 0 && start + side <= p->width) {
#pragma GCC unroll 7
            for (int j = 0; j < side; j++) sums[j] += LOAD(first + j * channels) * g;
        } else {
            for (int j = 0; j < side; j++)
                if (start + j >= 0 && start + j < p->width) sums[j] += LOAD(first + j * channels) * g;
        }
    }
    for (int j = 0; j < side; j++) store_float32(to + j * channels + c, sums[j]);
}

/* Adds to the gradient of the weights, taps x channels, what one image gives. */
static void NAMED(weigh_image)(const ELEMENT *restrict x, const ELEMENT *restrict gradient, float *restrict sums,
                               const struct plane *p) {
    int64_t channels = p->channels, width = p->width * channels;
    int side = p->kernel;
    for (int64_t row = 0; row < p->out_height; row++) {
        int top, bottom;
        meet(row, side, p->stride, p->padding, p->height, &top, &bottom);
        const ELEMENT *grad = gradient + row * p->out_width * channels;
        for (int i = top; i < bottom; i++) {
            const ELEMENT *from = x + (row * p->stride - p->padding + i) * width;
            float *to = sums + i * side * channels;
            int64_t c = 0;
            for (; c + LANES <= channels; c += LANES) {
                if (side == 3)
                    NAMED(weigh)(from, grad, to, 3, c, p);
                else if (side == 5)
                    NAMED(weigh)(from, grad, to, 5, c, p);
                else
                    NAMED(weigh)(from, grad, to, side, c, p);
            }
            for (; c < channels; c++)
                for (int64_t column = 0; column < p->out_width; column++)
                    for (int j = 0; j < side; j++) {
                        int64_t place = column * p->stride - p->padding + j;
                        if (place >= 0 && place < p->width)
                            to[j * channels + c] +=
                                WIDEN(from[place * channels + c]) * WIDEN(grad[column * channels + c]);
                    }
        }
    }
}

/* The gradient of the weights per part of the images: parts x taps x channels, summed by the caller. */
void NAMED(depthwise_weight_gradient)(const ELEMENT *restrict x, const ELEMENT *restrict gradient,
                                      float *restrict sums, int parts, const struct plane *p) {
    int64_t channels = p->channels, taps = p->kernel * p->kernel * channels;
    int64_t size = p->height * p->width * channels, out_size = p->out_height * p->out_width * channels;
#pragma omp parallel for schedule(static)
    for (int part = 0; part < parts; part++) {
        memset(sums + part * taps, 0, sizeof(float) * taps);
        for (int64_t image = p->images * part / parts; image < p->images * (part + 1) / parts; image++)
            NAMED(weigh_image)(x + image * size, gradient + image * out_size, sums + part * taps, p);
    }
}

#undef LOAD
#undef STORE
