/* Batch normalisation in training, with what follows it, over ELEMENT maps; included once for each element type.

   A map is walked in rows of `length`, a multiple of its channels, so that the inner loop is long however few they
   are; what differs by channel is laid out over that length. The last row may be shorter. */

/* Per part: sums of x - pivot, then of its square, each of `length`; `sums` has parts x 2 x length. */
static void NAMED(norm_sums)(const ELEMENT *restrict x, int64_t size, int64_t length, int parts, const float *restrict pivot,
                      float *restrict sums) {
    int64_t rows = (size + length - 1) / length, share = (rows + parts - 1) / parts;
#pragma omp parallel for schedule(static)
    for (int part = 0; part < parts; part++) {
        float *restrict first = sums + 2 * part * length, *restrict second = first + length;
        memset(first, 0, 2 * length * sizeof(float));
        for (int64_t row = part * share; row < rows && row < (part + 1) * share; row++) {
            const ELEMENT *restrict from = x + row * length;
            int64_t count = row + 1 < rows ? length : size - row * length;
#pragma omp simd
            for (int64_t i = 0; i < count; i++) {
                float value = WIDEN(from[i]) - pivot[i];
                first[i] += value;
                second[i] += value * value;
            }
        }
    }
}

#define APPLY(kind)                                                                                                    \
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {                                                          \
        float value = (WIDEN(from[i]) - pivot[i]) * scale[i] + shift[i];                                               \
        to[i] = NARROW(activate(kind, value, low, high));                                                              \
    }
#define APPLY_ADDED(kind)                                                                                              \
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {                                                          \
        float value = (WIDEN(from[i]) - pivot[i]) * scale[i] + shift[i] + WIDEN(more[i]);                              \
        to[i] = NARROW(activate(kind, value, low, high));                                                              \
    }

/* y = activation(scale (x - pivot) + shift + added) of `count` elements from a row's start on; `added` may be null. */
static inline void NAMED(norm_apply_row)(const ELEMENT *restrict from, const ELEMENT *restrict more,
                                         ELEMENT *restrict to, int64_t count, const struct norm *n,
                                         const float *restrict state) {
    const float *restrict scale = state, *restrict shift = scale + n->length, *restrict pivot = shift + n->length;
    float low = n->low, high = n->high;
    if (more) {
        FOR_EACH_ACTIVATION(n->activation, APPLY_ADDED)
    } else {
        FOR_EACH_ACTIVATION(n->activation, APPLY)
    }
}

#define GRADIENT_SUMS(kind)                                                                                            \
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {                                                          \
        float value = WIDEN(from[i]) - pivot[i];                                                                       \
        float g = WIDEN(grad[i]) * slope(kind, value * scale[i] + shift[i], low, high);                                \
        first[i] += g;                                                                                                 \
        second[i] += g * value;                                                                                        \
    }

/* Per part: sums of g, then of g (x - pivot), where g is the gradient before the activation.

   With `y`, the output of a clipping activation, g is read off it and also written to `before`: the gradient of what
   was added. */
static void NAMED(norm_gradient_sums)(const ELEMENT *restrict x, const ELEMENT *restrict gradient, const ELEMENT *restrict y,
                               ELEMENT *restrict before, int64_t size, int64_t length, int parts,
                               const float *restrict scale, const float *restrict shift, int activation, float low,
                               float high, const float *restrict pivot, float *restrict sums) {
    int64_t rows = (size + length - 1) / length, share = (rows + parts - 1) / parts;
#pragma omp parallel for schedule(static)
    for (int part = 0; part < parts; part++) {
        float *restrict first = sums + 2 * part * length, *restrict second = first + length;
        memset(first, 0, 2 * length * sizeof(float));
        for (int64_t row = part * share; row < rows && row < (part + 1) * share; row++) {
            const ELEMENT *restrict from = x + row * length, *restrict grad = gradient + row * length;
            int64_t count = row + 1 < rows ? length : size - row * length;
            if (y) {
                const ELEMENT *restrict out = y + row * length;
                ELEMENT *restrict to = before + row * length;
#pragma omp simd
                for (int64_t i = 0; i < count; i++) {
                    float g = WIDEN(grad[i]) * slope(CLIP, WIDEN(out[i]), low, high);
                    to[i] = NARROW(g);
                    first[i] += g;
                    second[i] += g * (WIDEN(from[i]) - pivot[i]);
                }
            } else {
                FOR_EACH_ACTIVATION(activation, GRADIENT_SUMS)
            }
        }
    }
}

#define GRADIENT(kind)                                                                                                 \
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {                                                          \
        float value = WIDEN(from[i]) - pivot[i];                                                                       \
        float g = WIDEN(grad[i]) * slope(kind, value * scale[i] + shift[i], low, high);                                \
        to[i] = NARROW(scale[i] * g + offset[i] + slant[i] * value);                                                   \
    }

