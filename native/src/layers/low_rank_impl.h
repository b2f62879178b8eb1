// y += scale * B (A x), for the vector type `simd` that the including file has defined; see kernels_impl.h. Each number
// is summed in an order that neither the number of rows nor the range of outputs changes.
#pragma once

#include "attention/kernels_impl.h"

namespace {

constexpr int32_t low_rank_ahead = 4096;                 // bytes
constexpr int low_rank_tile = W >= 16 ? 4 : 2;         // rows

// Factors are short, and processors' own prefetching begins anew at each page.
inline void fetch_ahead(const void * p, int32_t bytes) {
    for (int32_t i = 0; i < bytes; i += 64) {
        simd::prefetch(static_cast<const uint8_t *>(p) + low_rank_ahead + i);
    }
}

// code[row][j + k] = scale * scale_k * (row j + k of A) x, for J components of a group of `width`, of which `a` is the first.
// tails: of each x the last step, with zeros beyond its end.
template <int J, int R, typename T>
inline void project(const low_rank_view & f, const T * a, int32_t width, int32_t j, const float * x, ptrdiff_t x_stride, const float * tails,
                    float scale, float * code) {
    vf sum[R][J];
    for (int r = 0; r < R; r++) {
        for (int k = 0; k < J; k++) {
            sum[r][k] = simd::zero();
        }
    }
    const auto step = [&](const float * from, ptrdiff_t stride) {
        for (int i = 0; i < low_rank_step; i += W) {
            vf xs[R];
            for (int r = 0; r < R; r++) {
                xs[r] = simd::load(from + r * stride + i);
            }
            for (int k = 0; k < J; k++) {
                const vf w = simd::load(a + k * low_rank_step + i);
                for (int r = 0; r < R; r++) {
                    sum[r][k] = simd::fma(xs[r], w, sum[r][k]);
                }
            }
        }
        if (R == 1) {
            fetch_ahead(a, width * low_rank_step * (int32_t) sizeof(T));
        }
        a += width * low_rank_step;
    };
    for (int32_t s = 0; s + 1 < f.n_steps; s++) {
        step(x + s * low_rank_step, x_stride);
    }
    step(tails, low_rank_step);
    for (int r = 0; r < R; r++) {
        for (int k = 0; k < J; k++) {
            code[r * f.rank + j + k] = simd::reduce_add(sum[r][k]) * (scale * f.scale[j + k]);
        }
    }
}

// One block of outputs: y[row] += B code[row]. y has low_rank_block numbers.
template <int R, typename T>
inline void expand(const low_rank_view & f, const T * b, const float * code, float * y, ptrdiff_t y_stride) {
    constexpr int V = low_rank_block / W;
    vf sum[R][V];
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) {
            sum[r][v] = simd::load(y + r * y_stride + v * W);
        }
    }
    if (R == 1) {
        fetch_ahead(b, f.rank * low_rank_block * (int32_t) sizeof(T));
    }
    for (int32_t j = 0; j < f.rank; j++) {
        vf w[V];
        for (int v = 0; v < V; v++) {
            w[v] = simd::load(b + j * low_rank_block + v * W);
        }
        for (int r = 0; r < R; r++) {
            const vf c = simd::set1(code[r * f.rank + j]);
            for (int v = 0; v < V; v++) {
                sum[r][v] = simd::fma(c, w[v], sum[r][v]);
            }
        }
    }
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) {
            simd::store(y + r * y_stride + v * W, sum[r][v]);
        }
    }
}

template <int R, typename T>
void add_low_rank_tile(const low_rank_view & f, const T * a, const T * b, const float * x, ptrdiff_t x_stride, float * y, ptrdiff_t y_stride,
                       float scale, int32_t begin, int32_t end) {
    float code[R * max_low_rank];
    float tails[R * low_rank_step] = {};
    const int32_t last = (f.n_steps - 1) * low_rank_step;
    for (int r = 0; r < R; r++) {
        for (int32_t i = last; i < f.n_in; i++) {
            tails[r * low_rank_step + i - last] = x[r * x_stride + i];
        }
    }
    constexpr int most = R == 1 ? low_rank_group : low_rank_group / 2;
    for (int32_t first = 0; first < f.rank; first += low_rank_group) {
        const T * group = a + (ptrdiff_t) first * f.n_steps * low_rank_step;
        const int32_t width = f.rank - first < low_rank_group ? f.rank - first : low_rank_group;
        int32_t k = 0;
        const auto go = [&](auto n) {
            for (; k + decltype(n)::value <= width; k += decltype(n)::value) {
                project<decltype(n)::value, R>(f, group + k * low_rank_step, width, first + k, x, x_stride, tails, scale, code);
            }
        };
        go(count<most>{});
        go(count<4>{});
        go(count<1>{});
    }

    for (int32_t block = begin; block < end; block++) {
        const T * from = b + (ptrdiff_t) block * f.rank * low_rank_block;
        const int32_t at = block * low_rank_block;
        if (at + low_rank_block <= f.n_out) {
            expand<R>(f, from, code, y + at, y_stride);
            continue;
        }
        float part[R * low_rank_block] = {};
        const int32_t n = f.n_out - at;
        for (int r = 0; r < R; r++) {
            for (int32_t i = 0; i < n; i++) {
                part[r * low_rank_block + i] = y[r * y_stride + at + i];
            }
        }
        expand<R>(f, from, code, part, low_rank_block);
        for (int r = 0; r < R; r++) {
            for (int32_t i = 0; i < n; i++) {
                y[r * y_stride + at + i] = part[r * low_rank_block + i];
            }
        }
    }
}

template <typename T>
void add_low_rank_rows(const low_rank_view & f, float scale, const float * x, ptrdiff_t x_stride, float * y, ptrdiff_t y_stride, int32_t n,
                       int32_t begin, int32_t end) {
    for_each_tile<low_rank_tile>(n, [&](auto rows, int32_t r) {
        add_low_rank_tile<decltype(rows)::value>(f, static_cast<const T *>(f.a), static_cast<const T *>(f.b), x + r * x_stride,
                                                 x_stride, y + r * y_stride, y_stride, scale, begin, end);
    });
}

void add_low_rank(const low_rank_view & f, float scale, const float * x, ptrdiff_t x_stride, float * y, ptrdiff_t y_stride, int32_t n,
                  int32_t begin, int32_t end) {
    switch (f.type) {
        case low_rank_type::f32: return add_low_rank_rows<float>(f, scale, x, x_stride, y, y_stride, n, begin, end);
        case low_rank_type::f16: return add_low_rank_rows<uint16_t>(f, scale, x, x_stride, y, y_stride, n, begin, end);
        case low_rank_type::i8: return add_low_rank_rows<int8_t>(f, scale, x, x_stride, y, y_stride, n, begin, end);
    }
}

void to_half(const float * x, int32_t n, uint16_t * out) {
    for (int32_t i = 0; i < n; i += W) {
        simd::store_half(out + i, simd::load(x + i));
    }
}

}  // namespace
