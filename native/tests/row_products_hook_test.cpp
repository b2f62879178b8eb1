// ggml with our products: the same bits as with its own, and it does ask us.
#include "row_products_hook.h"

#include "cpu_backend.h"

#include "attention/kernel_table.h"

#include "paged_support.h"

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace llmm_test {
namespace {

using multiply_rows = bool (*)(ggml_type, int64_t, const void *, size_t, int64_t, const void *, size_t, int64_t, float *, size_t);

void set_products(multiply_rows f) {
    llmm::cpu_function<void (*)(multiply_rows)>("ggml_llmm_set_multiply_rows")(f);
}

// W x for random numbers, W in a type.
std::vector<float> product(ggml_type type, int64_t n, int64_t rows, int64_t columns) {
    ggml_context_ptr ctx(ggml_init({ 16 * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, true }));
    ggml_tensor * w = ggml_new_tensor_2d(ctx.get(), type, n, rows);
    ggml_tensor * x = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, n, columns);
    ggml_tensor * y = ggml_mul_mat(ctx.get(), w, x);
    ggml_cgraph * graph = ggml_new_graph(ctx.get());
    ggml_build_forward_expand(graph, y);
    ggml_backend_ptr backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    ggml_backend_buffer_ptr memory(ggml_backend_alloc_ctx_tensors(ctx.get(), backend.get()));

    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> numbers((size_t) (n * std::max(rows, columns)));
    for (float & v : numbers) {
        v = normal(random);
    }
    std::vector<uint8_t> quantised(ggml_nbytes(w));
    ggml_quantize_chunk(type, numbers.data(), quantised.data(), 0, rows, n, nullptr);
    ggml_backend_tensor_set(w, quantised.data(), 0, quantised.size());
    ggml_backend_tensor_set(x, numbers.data(), 0, ggml_nbytes(x));
    EXPECT_EQ(GGML_STATUS_SUCCESS, ggml_backend_graph_compute(backend.get(), graph));
    std::vector<float> out((size_t) (rows * columns));
    ggml_backend_tensor_get(y, out.data(), 0, ggml_nbytes(y));
    return out;
}

bool zeros(ggml_type, int64_t, const void *, size_t, int64_t n_x, const void *, size_t, int64_t n_y, float * out, size_t stride) {
    for (int64_t j = 0; j < n_y; j++) {
        std::fill_n(out + (size_t) j * stride, n_x, 0.0f);
    }
    return true;
}

class RowProductsHook : public ::testing::Test {
protected:
    void SetUp() override { shared_llama(); }               // starts the engine
    void TearDown() override { llmm::install_row_products(); }
};

TEST_F(RowProductsHook, GivesTheBitsOfGgml) {
    for (const ggml_type type : { GGML_TYPE_Q4_1, GGML_TYPE_Q8_0 }) {
        for (const int64_t n : { 64, 576, 1536 }) {
            for (const int64_t rows : { 1, 37, 200 }) {
                for (const int64_t columns : { 1, 2, 3, 7, 20 }) {
                    llmm::install_row_products();
                    const std::vector<float> ours = product(type, n, rows, columns);
                    set_products(nullptr);
                    const std::vector<float> theirs = product(type, n, rows, columns);
                    EXPECT_EQ(0, std::memcmp(ours.data(), theirs.data(), ours.size() * sizeof(float)))
                        << ggml_type_name(type) << " " << n << " x " << rows << " x " << columns;
                    EXPECT_TRUE(std::isfinite(ours[0]) && ours[0] != 0);
                }
            }
        }
    }
}

TEST_F(RowProductsHook, IsAsked) {
    set_products(zeros);
    EXPECT_EQ(std::vector<float>(100 * 3), product(GGML_TYPE_Q4_1, 64, 100, 3));
}

// A row that is longer than kernels take is left to ggml.
TEST_F(RowProductsHook, LeavesLongRowsToGgml) {
    const int64_t n = (int64_t) (llmm::most_row_blocks + 1) * llmm::row_product_block;
    const std::vector<float> ours = product(GGML_TYPE_Q4_1, n, 5, 2);
    set_products(nullptr);
    EXPECT_EQ(ours, product(GGML_TYPE_Q4_1, n, 5, 2));
}

}  // namespace
}  // namespace llmm_test
