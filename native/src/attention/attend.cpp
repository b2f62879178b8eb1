#include "attend.h"

#include <algorithm>
#include <cmath>

namespace llmm {

namespace {

constexpr int32_t tile_floats = 16384;          // of queries: what stays in the second-level cache beside the output
constexpr int32_t most_tile_tokens = 64;
constexpr int32_t wanted_units = 24;            // enough to even out threads of different speed
constexpr int32_t least_chunk_tokens = 64;
constexpr int32_t chunk_step_tokens = 512;      // long chunks are multiples of what a kernel takes at once

constexpr int32_t ceil_div(int32_t a, int32_t b) {
    return (a + b - 1) / b;
}

int32_t tile_tokens(const attend_shape & s) {
    return std::clamp(tile_floats / (s.head.dim * s.group), 1, most_tile_tokens);
}

int32_t most_chunks(const attend_shape & s) {
    const int32_t tiles = s.n_heads_kv * ceil_div(s.n_tokens, tile_tokens(s));
    return tiles < max_chunked_tiles ? ceil_div(wanted_units, tiles) : 1;
}

class unit {
public:
    unit(const kernel_table & kernels, const attend_job & job, const attend_grid & grid, int32_t head, int32_t tile, int32_t chunk)
        : kernels_(kernels), job_(job), grid_(grid), head_(head), chunk_(chunk), first_token_(tile * grid.tile_tokens),
          n_tokens_(std::min(grid.tile_tokens, job.shape.n_tokens - first_token_)), n_rows_(n_tokens_ * job.shape.group) {}

    void run() {
        const int32_t dim = job_.shape.head.dim;
        load_queries();
        std::fill(max_, max_ + n_rows_, -INFINITY);
        std::fill(sum_, sum_ + n_rows_, 0.0f);
        std::fill(out_, out_ + (size_t) n_rows_ * dim, 0.0f);

        // Quantised pages first, all in the rotated basis, which is left once.
        bool rotated = attend_pages(page_format::q4, false);
        rotated = attend_pages(page_format::q42, rotated);
        if (rotated) {
            kernels_.rotate(dim, out_, n_rows_);
            load_queries();
        }
        attend_pages(page_format::f16, true);
        for (int32_t r = 0; r < n_rows_; r++) {
            finish_row(r);
        }
    }

    // Joins the chunks of the tile's rows.
    void merge() const {
        for (int32_t r = 0; r < n_rows_; r++) {
            kernels_.merge(job_.shape.head.dim, partial(r, 0), grid_.n_chunks, sink(r), output(r));
        }
    }

private:
    void load_queries() {
        const int32_t dim = job_.shape.head.dim, group = job_.shape.group;
        for (int32_t r = 0; r < n_rows_; r++) {
            const float * from = job_.q + (first_token_ + r / group) * job_.q_token + (head_ * group + r % group) * job_.q_head;
            for (int32_t d = 0; d < dim; d++) {
                q_[(size_t) r * dim + d] = from[d] * job_.scale;
            }
        }
    }

    // True if the queries are in the rotated basis afterwards.
    bool attend_pages(page_format format, bool rotated) {
        const uint8_t * blocks[batch_pages];
        const uint64_t * visible[batch_pages];
        const size_t offset = head_ * job_.strides[(size_t) format];
        const int32_t end = std::min(job_.n_pages, (chunk_ + 1) * grid_.chunk_pages);
        int32_t n = 0;
        const auto flush = [&] {
            if (n == 0) {
                return;
            }
            if (format != page_format::f16 && !rotated) {
                kernels_.rotate(job_.shape.head.dim, q_, n_rows_);
                rotated = true;
            }
            const page_run run = { blocks, visible, n };
            const query_rows rows = { q_, max_, sum_, out_, n_rows_, job_.shape.group, job_.soft_cap };
            kernels_.attend(job_.shape.head, format, run, rows);
            n = 0;
        };
        for (int32_t p = chunk_ * grid_.chunk_pages; p < end; p++) {
            if (job_.pages[p].format == format) {
                blocks[n] = job_.pages[p].block + offset;
                visible[n] = job_.visible[p] ? job_.visible[p] + first_token_ : nullptr;
                if (++n == batch_pages) {
                    flush();
                }
            }
        }
        flush();
        return rotated;
    }

