// Attention of one layer over pages, cut into units of work by the data alone, so that the result does not depend on
// the number of threads.
#pragma once

#include "kernel_table.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace llmm {

// One layer's part of a page.
struct page_view {
    const uint8_t * block;                  // of the first KV head
    page_format format;
};

// Bytes from the block of one KV head to that of the next, by format.
using head_strides = std::array<size_t, page_formats>;

// How queries and pages are cut. A unit is one KV head, one tile of tokens and one chunk of the pages.
struct attend_grid {
    int32_t tile_tokens;
    int32_t n_tiles;
    int32_t n_chunks;        // 1: a unit writes its rows of the output; more: partial results, merged by the last one
    int32_t chunk_pages;
};

constexpr int32_t max_chunked_tiles = 16;

struct attend_shape {
    head_shape head;
    int32_t n_heads_kv;
    int32_t group;           // query heads per KV head
    int32_t n_tokens;

    int32_t n_heads() const { return n_heads_kv * group; }
};

attend_grid make_grid(const attend_shape & shape, int32_t n_pages);

// Floats of scratch for partial results that no number of pages exceeds.
size_t attend_scratch_floats(const attend_shape & shape);

struct attend_job {
    attend_shape shape;
    const float * q;                        // token t, head h at q + t * q_token + h * q_head, [dim] each
    ptrdiff_t q_token, q_head;              // in floats
    float scale;
    float soft_cap;                         // 0 = none
    const float * sinks;                    // null, or a score per query head that takes part without a value
    const page_view * pages;                // [n_pages], each with data
    head_strides strides;
    const uint64_t * const * visible;       // [n_pages], as page_run::visible
    int32_t n_pages;
    float * out;                            // [n_tokens][heads][dim]
    float * scratch;                        // attend_scratch_floats
};

// Shared by the threads that work on one job. reset() before they begin.
struct attend_progress {
    std::atomic<int32_t> next_unit{ 0 };
    std::array<std::atomic<int32_t>, max_chunked_tiles> finished{};

    void reset();
};

// Works on units until none is left; called by every thread.
void attend(const kernel_table & kernels, const attend_job & job, attend_progress & progress);

}  // namespace llmm
