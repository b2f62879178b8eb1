#include "attend.h"

#include "page_bound.h"

#include <algorithm>
#include <bitset>
#include <cmath>

namespace llmm {

namespace {

constexpr float log2_e = 1.44269504f;           // kernels compute powers of 2
constexpr int32_t tile_floats = 16384;          // of queries: what stays in the second-level cache beside the output
constexpr int32_t most_tile_tokens = 64;
constexpr int32_t wanted_units = 24;            // enough to even out threads of different speed
constexpr int32_t least_chunk_tokens = 64;

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

page_list pages_of(const attend_job & job, int32_t head) {
    return job.chosen ? job.chosen[head] : page_list{ nullptr, job.n_pages };
}

int32_t longest_list(const attend_job & job) {
    int32_t most = 0;
    for (int32_t h = 0; h < job.shape.n_heads_kv; h++) {
        most = std::max(most, pages_of(job, h).n);
    }
    return most;
}

class unit {
public:
    unit(const kernel_table & kernels, const attend_job & job, const attend_grid & grid, int32_t head, int32_t tile, int32_t chunk,
         uint8_t * staging)
        : kernels_(kernels), job_(job), grid_(grid), staging_(staging), pages_(pages_of(job, head)), head_(head), chunk_(chunk),
          first_token_(tile * grid.tile_tokens),
          n_tokens_(std::min(grid.tile_tokens, job.shape.n_tokens - first_token_)), n_rows_(n_tokens_ * job.shape.group) {}

    void run() {
        const int32_t dim = job_.shape.head.dim;
        load_queries();
        std::fill(max_, max_ + n_rows_, -INFINITY);
        std::fill(sum_, sum_ + n_rows_, 0.0f);
        std::fill(out_, out_ + (size_t) n_rows_ * dim, 0.0f);
        if (wants_mass()) {
            const int32_t end = end_page(), begin = std::min(chunk_ * grid_.chunk_pages, end);
            for (int32_t r = 0; r < n_rows_; r++) {          // pages that no row sees are not written
                std::fill(page_sum() + (ptrdiff_t) r * job_.n_pages + begin, page_sum() + (ptrdiff_t) r * job_.n_pages + end, 0.0f);
                std::fill(page_max() + (ptrdiff_t) r * job_.n_pages + begin, page_max() + (ptrdiff_t) r * job_.n_pages + end, -INFINITY);
            }
        }

        // Quantised pages first, all in the rotated basis, which is left once.
        bool rotated = attend_pages(page_format::q4, false);
        rotated = attend_pages(page_format::q42, rotated);
        if (rotated) {
            kernels_.rotate(dim, out_, n_rows_);
            load_queries();
        }
        attend_pages(page_format::f16, true);
        for (int32_t r = 0; r < n_rows_; r++) {
            float * to = grid_.n_chunks > 1 ? partial(r, chunk_) : whole_;
            std::copy(out_ + (size_t) r * dim, out_ + (size_t) (r + 1) * dim, to);
            to[dim] = max_[r];
            to[dim + 1] = sum_[r];
            if (grid_.n_chunks == 1) {
                finish_row(r, to);
            }
        }
        if (grid_.n_chunks == 1) {
            bound_omitted();
        }
    }

    // Joins the chunks of the tile's rows.
    void merge() {
        for (int32_t r = 0; r < n_rows_; r++) {
            finish_row(r, partial(r, 0));
        }
        bound_omitted();
    }

private:
    void load_queries() {
        const int32_t dim = job_.shape.head.dim, group = job_.shape.group;
        const float scale = job_.scale * log2_e;
        for (int32_t r = 0; r < n_rows_; r++) {
            const float * from = job_.q + (first_token_ + r / group) * job_.q_token + (head_ * group + r % group) * job_.q_head;
            for (int32_t d = 0; d < dim; d++) {
                q_[(size_t) r * dim + d] = from[d] * scale;
            }
        }
    }

