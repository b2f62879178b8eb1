// Products of quantised rows: every table against the sums in ggml's order and in f64, whatever the number of rows.
#include "kernel_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace llmm;

struct layout {
    weight_format format;
    const char * name;
    int32_t x_bytes, y_bytes, halves;
};

constexpr layout layouts[] = { { weight_format::q4_1, "q4_1", 20, 36, 2 }, { weight_format::q8_0, "q8_0", 34, 34, 1 } };

// The f16 that a block has there.
float value_of(const uint8_t * p) {
    uint16_t h;
    std::memcpy(&h, p, sizeof(h));
    return (float) f16_to_double(h);
}

// Rows of blocks, with bytes of another value between them.
struct rows {
    int32_t bytes, n_blocks;
    ptrdiff_t stride;
    std::vector<uint8_t> data;

    rows(int32_t bytes, int32_t halves, int32_t n, int32_t n_blocks, bool extremes, uint32_t seed)
        : bytes(bytes), n_blocks(n_blocks), stride((ptrdiff_t) bytes * n_blocks + 3), data((size_t) (stride * n), 0xEE) {
        std::mt19937 random(seed);
        for (int32_t r = 0; r < n; r++) {
            for (int32_t b = 0; b < n_blocks; b++) {
                uint8_t * block = data.data() + r * stride + (ptrdiff_t) b * bytes;
                for (int32_t h = 0; h < halves; h++) {
                    const auto half = (uint16_t) (random() % 2 << 15 | (5 + random() % 12) << 10 | random() % 1024);
                    std::memcpy(block + 2 * h, &half, sizeof(half));
                }
                for (int32_t i = 2 * halves; i < bytes; i++) {
                    const int code = extremes ? (random() % 2 ? 127 : -127) : (int) (random() % 255) - 127;
                    block[i] = (uint8_t) code;
                }
            }
        }
    }

    const uint8_t * block(int32_t r, int32_t b) const { return data.data() + r * stride + (ptrdiff_t) b * bytes; }
};

int code_of(const layout & l, const uint8_t * block, int i) {
    if (l.format == weight_format::q4_1) {
        return i < 16 ? block[4 + i] & 15 : block[4 + i - 16] >> 4;
    }
    return (int8_t) block[2 + i];
}

// One product as ggml's AVX2 code adds it, and what it is.
float in_order(const layout & l, const rows & x, int32_t i, const rows & y, int32_t j, double & exact, double & size) {
    float lanes[8] = {}, minima = 0;
    exact = size = 0;
    for (int32_t b = 0; b < x.n_blocks; b++) {
        const uint8_t * p = x.block(i, b), * q = y.block(j, b);
        const float d = value_of(p) * value_of(q);
        for (int lane = 0; lane < 8; lane++) {
            int sum = 0;
            for (int k = 4 * lane; k < 4 * lane + 4; k++) {
                sum += code_of(l, p, k) * (int8_t) q[2 * l.halves + k];
            }
            lanes[lane] = std::fma(d, (float) sum, lanes[lane]);
            exact += (double) value_of(p) * value_of(q) * sum;
            size += std::fabs((double) value_of(p) * value_of(q) * sum);
        }
        if (l.format == weight_format::q4_1) {
            minima = std::fma(value_of(p + 2), value_of(q + 2), minima);
            exact += (double) value_of(p + 2) * value_of(q + 2);
            size += std::fabs((double) value_of(p + 2) * value_of(q + 2));
        }
    }
    float r[4];
    for (int k = 0; k < 4; k++) {
        r[k] = lanes[k + 4] + lanes[k];
    }
    const float s = (r[0] + r[2]) + (r[1] + r[3]);
    return l.format == weight_format::q4_1 ? s + minima : s;
}

uint32_t bits(float x) {
    uint32_t b;
    std::memcpy(&b, &x, sizeof(b));
    return b;
}

void compare(const kernel_table & table, const layout & l, int32_t n_blocks, int32_t n_x, int32_t n_y, bool extremes) {
    SCOPED_TRACE(std::string(table.name) + " " + l.name + ", " + std::to_string(n_blocks) + " blocks, " + std::to_string(n_x) + " x " +
                 std::to_string(n_y));
    // Its own memory for each side, so that a sanitizer sees a read past the end.
    const rows x(l.x_bytes, l.halves, n_x, n_blocks, extremes, 1), y(l.y_bytes, l.halves, n_y, n_blocks, extremes, 2);
    const ptrdiff_t out_stride = n_x + 2;
    const float untouched = 12345.0f;
    std::vector<float> out((size_t) (out_stride * n_y), untouched);
    table.multiply_rows(l.format, { n_blocks, x.data.data(), x.stride, n_x, y.data.data(), y.stride, n_y, out.data(), out_stride });
    for (int32_t j = 0; j < n_y; j++) {
        for (int32_t i = 0; i < out_stride; i++) {
            const float got = out[(size_t) (j * out_stride + i)];
            if (i >= n_x) {
                EXPECT_EQ(untouched, got);
                continue;
            }
            double exact, size;
            const float expected = in_order(l, x, i, y, j, exact, size);
            EXPECT_EQ(bits(expected), bits(got)) << i << ", " << j << ": " << expected << " " << got;
            EXPECT_NEAR(exact, got, 1e-5 * size + 1e-12);
        }
    }
}

template <typename F>
void for_each_table(F f) {
    for (const kernel_table * table : all_tables()) {
        if (table->multiply_rows) {
            for (const layout & l : layouts) {
                f(*table, l);
            }
        }
    }
}

TEST(RowProducts, HaveTheBitsOfTheirOrder) {
    for_each_table([](const kernel_table & table, const layout & l) {
        for (int32_t n_x = 1; n_x <= 9; n_x++) {
            for (int32_t n_y = 1; n_y <= 9; n_y++) {
                for (const int32_t n_blocks : { 1, 2, 5 }) {
                    compare(table, l, n_blocks, n_x, n_y, false);
                }
            }
        }
        compare(table, l, 48, 33, 19, false);
    });
}

TEST(RowProducts, TakeTheLargestCodesAndTheLongestRows) {
    for_each_table([](const kernel_table & table, const layout & l) {
        compare(table, l, 7, 5, 6, true);
        compare(table, l, most_row_blocks, 5, 6, true);
    });
}

TEST(RowProducts, DoNothingWithoutRows) {
    for_each_table([](const kernel_table & table, const layout & l) {
        table.multiply_rows(l.format, { 4, nullptr, 80, 0, nullptr, 144, 0, nullptr, 1 });
    });
}

#if defined(__x86_64__)
TEST(RowProducts, AreThereForAvx2) {
    if (!kernels_named("avx2")) {
        GTEST_SKIP() << "this CPU has no AVX2";
    }
    EXPECT_NE(nullptr, kernels_named("avx2")->multiply_rows);
}
#endif

}  // namespace
