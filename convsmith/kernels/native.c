/* Training kernels for maps in channels-last layout: what torch does in many sweeps over memory, done in few.

   Every function exists twice, for float32 and for bfloat16 maps; sums and parameters are float32. Work is cut into
   parts whose number does not depend on the threads, so that results do not either. */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum activation { IDENTITY, CLIP, SILU, HARDSWISH };

typedef uint16_t bfloat16;

static inline float widen_float32(float x) { return x; }
static inline float narrow_float32(float x) { return x; }

static inline float widen_bfloat16(bfloat16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* To the nearest, halves to even. */
static inline bfloat16 narrow_bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bfloat16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* e to the x to within 2 units in the last place: 2 to a whole power times a polynomial on [-ln 2 / 2, ln 2 / 2]. */
static inline float exponential(float x) {
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float whole = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t bits = ((int32_t)whole + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float clipped(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float activate(enum activation kind, float x, float low, float high) {
    switch (kind) {
    case CLIP: return clipped(x, low, high);
    case SILU: return x / (1.0f + exponential(-x));
    case HARDSWISH: return x * clipped(x + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f);
    default: return x;
    }
}

/* The derivative of the activation at x. */
static inline float slope(enum activation kind, float x, float low, float high) {
    switch (kind) {
    case CLIP: return (x > low) & (x < high) ? 1.0f : 0.0f;
    case SILU: {
        float gate = 1.0f / (1.0f + exponential(-x));
        return gate * (1.0f + x * (1.0f - gate));
    }
    case HARDSWISH: return x < -3.0f ? 0.0f : x <= 3.0f ? x * (1.0f / 3.0f) + 0.5f : 1.0f;
    default: return 1.0f;
    }
}

/* What a normalisation does to a map; `weight`, `bias` and the running statistics may be null. */
struct norm {
    int64_t size, channels, length;
    const float *weight, *bias;
    float *running_mean, *running_var;
    double eps, momentum;
    int parts, activation;
    float low, high;
};

/* The sum of one channel over all parts and over its places in a row. */
static inline double folded(const float *sums, const struct norm *n, int64_t channel) {
    double total = 0.0;
    for (int part = 0; part < n->parts; part++)
        for (int64_t i = channel; i < n->length; i += n->channels) total += sums[2 * part * n->length + i];
    return total;
}

/* From the sums of g and g (x - pivot) per part in `work`, g being the gradient before the activation: the gradients of
   weight and bias, and what that of x adds to scale g, `offset` and `slant` times x - pivot (length each). */
static void norm_settle(const struct norm *n, const float *restrict state, const float *restrict work,
                        float *restrict offset, float *restrict slant, float *restrict weight_gradient,
                        float *restrict bias_gradient) {
    const float *scale = state, *center = state + 3 * n->length, *inverse = center + n->channels;
    double count = (double)n->size / n->channels;
    for (int64_t c = 0; c < n->channels; c++) {
        double first = folded(work, n, c), second = folded(work + n->length, n, c);
        double along = (second - (double)center[c] * first) * inverse[c];
        bias_gradient[c] = (float)first;
        weight_gradient[c] = (float)along;
        double tilt = -scale[c] * inverse[c] * along / count;
        double lift = -scale[c] * first / count - tilt * center[c];
        for (int64_t i = c; i < n->length; i += n->channels) slant[i] = (float)tilt, offset[i] = (float)lift;
    }
}

int most_threads(void) { return omp_get_max_threads(); }

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define NAMED(name) JOIN(name, SUFFIX)
#define WIDEN JOIN(widen, SUFFIX)
#define NARROW JOIN(narrow, SUFFIX)

/* One copy of `call` for each activation, so that none is decided element by element. */
#define FOR_EACH_ACTIVATION(kind, call)                                                                                \
    switch (kind) {                                                                                                    \
    case CLIP: call(CLIP); break;                                                                                      \
    case SILU: call(SILU); break;                                                                                      \
    case HARDSWISH: call(HARDSWISH); break;                                                                            \
    default: call(IDENTITY);                                                                                           \
    }

#define ELEMENT float
#define SUFFIX float32
#include "native_norm.h"
#include "native_depthwise.h"
#include "native_normed_depthwise.h"
#undef ELEMENT
#undef SUFFIX

#define ELEMENT bfloat16
#define SUFFIX bfloat16
#include "native_norm.h"
#include "native_depthwise.h"
#include "native_normed_depthwise.h"