    void finish_row(int32_t r) {
        const int32_t dim = job_.shape.head.dim;
        const float * row = out_ + (size_t) r * dim;
        if (grid_.n_chunks > 1) {
            float * to = partial(r, chunk_);
            std::copy(row, row + dim, to);
            to[dim] = max_[r];
            to[dim + 1] = sum_[r];
            return;
        }
        alignas(64) float one[max_head_dim + 2];
        std::copy(row, row + dim, one);
        one[dim] = max_[r];
        one[dim + 1] = sum_[r];
        kernels_.merge(dim, one, 1, sink(r), output(r));
    }

    int32_t query_head(int32_t r) const { return head_ * job_.shape.group + r % job_.shape.group; }
    int32_t token(int32_t r) const { return first_token_ + r / job_.shape.group; }
    size_t row_index(int32_t r) const { return (size_t) token(r) * job_.shape.n_heads() + query_head(r); }
    const float * sink(int32_t r) const { return job_.sinks ? job_.sinks + query_head(r) : nullptr; }
    float * output(int32_t r) const { return job_.out + row_index(r) * job_.shape.head.dim; }
    float * partial(int32_t r, int32_t chunk) const {
        return job_.scratch + (row_index(r) * grid_.n_chunks + chunk) * partial_floats(job_.shape.head.dim);
    }

    static constexpr int32_t batch_pages = 256;
    static constexpr int32_t most_rows = tile_floats / 16;

    const kernel_table & kernels_;
    const attend_job & job_;
    const attend_grid & grid_;
    const int32_t head_, chunk_, first_token_, n_tokens_, n_rows_;
    alignas(64) float q_[tile_floats];
    alignas(64) float out_[tile_floats];
    float max_[most_rows], sum_[most_rows];
};

}  // namespace

attend_grid make_grid(const attend_shape & s, int32_t n_pages) {
    attend_grid grid;
    grid.tile_tokens = tile_tokens(s);
    grid.n_tiles = ceil_div(s.n_tokens, grid.tile_tokens);
    const int32_t chunks = most_chunks(s);
    int32_t chunk = std::max(least_chunk_tokens, ceil_div(n_pages * s.head.page_tokens, chunks));
    const int32_t step = chunk > chunk_step_tokens ? chunk_step_tokens : least_chunk_tokens;
    chunk = chunks > 1 ? ceil_div(chunk, step) * step : n_pages * s.head.page_tokens;
    grid.chunk_pages = std::max(1, chunk / s.head.page_tokens);
    grid.n_chunks = std::max(1, ceil_div(n_pages, grid.chunk_pages));
    return grid;
}

size_t attend_scratch_floats(const attend_shape & s) {
    const int32_t chunks = most_chunks(s);
    return chunks > 1 ? (size_t) s.n_tokens * s.n_heads() * chunks * partial_floats(s.head.dim) : 0;
}

void attend_progress::reset() {
    next_unit.store(0, std::memory_order_relaxed);
    for (auto & n : finished) {
        n.store(0, std::memory_order_relaxed);
    }
}

void attend(const kernel_table & kernels, const attend_job & job, attend_progress & progress) {
    const attend_grid grid = make_grid(job.shape, job.n_pages);
    const int32_t n_tiles = job.shape.n_heads_kv * grid.n_tiles;
    const int32_t n_units = n_tiles * grid.n_chunks;
    for (;;) {
        const int32_t u = progress.next_unit.fetch_add(1, std::memory_order_relaxed);
        if (u >= n_units) {
            return;
        }
        const int32_t tile = u / grid.n_chunks;
        unit work(kernels, job, grid, tile / grid.n_tiles, tile % grid.n_tiles, u % grid.n_chunks);
        work.run();
        if (grid.n_chunks > 1 && progress.finished[(size_t) tile].fetch_add(1, std::memory_order_acq_rel) + 1 == grid.n_chunks) {
            work.merge();
        }
    }
}

}  // namespace llmm
