// Numbers of tensors in the types of ggml, there and back.
#pragma once

#include "span.h"

#include <cstdint>
#include <string>

namespace llmm {

// Writes out.size() numbers that are stored as `type` in `bytes` bytes at `data`.
// Throws RANGE: no such type, or another number of bytes; NOT_AVAILABLE: the type has no way back, or the numbers are not
// whole blocks of it.
void dequantize(int32_t type, const void * data, size_t bytes, span<float> out);

// The rows of a matrix as `type`. Throws as above, and INVALID_ARGUMENT if a number is not finite.
std::string quantize(int32_t type, int64_t rows, int64_t cols, const float * in);

}  // namespace llmm