/* The gradient of x: scale g + offset + slant (x - pivot); it may take the place of `gradient`. */
static void NAMED(norm_gradient)(const ELEMENT *restrict x, const ELEMENT *gradient, ELEMENT *result,
                                 const struct norm *n, int activation, const float *restrict state,
                                 const float *restrict offset, const float *restrict slant) {
    const float *restrict scale = state, *restrict shift = scale + n->length, *restrict pivot = shift + n->length;
    int64_t length = n->length, rows = (n->size + length - 1) / length;
    float low = n->low, high = n->high;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const ELEMENT *restrict from = x + row * length;
        const ELEMENT *grad = gradient + row * length;
        ELEMENT *to = result + row * length;
        int64_t count = row + 1 < rows ? length : n->size - row * length;
        FOR_EACH_ACTIVATION(activation, GRADIENT)
    }
}

/* The statistics of this batch, which also go into the running ones.

   Leaves in `state` what is needed to normalise, and to go back: scale, shift and pivot (length each), mean - pivot and
   1 / deviation (channels each). `work` takes parts x 2 x length. */
static void NAMED(norm_measure)(const ELEMENT *restrict x, const struct norm *n, float *restrict state,
                                float *restrict work) {
    float *scale = state, *shift = scale + n->length, *pivot = shift + n->length;
    float *center = pivot + n->length, *inverse = center + n->channels;
    double count = (double)n->size / n->channels;
    for (int64_t i = 0; i < n->length; i++) pivot[i] = WIDEN(x[i % n->channels]);
    NAMED(norm_sums)(x, n->size, n->length, n->parts, pivot, work);
    for (int64_t c = 0; c < n->channels; c++) {
        double first = folded(work, n, c) / count, second = folded(work + n->length, n, c) / count;
        double variance = second - first * first;
        variance = variance > 0.0 ? variance : variance == variance ? 0.0 : variance;
        center[c] = (float)first;
        inverse[c] = (float)(1.0 / sqrt(variance + n->eps));
        float *running = n->running_mean, *spread = n->running_var;
        if (running) {
            running[c] += (float)n->momentum * ((float)(pivot[c] + first) - running[c]);
            spread[c] += (float)n->momentum * ((float)(variance * count / (count - 1.0)) - spread[c]);
        }
        float gain = n->weight ? n->weight[c] * inverse[c] : inverse[c];
        float lift = (n->bias ? n->bias[c] : 0.0f) - gain * (float)first;
        for (int64_t i = c; i < n->length; i += n->channels) scale[i] = gain, shift[i] = lift;
    }
}

/* The same for a map of `size` elements, or a part of one that begins with a pixel. */
static void NAMED(norm_apply_part)(const ELEMENT *restrict x, ELEMENT *restrict y, int64_t size, const struct norm *n,
                                   const float *restrict state) {
    for (int64_t start = 0; start < size; start += n->length) {
        int64_t count = size - start < n->length ? size - start : n->length;
        NAMED(norm_apply_row)(x + start, 0, y + start, count, n, state);
    }
}

/* Normalises by the statistics of this batch; `added` may be null. For `state` and `work` see `norm_measure`. */
void NAMED(norm_forward)(const ELEMENT *restrict x, const ELEMENT *restrict added, ELEMENT *restrict y,
                         const struct norm *n, float *restrict state, float *restrict work) {
    NAMED(norm_measure)(x, n, state, work);
    int64_t rows = (n->size + n->length - 1) / n->length;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        int64_t start = row * n->length, count = row + 1 < rows ? n->length : n->size - start;
        NAMED(norm_apply_row)(x + start, added ? added + start : 0, y + start, count, n, state);
    }
}

/* The gradients of x, weight and bias; with `y`, a clipping activation's output, that of what was added too.

   `work` takes parts x 2 x length and, after them, 2 x length. */
void NAMED(norm_backward)(const ELEMENT *restrict x, const ELEMENT *restrict gradient, const ELEMENT *restrict y,
                          ELEMENT *restrict before, ELEMENT *restrict result, const struct norm *n,
                          const float *restrict state, float *restrict work, float *restrict weight_gradient,
                          float *restrict bias_gradient) {
    const float *scale = state, *shift = scale + n->length, *pivot = shift + n->length;
    float *offset = work + 2 * n->parts * n->length, *slant = offset + n->length;
    NAMED(norm_gradient_sums)(x, gradient, y, before, n->size, n->length, n->parts, scale, shift, n->activation, n->low,
                              n->high, pivot, work);
    norm_settle(n, state, work, offset, slant, weight_gradient, bias_gradient);
    NAMED(norm_gradient)(x, y ? before : gradient, result, n, y ? IDENTITY : n->activation, state, offset, slant);
}

#undef APPLY
#undef APPLY_ADDED
#undef GRADIENT_SUMS
#undef GRADIENT
