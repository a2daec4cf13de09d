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

/* y = activation(scale (x - pivot) + shift + added); `added` may be null. */
static void NAMED(norm_apply)(const ELEMENT *restrict x, const ELEMENT *restrict added, ELEMENT *restrict y, int64_t size,
                       int64_t length, const float *restrict pivot, const float *restrict scale,
                       const float *restrict shift, int activation, float low, float high) {
    int64_t rows = (size + length - 1) / length;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const ELEMENT *restrict from = x + row * length, *restrict more = added + row * length;
        ELEMENT *restrict to = y + row * length;
        int64_t count = row + 1 < rows ? length : size - row * length;
        if (added) {
            FOR_EACH_ACTIVATION(activation, APPLY_ADDED)
        } else {
            FOR_EACH_ACTIVATION(activation, APPLY)
        }
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

/* The gradient of x: scale g + offset + slant (x - pivot). */
static void NAMED(norm_gradient)(const ELEMENT *restrict x, const ELEMENT *restrict gradient, ELEMENT *restrict result,
                          int64_t size, int64_t length, const float *restrict pivot, const float *restrict scale,
                          const float *restrict shift, int activation, float low, float high,
                          const float *restrict offset, const float *restrict slant) {
    int64_t rows = (size + length - 1) / length;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) {
        const ELEMENT *restrict from = x + row * length, *restrict grad = gradient + row * length;
        ELEMENT *restrict to = result + row * length;
        int64_t count = row + 1 < rows ? length : size - row * length;
        FOR_EACH_ACTIVATION(activation, GRADIENT)
    }
}

/* Normalises by the statistics of this batch, which also go into the running ones.

   Leaves in `state` what the backward pass needs: scale, shift and pivot (length each), mean - pivot and
   1 / deviation (channels each). `work` takes parts x 2 x length. */
void NAMED(norm_forward)(const ELEMENT *restrict x, const ELEMENT *restrict added, ELEMENT *restrict y,
                         const struct norm *n, float *restrict state, float *restrict work) {
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
    NAMED(norm_apply)(x, added, y, n->size, n->length, pivot, scale, shift, n->activation, n->low, n->high);
}

/* The gradients of x, weight and bias; with `y`, a clipping activation's output, that of what was added too.

   `work` takes parts x 2 x length and, after them, 2 x length. */
void NAMED(norm_backward)(const ELEMENT *restrict x, const ELEMENT *restrict gradient, const ELEMENT *restrict y,
                          ELEMENT *restrict before, ELEMENT *restrict result, const struct norm *n,
                          const float *restrict state, float *restrict work, float *restrict weight_gradient,
                          float *restrict bias_gradient) {
    const float *scale = state, *shift = scale + n->length, *pivot = shift + n->length;
    const float *center = pivot + n->length, *inverse = center + n->channels;
    float *offset = work + 2 * n->parts * n->length, *slant = offset + n->length;
    double count = (double)n->size / n->channels;
    NAMED(norm_gradient_sums)(x, gradient, y, before, n->size, n->length, n->parts, scale, shift, n->activation, n->low,
                              n->high, pivot, work);
    for (int64_t c = 0; c < n->channels; c++) {
        double first = folded(work, n, c), second = folded(work + n->length, n, c);
        double along = (second - (double)center[c] * first) * inverse[c];
        bias_gradient[c] = (float)first;
        weight_gradient[c] = (float)along;
        double tilt = -scale[c] * inverse[c] * along / count;
        double lift = -scale[c] * first / count - tilt * center[c];
        for (int64_t i = c; i < n->length; i += n->channels) slant[i] = (float)tilt, offset[i] = (float)lift;
    }
    NAMED(norm_gradient)(x, y ? before : gradient, result, n->size, n->length, pivot, scale, shift,
                         y ? IDENTITY : n->activation, n->low, n->high, offset, slant);
}

#undef APPLY
#undef APPLY_ADDED
#undef GRADIENT_SUMS
#undef GRADIENT
