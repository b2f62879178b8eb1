// CRC-32C (Castagnoli), the checksum of files this library writes. It finds every flipped bit and every burst of up
// to 32 bits; it is no protection against forgery.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmm {

// Checksum of n bytes; with the checksum of what came before as `crc`, of both together.
uint32_t crc32c(const void * bytes, size_t n, uint32_t crc = 0);

// The same without the CPU's instruction for it, several times slower.
uint32_t crc32c_portable(const void * bytes, size_t n, uint32_t crc = 0);

}  // namespace llmm