    // True if the queries are in the rotated basis afterwards.
    bool attend_pages(page_format format, bool rotated) {
        const head_shape & shape = job_.shape.head;
        const int32_t chunk = chunk_tokens / shape.page_tokens;
        const size_t offset = head_ * job_.strides[(size_t) format];
        const uint8_t * blocks[batch_pages];
        const uint64_t * visible[batch_pages];
        int32_t index[batch_pages], fetched[batch_pages];
        int32_t n = 0, n_fetched = 0;
        const auto flush = [&] {
            if (n == 0) {
                return;
            }
            if (format != page_format::f16 && !rotated) {
                kernels_.rotate(shape.dim, q_, n_rows_);
                rotated = true;
            }
            if (n_fetched > 0) {
                job_.source->fetch(head_, fetched, n_fetched, staging_);
            }
            const page_run run = { blocks, visible, index, n };
            const query_rows rows = { q_, max_, sum_, out_, n_rows_, job_.shape.group, job_.soft_cap * log2_e,
                                      wants_mass() ? page_sum() : nullptr, wants_mass() ? page_max() : nullptr, job_.n_pages };
            kernels_.attend(shape, format, run, rows);
            n = n_fetched = 0;
        };
        for (int32_t i = chunk_ * grid_.chunk_pages; i < end_page(); i++) {
            const int32_t p = pages_.index ? pages_.index[i] : i;
            const page_view & page = job_.pages[p];
            if (page.format != format) {
                continue;
            }
            if (page.block) {
                blocks[n] = page.block + offset;
            } else {
                blocks[n] = staging_ + n_fetched * block_bytes(shape, format);
                fetched[n_fetched++] = p;
            }
            visible[n] = job_.visible[p] ? job_.visible[p] + first_token_ : nullptr;
            index[n] = i;
            // Staging holds one chunk. Cuts at its end do not change the result.
            if (++n == batch_pages || (n_fetched > 0 && n % chunk == 0)) {
                flush();
            }
        }
        flush();
        return rotated;
    }

    void finish_row(int32_t r, const float * partials) {
        const float sink = job_.sinks ? job_.sinks[query_head(r)] * log2_e : 0.0f;
        const softmax_total total = kernels_.merge(job_.shape.head.dim, partials, grid_.n_chunks, job_.sinks ? &sink : nullptr, output(r));
        max_[r] = total.max;
        sum_[r] = total.sum;
        if (wants_mass()) {
            float * mass = job_.page_mass + (size_t) head_ * job_.n_pages;
            if (r == 0) {
                std::fill(mass, mass + job_.n_pages, 0.0f);
            }
            const ptrdiff_t at = (ptrdiff_t) r * job_.n_pages;
            kernels_.add_mass(page_sum() + at, page_max() + at, pages_.n, total, mass);
        }
    }

    // After all rows: what they have not read can add to their sums.
    void bound_omitted() {
        if (!job_.omitted_bound || job_.shape.n_tokens != 1) {
            return;
        }
        const head_shape & shape = job_.shape.head;
        const float cap = job_.soft_cap * log2_e;
        std::copy(q_, q_ + (size_t) n_rows_ * shape.dim, out_);
        kernels_.rotate(shape.dim, out_, n_rows_);
        std::array<double, most_rows> omitted{};
        for (int32_t p = 0, next = 0; p < job_.n_pages; p++) {
            if (!pages_.index || (next < pages_.n && pages_.index[next] == p)) {
                next++;
                continue;
            }
            const page_view & page = job_.pages[p];
            if (page.format == page_format::none) {
                continue;
            }
            const uint8_t * block = page.block ? page.block + head_ * job_.strides[(size_t) page.format] : staging_;
            if (!page.block) {
                job_.source->fetch(head_, &p, 1, staging_);
            }
            const double n = job_.visible[p] ? (double) std::bitset<64>(job_.visible[p][first_token_]).count() : shape.page_tokens;
            const float * q = page.format == page_format::f16 ? q_ : out_;
            for (int32_t r = 0; r < n_rows_; r++) {
                const float most = most_score(shape, page.format, block, q + (size_t) r * shape.dim);
                omitted[(size_t) r] += n * std::exp2((double) (cap > 0 ? cap * std::tanh(most / cap) : most) - max_[r]);
            }
        }
        double bound = 0;
        for (int32_t r = 0; r < n_rows_; r++) {
            bound += std::isinf(omitted[(size_t) r]) ? 1 : omitted[(size_t) r] / (omitted[(size_t) r] + sum_[r]);
        }
        job_.omitted_bound[head_] = (float) (bound / n_rows_);
    }

