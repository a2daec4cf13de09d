/* A normalisation, its activation and the depthwise convolution that alone reads it, over ELEMENT maps; included once for
   each element type.

   What lies between them is worked out image by image, while it is in the processor's cache, and again on the way back;
   it never goes to memory. `scratch` takes, for each thread, an image of the input and a line of it. */

void NAMED(normed_depthwise)(const ELEMENT *restrict x, const float *restrict weight, ELEMENT *restrict y,
                             const struct norm *n, const struct plane *p, float *restrict state, float *restrict work,
                             ELEMENT *restrict scratch) {
    NAMED(norm_measure)(x, n, state, work);
    int64_t line = p->width * p->channels, size = p->height * line, out_line = p->out_width * p->channels;
#pragma omp parallel for schedule(static)
    for (int64_t image = 0; image < p->images; image++) {
        ELEMENT *own = scratch + omp_get_thread_num() * (size + line);
        NAMED(norm_apply_part)(x + image * size, own, size, n, state);
        for (int64_t row = 0; row < p->out_height; row++)
            NAMED(depthwise_line)(own, weight, y + (image * p->out_height + row) * out_line, row, p);
    }
}

#define BEFORE_ACTIVATION(kind)                                                                                        \
    _Pragma("omp simd") for (int64_t i = 0; i < count; i++) {                                                          \
        float value = WIDEN(from[start + i]) - pivot[i];                                                               \
        float g = WIDEN(grad[start + i]) * slope(kind, value * scale[i] + shift[i], low, high);                        \
        to[start + i] = NARROW(g);                                                                                     \
        first[i] += g;                                                                                                 \
        second[i] += g * value;                                                                                        \
    }

/* The gradient before the activation, of a part of a map that begins with a pixel, and what it adds to the sums. */
static void NAMED(before_activation)(const ELEMENT *restrict from, const ELEMENT *restrict grad, ELEMENT *restrict to,
                                     int64_t size, const struct norm *n, const float *restrict state,
                                     float *restrict first, float *restrict second) {
    const float *restrict scale = state, *restrict shift = scale + n->length, *restrict pivot = shift + n->length;
    float low = n->low, high = n->high;
    for (int64_t start = 0; start < size; start += n->length) {
        int64_t count = size - start < n->length ? size - start : n->length;
        FOR_EACH_ACTIVATION(n->activation, BEFORE_ACTIVATION)
    }
}

/* The gradients of x, of the normalisation's weight and bias, and of the weights of the convolution per part of the
   images, parts x taps x channels.

   `turned` and `back` say how the gradient of the map goes through the convolution: as a convolution with the kernel
   turned round where the stride is 1, else by `weight` and `p`, and `turned` is null. `work` as for `norm_backward`. */
void NAMED(normed_depthwise_backward)(const ELEMENT *restrict x, const ELEMENT *restrict gradient,
                                      const float *restrict weight, const float *restrict turned,
                                      ELEMENT *restrict result, const struct norm *n, const struct plane *p,
                                      const struct plane *back, const float *restrict state, float *restrict work,
                                      ELEMENT *restrict scratch, float *restrict sums, float *restrict weight_gradient,
                                      float *restrict bias_gradient) {
    float *offset = work + 2 * n->parts * n->length, *slant = offset + n->length;
    int64_t line = p->width * p->channels, size = p->height * line, taps = p->kernel * p->kernel * p->channels;
    int64_t out_size = p->out_height * p->out_width * p->channels;
#pragma omp parallel for schedule(static)
    for (int part = 0; part < n->parts; part++) {
        ELEMENT *own = scratch + omp_get_thread_num() * (size + line), *grad = own + size;
        float *first = work + 2 * part * n->length, *second = first + n->length;
        memset(first, 0, 2 * n->length * sizeof(float));
        memset(sums + part * taps, 0, sizeof(float) * taps);
        for (int64_t image = p->images * part / n->parts; image < p->images * (part + 1) / n->parts; image++) {
            const ELEMENT *above = gradient + image * out_size;
            NAMED(norm_apply_part)(x + image * size, own, size, n, state);
            NAMED(weigh_image)(own, above, sums + part * taps, p);
            for (int64_t row = 0; row < p->height; row++) {
                if (turned)
                    NAMED(depthwise_line)(above, turned, grad, row, back);
                else
                    NAMED(gradient_line)(above, weight, grad, row, p);
                const ELEMENT *from = x + image * size + row * line;
                ELEMENT *to = result + image * size + row * line;
                NAMED(before_activation)(from, grad, to, line, n, state, first, second);
            }
        }
    }
    norm_settle(n, state, work, offset, slant, weight_gradient, bias_gradient);
    NAMED(norm_gradient)(x, result, result, n, IDENTITY, state, offset, slant);
}

#undef BEFORE_ACTIVATION
