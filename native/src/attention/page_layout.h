// How the keys and values of one page of one KV head lie in memory: a block. Kernels read one block at a time. The
// layouts are the same on every instruction set, so that files may carry pages as they are; docs/page-format.md
// describes them.
//
// Keys put 16 tokens side by side (one vector of scores needs no horizontal sum), values put dimensions side by side
// (one vector of the output needs none either).
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmm {

enum class page_format : uint8_t {
    none = 0,      // no data
    f16  = 1,      // as stored: K [page/16][dim][16], V [page][dim]
    q4   = 2,      // rotated; keys 4 bits per channel of the page, values 4 bits per token
    q42  = 3,      // rotated; keys as q4, values 2 bits per token
};
constexpr int page_formats = 4;

constexpr int32_t max_head_dim = 256;
constexpr int32_t max_page_tokens = 64;
constexpr int32_t lane_tokens = 16;            // tokens that lie side by side in a key block

struct head_shape {
    int32_t dim;                               // of a key and of a value; a multiple of 16, at most 256
    int32_t page_tokens;                       // 16, 32 or 64

    size_t elements() const { return (size_t) dim * page_tokens; }
};

// Quantised blocks begin with this, then u8 k_scale[dim], i8 k_min[dim], u8 v_scale[page], i8 v_min[page], padding to
// a multiple of 64, the codes of the keys and those of the values. A key is k_min[d] * header.k_min +
// code * k_scale[d] * header.k_scale; a value likewise by token.
struct quantized_header {
    float k_scale;
    float k_min;
    float v_scale;
    float v_min;
};

constexpr size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

inline size_t quantized_codes_at(const head_shape & s) {
    return round_up(sizeof(quantized_header) + 2 * (size_t) s.dim + 2 * (size_t) s.page_tokens, 64);
}

// Codes of the keys: [page/16][dim/8][16 tokens][4]: low nibbles are dimensions 8i..8i+3, high ones 8i+4..8i+7.
inline size_t key_code_bytes(const head_shape & s) {
    return s.elements() / 2;
}

// Codes of the values, q4: [dim/16][page/8][16 dims][4]: low nibbles are tokens 8i..8i+3, high ones 8i+4..8i+7.
// q42: [dim/16][page/16][16 dims][4]: bits 2j and 2j+1 are tokens 16i+4j..16i+4j+3.
inline size_t value_code_bytes(const head_shape & s, page_format f) {
    return s.elements() / (f == page_format::q4 ? 2 : 4);
}

// Bytes of one page of one KV head, a multiple of 64.
inline size_t block_bytes(const head_shape & s, page_format f) {
    switch (f) {
        case page_format::f16:  return 2 * 2 * s.elements();
        case page_format::q4:
        case page_format::q42:  return quantized_codes_at(s) + key_code_bytes(s) + value_code_bytes(s, f);
        case page_format::none: break;
    }
    return 0;
}

// Quantised pages hold H * k and H * v, where H is a block-diagonal Walsh-Hadamard matrix scaled to be orthonormal:
// it spreads outliers over the channels (QuaRot, arXiv 2404.00456). H is its own inverse and leaves products of two
// vectors in that basis unchanged. Blocks are as large as dim allows.
inline int32_t rotation_block(int32_t dim) {
    return dim & -dim;                         // the largest power of two that divides it
}

}  // namespace llmm