    bool wants_mass() const { return job_.page_mass && has_page_mass(job_.shape); }
    // [rows][pages] each, of this head: there is one tile.
    float * page_sum() const { return job_.mass_scratch + (size_t) 2 * head_ * n_rows_ * job_.n_pages; }
    float * page_max() const { return page_sum() + (size_t) n_rows_ * job_.n_pages; }
    int32_t end_page() const { return std::min(pages_.n, (chunk_ + 1) * grid_.chunk_pages); }
    int32_t query_head(int32_t r) const { return head_ * job_.shape.group + r % job_.shape.group; }
    int32_t token(int32_t r) const { return first_token_ + r / job_.shape.group; }
    size_t row_index(int32_t r) const { return (size_t) token(r) * job_.shape.n_heads() + query_head(r); }
    float * output(int32_t r) const { return job_.out + row_index(r) * job_.shape.head.dim; }
    float * partial(int32_t r, int32_t chunk) const {
        return job_.scratch + (row_index(r) * grid_.n_chunks + chunk) * partial_floats(job_.shape.head.dim);
    }

    static constexpr int32_t batch_pages = 256;
    static constexpr int32_t most_rows = tile_floats / 16;

    const kernel_table & kernels_;
    const attend_job & job_;
    const attend_grid & grid_;
    uint8_t * const staging_;
    const page_list pages_;                   // of this head
    const int32_t head_, chunk_, first_token_, n_tokens_, n_rows_;
    alignas(64) float q_[tile_floats];
    alignas(64) float out_[tile_floats];
    alignas(64) float whole_[max_head_dim + 2];
    float max_[most_rows], sum_[most_rows];
};

}  // namespace

attend_grid make_grid(const attend_shape & s, int32_t n_pages) {
    attend_grid grid;
    grid.tile_tokens = tile_tokens(s);
    grid.n_tiles = ceil_div(s.n_tokens, grid.tile_tokens);
    const int32_t chunks = most_chunks(s);
    int32_t chunk = std::max(least_chunk_tokens, ceil_div(n_pages * s.head.page_tokens, chunks));
    const int32_t step = chunk > chunk_tokens ? chunk_tokens : least_chunk_tokens;
    chunk = chunks > 1 ? ceil_div(chunk, step) * step : n_pages * s.head.page_tokens;
    grid.chunk_pages = std::max(1, chunk / s.head.page_tokens);
    grid.n_chunks = std::max(1, ceil_div(n_pages, grid.chunk_pages));
    return grid;
}

size_t attend_scratch_floats(const attend_shape & s) {
    const int32_t chunks = most_chunks(s);
    return chunks > 1 ? (size_t) s.n_tokens * s.n_heads() * chunks * partial_floats(s.head.dim) : 0;
}

bool has_page_mass(const attend_shape & s) {
    return s.n_tokens * s.group <= few_rows;
}

size_t mass_scratch_floats(const attend_shape & s, int32_t n_pages) {
    return has_page_mass(s) ? (size_t) 2 * s.n_heads() * s.n_tokens * n_pages : 0;
}

size_t staging_bytes(const head_shape & shape) {
    return chunk_tokens / shape.page_tokens * block_bytes(shape, page_format::f16);
}

void attend_progress::reset() {
    next_unit.store(0, std::memory_order_relaxed);
    for (auto & n : finished) {
        n.store(0, std::memory_order_relaxed);
    }
}

void attend(const kernel_table & kernels, const attend_job & job, attend_progress & progress, int32_t thread) {
    const attend_grid grid = make_grid(job.shape, longest_list(job));
    const int32_t n_tiles = job.shape.n_heads_kv * grid.n_tiles;
    const int32_t n_units = n_tiles * grid.n_chunks;
    uint8_t * staging = job.source ? job.staging + thread * staging_bytes(job.shape.head) : nullptr;
    for (;;) {
        const int32_t u = progress.next_unit.fetch_add(1, std::memory_order_relaxed);
        if (u >= n_units) {
            return;
        }
        const int32_t tile = u / grid.n_chunks;
        unit work(kernels, job, grid, tile / grid.n_tiles, tile % grid.n_tiles, u % grid.n_chunks, staging);
        work.run();
        if (grid.n_chunks > 1 && progress.finished[(size_t) tile].fetch_add(1, std::memory_order_acq_rel) + 1 == grid.n_chunks) {
            work.merge();
        }
    }
}

}  // namespace llmm
