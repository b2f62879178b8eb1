// Pages in saved sessions, and shared with another session.
#include "paged_cache.h"

#include "llama-io.h"

#include <cstring>
#include <new>
#include <stdexcept>

namespace llmm {

// How a state of pages begins.
struct state_header {
    char magic[4];
    uint32_t version;
    uint32_t page_tokens;
    uint32_t dim;
    uint32_t n_heads_kv;
    uint32_t n_layers;
    uint32_t n_cells;
    uint32_t n_pages;
    int32_t pinned_shift;
    uint32_t prune_bytes;                    // per page: what pruning knows of it; 0: nothing
    pruner::phase prune_phase;
    last_turn turn;
    int32_t pruned_end;
};

namespace {

constexpr char state_magic[4] = { 'L', 'M', 'P', 'G' };
constexpr uint32_t state_version = 5;

struct state_cell {
    uint32_t index;
    int32_t pos;
};

}  // namespace

// Cells with their positions, then the pages as they are, layer by layer. Of one sequence, which is the only one.
void paged_cache::state_write(llama_io_write_i & io, llama_seq_id, llama_state_seq_flags) const {
    const auto & cells = v_cells[0];
    std::vector<state_cell> list;
    std::vector<int32_t> pages;
    for (uint32_t i = 0; i < cells.size(); i++) {
        if (!cells.is_empty(i)) {
            list.push_back({ i, cells.pos_get(i) });
            const int32_t page = (int32_t) i / store_.shape().page_tokens;
            if ((pages.empty() || pages.back() != page) && store_.format(page) != page_format::none) {
                pages.push_back(page);
            }
        }
    }
    const state_header h = make_state_header(list.size(), pages.size());
    io.write(&h, sizeof(h));
    io.write(list.data(), list.size() * sizeof(state_cell));
    std::vector<uint8_t> block(block_bytes(store_.shape(), page_format::f16)), known(h.prune_bytes);
    for (const int32_t page : pages) {
        const int32_t head[3] = { page, (int32_t) store_.format(page), store_.depth(page) };
        io.write(head, sizeof(head));
        for (int32_t l = 0; l < store_.depth(page); l++) {
            for (int32_t h = 0; h < store_.n_heads_kv(); h++) {
                if (!store_.read(l, page, h, block.data())) {
                    throw std::runtime_error("a page in the spill file is damaged");
                }
                io.write(block.data(), block_bytes(store_.shape(), store_.format(page)));
            }
        }
        if (h.prune_bytes > 0) {
            pruner_.save_page(page, known.data());
            io.write(known.data(), known.size());
        }
        if (store_.depth(page) < store_.n_layers()) {
            const int32_t has = shadow_.has(page);
            io.write(&has, sizeof(has));
            if (has) {
                const prompt_shadow::rows & r = shadow_.of(page);
                io.write(&r.score, sizeof(r.score));
                io.write(r.tokens.data(), r.tokens.size() * sizeof(int32_t));
                io.write(r.scale.data(), r.scale.size() * sizeof(float));
                io.write(r.halves.data(), r.halves.size() * sizeof(uint16_t));
            }
        }
    }
}

void paged_cache::state_read(llama_io_read_i & io, llama_seq_id seq_id, llama_state_seq_flags) {
    const auto check = [](bool holds) {
        if (!holds) {
            throw std::runtime_error("the saved pages do not fit this cache");
        }
    };
    state_header h;
    io.read(&h, sizeof(h));
    state_header want = make_state_header(h.n_cells, h.n_pages);
    want.pinned_shift = h.pinned_shift;
    want.prune_bytes = h.prune_bytes;
    want.prune_phase = h.prune_phase;
    want.turn = h.turn;
    want.pruned_end = h.pruned_end;
    check(std::memcmp(&h, &want, sizeof(h)) == 0 && h.pinned_shift >= 0 && seq_id <= 0 && n_seq_max == 1);
    check(h.prune_bytes == 0 || h.prune_bytes == pruner_.page_bytes());
    check(h.turn.begin >= 0 && h.turn.end >= h.turn.begin && h.pruned_end >= 0);
    auto & cells = v_cells[0];
    check(h.n_cells <= cells.size() && h.n_pages <= (uint32_t) store_.n_pages());
    std::vector<state_cell> list(h.n_cells);
    io.read(list.data(), list.size() * sizeof(state_cell));
    for (size_t i = 0; i < list.size(); i++) {
        check(list[i].index < cells.size() && list[i].pos >= 0 && (i == 0 || list[i].index > list[i - 1].index));
    }
    clear(false);
    std::vector<uint8_t> known(h.prune_bytes);
    try {
        store_.set_pinned_shift(h.pinned_shift);
        llama_pos newest = -1;
        for (const state_cell & c : list) {
            cells.pos_set(c.index, c.pos);
            cells.seq_add(c.index, 0);
            if (c.pos > newest) {
                newest = c.pos;
                v_heads[0] = c.index + 1;              // where the next token goes decides the order of sums
            }
        }
        for (uint32_t i = 0; i < h.n_pages; i++) {
            int32_t head[3];
            io.read(head, sizeof(head));
            check(head[0] >= 0 && head[0] < store_.n_pages() && head[1] > 0 && head[1] < page_formats && head[2] > 0 && head[2] <= store_.n_layers());
            check(head[2] == store_.n_layers() || !store_.settings().exact);
            if (!store_.restore(head[0], (page_format) head[1], head[2])) {
                throw std::bad_alloc();
            }
            for (int32_t l = 0; l < head[2]; l++) {
                for (int32_t h = 0; h < store_.n_heads_kv(); h++) {
                    io.read(store_.block(l, head[0], h), block_bytes(store_.shape(), (page_format) head[1]));
                }
            }
            describe_page(head[0]);
            if (h.prune_bytes > 0) {
                io.read(known.data(), known.size());
                pruner_.restore_page(head[0], known.data());
            }
            if (head[2] < store_.n_layers()) {
                pruner_.leave_out({ head[0] }, head[2]);
                int32_t has;
                io.read(&has, sizeof(has));
                if (has) {
                    prompt_shadow::rows r = shadow_.empty_rows();
                    io.read(&r.score, sizeof(r.score));
                    io.read(r.tokens.data(), r.tokens.size() * sizeof(int32_t));
                    io.read(r.scale.data(), r.scale.size() * sizeof(float));
                    io.read(r.halves.data(), r.halves.size() * sizeof(uint16_t));
                    shadow_.restore(head[0], std::move(r));
                }
            }
        }
        limit_shadow();
        pruner_.restore_phase(h.prune_phase);
        turn_ = h.turn;
        pruned_end_ = h.pruned_end;
        forget_evicted();
    } catch (...) {
        clear(false);
        throw;
    }
    describe_all();
}

bool paged_cache::share_from(const paged_cache & other) {
    v_cells[0] = other.v_cells[0];
    v_heads = other.v_heads;
    if (!store_.share_from(other.store_)) {
        clear(false);
        return false;
    }
    pruner_.copy_from(other.pruner_);
    turn_ = other.turn_;
    pruned_end_ = other.pruned_end_;
    shadow_ = other.shadow_;
    limit_shadow();
    return true;
}

state_header paged_cache::make_state_header(size_t n_cells, size_t n_pages) const {
    state_header h{};
    std::memcpy(h.magic, state_magic, sizeof(h.magic));
    h.version = state_version;
    h.page_tokens = (uint32_t) store_.shape().page_tokens;
    h.dim = (uint32_t) store_.shape().dim;
    h.n_heads_kv = (uint32_t) store_.n_heads_kv();
    h.n_layers = (uint32_t) store_.n_layers();
    h.n_cells = (uint32_t) n_cells;
    h.n_pages = (uint32_t) n_pages;
    h.pinned_shift = store_.pinned_shift();
    h.prune_bytes = pruner_.settings().prunes() ? (uint32_t) pruner_.page_bytes() : 0;
    h.prune_phase = pruner_.current_phase();
    h.turn = turn_;
    h.pruned_end = pruned_end_;
    return h;
}

}  // namespace llmm
