#include "tensor_codec.h"

#include "assert_scope.h"
#include "failure.h"

#include "ggml.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llmm {

namespace {

ggml_type known_type(int32_t type) {
    if (type < 0 || type >= GGML_TYPE_COUNT || ggml_blck_size((ggml_type) type) == 0 || ggml_type_size((ggml_type) type) == 0) {
        fail(LLMM_ERR_RANGE, "there is no tensor type %d", type);
    }
    return (ggml_type) type;
}

void require_whole_blocks(ggml_type type, int64_t n, const char * what) {
    const int64_t block = ggml_blck_size(type);
    if (n % block != 0) {
        fail(LLMM_ERR_NOT_AVAILABLE, "%s of %lld numbers cannot be stored as %s, which needs a multiple of %lld", what,
             (long long) n, ggml_type_name(type), (long long) block);
    }
}

}  // namespace

void dequantize(int32_t number, const void * data, size_t bytes, span<float> out) {
    const ggml_type type = known_type(number);
    require_whole_blocks(type, (int64_t) out.size(), "a tensor");
    const size_t needed = out.size() / (size_t) ggml_blck_size(type) * ggml_type_size(type);
    if (bytes != needed) {
        fail(LLMM_ERR_RANGE, "%zu numbers of type %s take %zu bytes, but there are %zu", out.size(), ggml_type_name(type),
             needed, bytes);
    }
    if (out.empty()) {
        return;
    }
    if (type == GGML_TYPE_F32) {
        std::copy_n(static_cast<const float *>(data), out.size(), out.data());
        return;
    }
    const ggml_to_float_t to_float = ggml_get_type_traits(type)->to_float;
    if (!to_float) {
        fail(LLMM_ERR_NOT_AVAILABLE, "tensors of type %s cannot be turned into f32", ggml_type_name(type));
    }
    const assert_scope asserts(LLMM_ERR_NOT_AVAILABLE);
    to_float(data, out.data(), (int64_t) out.size());
}

std::string quantize(int32_t number, int64_t rows, int64_t cols, const float * in) {
    const ggml_type type = known_type(number);
    if (rows < 1 || cols < 1 || rows > std::numeric_limits<int32_t>::max() || cols > std::numeric_limits<int32_t>::max()) {
        fail(LLMM_ERR_RANGE, "a matrix of %lld x %lld", (long long) rows, (long long) cols);
    }
    require_whole_blocks(type, cols, "a row");
    // ggml has a case for each type that it can write, and only an assert that is compiled out for the others.
    const bool writable = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 ||
                          (ggml_is_quantized(type) && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K);
    if (!writable) {
        fail(LLMM_ERR_NOT_AVAILABLE, "tensors of type %s cannot be made from f32", ggml_type_name(type));
    }
    if (ggml_quantize_requires_imatrix(type)) {
        fail(LLMM_ERR_NOT_AVAILABLE, "%s needs an importance matrix, which is not supported", ggml_type_name(type));
    }
    for (int64_t i = 0; i < rows * cols; i++) {
        if (!std::isfinite(in[i])) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "number %lld of row %lld is not finite", (long long) (i % cols),
                 (long long) (i / cols));
        }
    }
    std::string out((size_t) rows * ggml_row_size(type, cols), 0);
    const assert_scope asserts(LLMM_ERR_NOT_AVAILABLE);
    const size_t written = ggml_quantize_chunk(type, in, &out[0], 0, rows, cols, nullptr);
    if (written != out.size()) {
        fail(LLMM_ERR_INTERNAL, "ggml wrote %zu bytes of %s instead of %zu", written, ggml_type_name(type), out.size());
    }
    return out;
}

}  // namespace llmm
