// Low-rank factors of a weight matrix, arranged for adding B (A x) to what the matrix makes of x: low-rank adapters (LoRA,
// arXiv 2106.09685) and the repair of quantised weights (LQER, arXiv 2402.02446).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llmm {

constexpr int32_t low_rank_block = 32;       // outputs that lie together in B
constexpr int32_t low_rank_step = 16;        // inputs that lie together in A; no vector of any kernel is longer
constexpr int32_t low_rank_group = 8;        // components whose inputs lie together
constexpr int32_t max_low_rank = 512;

// Bytes are what a step pays for: 8 bits for corrections of a quantised model, the file's digits for adapters of all kinds.
enum class low_rank_type : uint8_t { f32, f16, i8 };

// What the kernels read. Each component, a row of A with its column of B, has numbers of its own size: the factors that
// bring them back are in `scale`.
struct low_rank_view {
    low_rank_type type = low_rank_type::f16;
    int32_t n_in = 0;
    int32_t n_out = 0;
    int32_t rank = 0;
    // In the order of reading. A: [groups][n_steps][components of the group][low_rank_step]; all groups have
    // low_rank_group components but the last, which may have fewer. B: [blocks][rank][low_rank_block]. Zeros beyond
    // n_in and n_out.
    int32_t n_steps = 0;
    const void * a = nullptr;
    const void * b = nullptr;
    const float * scale = nullptr;           // [rank]
};

class low_rank {
public:
    // The first `rank` components of the product of b [n_out][all] and a [all][n_in]; 1 <= rank <= max_low_rank. The
    // numbers are finite.
    low_rank(low_rank_type type, int32_t n_in, int32_t n_out, int32_t rank, const float * a, const float * b, int32_t all);

    low_rank(const low_rank &) = delete;
    low_rank & operator=(const low_rank &) = delete;

    const low_rank_view & view() const { return view_; }
    int32_t n_blocks() const { return (view_.n_out + low_rank_block - 1) / low_rank_block; }
    uint64_t bytes() const { return bytes_.size() + scale_.size() * sizeof(float); }

private:
    low_rank_view view_;
    std::vector<uint8_t> bytes_;
    std::vector<float> scale_;
};

}  // namespace llmm
