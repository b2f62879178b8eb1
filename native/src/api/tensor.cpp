#include "guard.h"
#include "handles.h"
#include "session/log.h"
#include "session/tensor_codec.h"

using namespace llmm;

llmm_status llmm_tensor_dequantize(int32_t type, const void * data, size_t data_bytes, float * out, int64_t n) {
    return guard([&] {
        require_array(out, n, "out");
        if (data_bytes > 0) {
            require(data, "data");
        }
        start_engine();
        dequantize(type, data, data_bytes, { out, (size_t) n });
    });
}

llmm_status llmm_quantize(int32_t type, int64_t rows, int64_t cols, const float * in, llmm_buffer ** out) {
    return guard([&] {
        require(in, "in");
        require(out, "out");
        start_engine();
        *out = new_buffer(quantize(type, rows, cols, in));
    });
}
