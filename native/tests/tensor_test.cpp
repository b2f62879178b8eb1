// llmm_tensor_dequantize and llmm_quantize.
#include "test_support.h"

#include "ggml.h"

#include <cmath>
#include <limits>

namespace llmm_test {
namespace {

std::vector<float> numbers(size_t n) {
    std::vector<float> values(n);
    for (size_t i = 0; i < n; i++) {
        values[i] = std::sin(0.7f * float(i)) * (1 + float(i % 7));
    }
    return values;
}

std::string quantized(int32_t type, int64_t rows, int64_t cols, const std::vector<float> & values) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_quantize(type, rows, cols, values.data(), &buffer));
    return text_of(buffer_ptr(buffer).get());
}

double relative_error(int32_t type, int64_t rows, int64_t cols) {
    const std::vector<float> values = numbers(size_t(rows * cols));
    const std::string bytes = quantized(type, rows, cols, values);
    std::vector<float> back(values.size());
    require_ok(llmm_tensor_dequantize(type, bytes.data(), bytes.size(), back.data(), int64_t(back.size())));
    double error = 0, norm = 0;
    for (size_t i = 0; i < values.size(); i++) {
        error += std::pow(double(values[i]) - double(back[i]), 2);
        norm += std::pow(double(values[i]), 2);
    }
    return std::sqrt(error / norm);
}

TEST(Tensor, ThereAndBack) {
    EXPECT_EQ(0.0, relative_error(GGML_TYPE_F32, 3, 7));
    EXPECT_LT(relative_error(GGML_TYPE_F16, 3, 7), 1e-3);
    EXPECT_LT(relative_error(GGML_TYPE_BF16, 3, 7), 1e-2);
    EXPECT_LT(relative_error(GGML_TYPE_Q8_0, 5, 64), 1e-2);
    EXPECT_LT(relative_error(GGML_TYPE_Q4_0, 5, 64), 0.15);
    EXPECT_LT(relative_error(GGML_TYPE_Q4_1, 5, 64), 0.15);
    EXPECT_LT(relative_error(GGML_TYPE_Q2_0, 5, 64), 0.8);
    EXPECT_LT(relative_error(GGML_TYPE_Q3_K, 2, 256), 0.3);
    EXPECT_LT(relative_error(GGML_TYPE_Q6_K, 2, 256), 0.05);
}

// Types whose first use searches a codebook for many seconds.
bool is_slow(int32_t type) {
    return type == GGML_TYPE_IQ1_M || type == GGML_TYPE_IQ2_S || type == GGML_TYPE_IQ3_XXS || type == GGML_TYPE_IQ3_S;
}

TEST(Tensor, EveryTypeIsConvertedOrRefused) {
    const std::vector<float> values = numbers(512);
    for (int32_t type = -1; type <= GGML_TYPE_COUNT; type++) {
        if (is_slow(type)) {
            continue;
        }
        llmm_buffer * buffer = nullptr;
        const llmm_status status = llmm_quantize(type, 2, 256, values.data(), &buffer);
        if (status != LLMM_OK) {
            EXPECT_TRUE(status == LLMM_ERR_RANGE || status == LLMM_ERR_NOT_AVAILABLE) << type << ": " << last_error();
            EXPECT_NE("", last_error());
            continue;
        }
        const std::string bytes = text_of(buffer_ptr(buffer).get());
        EXPECT_EQ(2 * ggml_row_size(ggml_type(type), 256), bytes.size()) << type;
        std::vector<float> back(512);
        EXPECT_OK(llmm_tensor_dequantize(type, bytes.data(), bytes.size(), back.data(), 512));
    }
}

TEST(Tensor, RowsThatAreNoWholeBlocksAreNamed) {
    const std::vector<float> values = numbers(576);
    llmm_buffer * buffer = nullptr;
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_quantize(GGML_TYPE_Q3_K, 1, 576, values.data(), &buffer));
    EXPECT_EQ(nullptr, buffer);
    EXPECT_TRUE(text_contains(last_error(), "a row of 576"));
    EXPECT_TRUE(text_contains(last_error(), "multiple of 256"));
    float out[33];
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_tensor_dequantize(GGML_TYPE_Q8_0, values.data(), 34, out, 33));
}

TEST(Tensor, WrongArguments) {
    const std::vector<float> values = numbers(64);
    std::vector<float> out(64, -1.0f);
    llmm_buffer * buffer = nullptr;
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(-1, 1, 64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(4, 1, 64, values.data(), &buffer));          // removed from ggml
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(1000, 1, 64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(GGML_TYPE_Q8_0, 0, 64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(GGML_TYPE_Q8_0, 1, -64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_quantize(GGML_TYPE_Q8_0, int64_t(1) << 40, 64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_quantize(GGML_TYPE_Q8_0, 1, 64, nullptr, &buffer));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_quantize(GGML_TYPE_Q8_0, 1, 64, values.data(), nullptr));
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_quantize(GGML_TYPE_I32, 1, 64, values.data(), &buffer));
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_quantize(GGML_TYPE_Q8_1, 1, 64, values.data(), &buffer));
    EXPECT_EQ(nullptr, buffer);

    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_tensor_dequantize(GGML_TYPE_Q8_0, values.data(), 67, out.data(), 64));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_tensor_dequantize(GGML_TYPE_Q8_0, values.data(), 68, out.data(), -64));
    EXPECT_STATUS(LLMM_ERR_RANGE, llmm_tensor_dequantize(99, values.data(), 68, out.data(), 64));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_tensor_dequantize(GGML_TYPE_Q8_0, nullptr, 68, out.data(), 64));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_tensor_dequantize(GGML_TYPE_Q8_0, values.data(), 68, nullptr, 64));
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_tensor_dequantize(GGML_TYPE_I32, values.data(), 256, out.data(), 64));
    EXPECT_EQ(std::vector<float>(64, -1.0f), out);
    EXPECT_OK(llmm_tensor_dequantize(GGML_TYPE_Q8_0, nullptr, 0, nullptr, 0));
}

TEST(Tensor, NumbersThatAreNoneAreRefused) {
    std::vector<float> values = numbers(512);
    llmm_buffer * buffer = nullptr;
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        values[300] = wrong;
        for (const int32_t type : {GGML_TYPE_F32, GGML_TYPE_Q4_0, GGML_TYPE_IQ3_S, GGML_TYPE_Q2_K}) {
            EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_quantize(type, 2, 256, values.data(), &buffer));
            EXPECT_TRUE(text_contains(last_error(), "number 44 of row 1"));
        }
    }
}

}  // namespace
}  // namespace llmm_test
