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
    const uint8_t * block;                  // of the first KV head; null: not in memory, a page_source has it
    page_format format;
};

// Where pages that are not in memory come from. Several threads call at once.
class page_source {
public:
    virtual ~page_source() = default;

    // Brings blocks of one KV head and one format: of pages[i], an index into attend_job::pages, to
    // `to` + i * block_bytes. Indices ascend.
    virtual void fetch(int32_t head, const int32_t * pages, int32_t n, uint8_t * to) = 0;
};

// Some of a job's pages: indices into attend_job::pages, ascending.
struct page_list {
    const int32_t * index;                  // null: the first n
    int32_t n;
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

// Whether a job of this shape can tell the masses of its pages: only while it decodes, with few_rows in a tile.
bool has_page_mass(const attend_shape & shape);

// Floats that attend_job::mass_scratch needs.
size_t mass_scratch_floats(const attend_shape & shape, int32_t n_pages);

// What one thread needs to hold pages that are not in memory.
size_t staging_bytes(const head_shape & shape);

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
    const page_list * chosen;               // null: every KV head attends to all pages; else [KV heads], those it attends to
    float * out;                            // [n_tokens][heads][dim]
    float * scratch;                        // attend_scratch_floats

    // Null, or [KV heads][n_pages], overwritten if has_page_mass(shape): the share of softmax that falls on the page,
    // summed over tokens and query heads of the group. Over all pages that is tokens * group, less what sinks take. Of
    // chosen pages: in the order of the list, at the front of the head's row.
    float * page_mass;
    float * mass_scratch;                   // mass_scratch_floats; unused without page_mass

    page_source * source;                   // null if every page is in memory
    uint8_t * staging;                      // [threads][staging_bytes], 64-byte aligned; unused without source

    // Null, or [KV heads], overwritten if there is one token: what share of softmax the pages that were not chosen could hold at
    // most, had they been read; the mean over the query heads of the group.
    float * omitted_bound;
};

// Shared by the threads that work on one job. reset() before they begin.
struct attend_progress {
    std::atomic<int32_t> next_unit{ 0 };
    std::array<std::atomic<int32_t>, max_chunked_tiles> finished{};

    void reset();
};

// Works on units until none is left; called by every thread, each with an index of its own.
void attend(const kernel_table & kernels, const attend_job & job, attend_progress & progress, int32_t thread);

}  // namespace llmm
