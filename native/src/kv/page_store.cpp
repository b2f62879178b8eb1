#include "page_store.h"

#include "stopwatch.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace llmm {

namespace {

constexpr size_t staging_alignment = 64;

// From one quantised format to the other: keys keep their codes, only values change.
void convert_values(const kernel_table & kernels, const head_shape & shape, page_format from, page_format to, const uint8_t * in, uint8_t * out) {
    alignas(64) uint8_t half[4 * max_head_dim * max_page_tokens];
    kernels.dequantize(shape, from, in, half);
    kernels.quantize(shape, to, half, shape.page_tokens, out);
    std::memcpy(out, in, offsetof(quantized_header, v_scale));
    std::memcpy(out + sizeof(quantized_header), in + sizeof(quantized_header), 2 * (size_t) shape.dim);
    std::memcpy(out + quantized_codes_at(shape), in + quantized_codes_at(shape), key_code_bytes(shape));
}

}  // namespace

page_store::page_store(const kv_settings & settings, int32_t dim, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages, uint64_t other_bytes)
    : settings_(settings), shape_{ dim, settings.page_tokens }, n_heads_kv_(n_heads_kv), n_layers_(n_layers), n_pages_(n_pages), write_end_(n_layers),
      other_bytes_(other_bytes), kernels_(kernels()), views_((size_t) n_layers * n_pages, page_view{ nullptr, page_format::none }),
      states_(n_pages), infos_(n_pages) {
    pool_ = std::make_shared<page_pool>(shape_, n_heads_kv, n_layers, n_pages);
    if (affords_huge_pages(settings.budget_bytes)) {
        huge_pages_ = true;
        pool_->use_huge_pages();
    }
    if (!settings.spill_dir.empty()) {
        spill_ = std::make_unique<spill_file>(settings.spill_dir, shape_, n_layers, n_heads_kv, n_pages);
        staging_.resize(settings.n_threads * staging_bytes(shape_) + staging_alignment);
        staging_offset_ = round_up((uintptr_t) staging_.data(), staging_alignment) - (uintptr_t) staging_.data();
    }
    counters_.bytes_peak = fixed_bytes();
    if (!fits(page_bytes(page_format::f16, n_layers))) {
        throw std::bad_alloc();
    }
}

page_store::~page_store() {
    for (int32_t p = 0; p < n_pages_; p++) {
        for (int f = 1; f < page_formats; f++) {
            drop(p, (page_format) f);
        }
    }
}

// ---- what is held -----------------------------------------------------------------------------------------------

void page_store::add_bytes(int64_t n) {
    slab_total_ += n;
    counters_.bytes_peak = std::max(counters_.bytes_peak, fixed_bytes() + slab_total_);
}

bool page_store::is_shared(int32_t page) const {
    for (int f = 1; f < page_formats; f++) {
        const holding & h = states_[page].held[f];
        if (h.pool && h.pool->is_shared((page_format) f, h.slot)) {
            return true;
        }
    }
    return false;
}

bool page_store::hold(int32_t page, page_format f) {
    holding & h = states_[page].held[(int) f];
    if (!h.pool) {
        const int32_t slot = pool_->take_slot(f, page);
        if (slot < 0) {
            return false;
        }
        h = { pool_, slot };
    }
    return true;
}

bool page_store::take(page_format f, int32_t page, int32_t layer) {
    const holding & h = states_[page].held[(int) f];              // perhaps another store's that has left it to us
    if (!fits(slab_bytes(f)) || !h.pool->take_layer(f, h.slot, layer)) {
        return false;
    }
    add_bytes((int64_t) slab_bytes(f));
    return true;
}

void page_store::drop(int32_t page, page_format f) {
    holding & h = states_[page].held[(int) f];
    if (h.pool) {
        h.pool->drop(f, h.slot);
        h = {};
    }
}

uint8_t * page_store::block(int32_t layer, int32_t page, int32_t head) const {
    const page_format f = this->layer(layer)[page].format;
    const holding & h = states_[page].held[(int) f];
    return h.pool->block(f, h.slot, layer, head);
}

bool page_store::read(int32_t layer, int32_t page, int32_t head, uint8_t * to) const {
    const page_format f = this->layer(layer)[page].format;
    if (states_[page].spilled) {
        return spill_->read(f, layer, head, &page, 1, to) < 0;
    }
    convert_block(f, format(page), block(layer, page, head), to);
    return true;
}

void page_store::fetch(int32_t layer, int32_t head, const int32_t * pages, int32_t n, uint8_t * to) {
    int64_t us = 0;
    const size_t bytes = n * block_bytes(shape_, this->layer(layer)[pages[0]].format);
    int32_t bad;
    {
        const stopwatch watch(us);
        bad = spill_->read(this->layer(layer)[pages[0]].format, layer, head, pages, n, to);
    }
    read_us_.fetch_add(us, std::memory_order_relaxed);
    read_bytes_.fetch_add((int64_t) bytes, std::memory_order_relaxed);
    if (bad >= 0) {
        std::memset(to, 0, bytes);
        int32_t first = damaged_.load();
        while ((first < 0 || bad < first) && !damaged_.compare_exchange_weak(first, bad)) {}
    }
}

void page_store::prefetch(int32_t layer, const std::vector<int32_t> & pages) const {
    for (int f = 1; f < page_formats; f++) {
        int32_t first = -1, last = -1;
        for (const int32_t p : pages) {
            if (states_[p].spilled && format(p) == (page_format) f) {
                first = first < 0 ? p : first;
                last = p;
            }
        }
        if (first >= 0) {
            spill_->prefetch((page_format) f, layer, first, last - first + 1);
        }
    }
}

uint64_t page_store::page_bytes(int32_t page) const {
    uint64_t bytes = 0;
    for (int32_t l = 0; l < states_[page].depth; l++) {
        bytes += slab_bytes(layer(l)[page].format);
    }
    return bytes;
}

kv_counters page_store::counters() const {
    kv_counters c = counters_;
    for (int32_t p = 0; p < n_pages_; p++) {
        if (in_memory(p)) {
            c.pages[(int) format(p)]++;
            c.bytes[(int) format(p)] += page_bytes(p);
            c.pages_shared += is_shared(p);
        }
        c.pages_spilled += states_[p].spilled;
    }
    c.bytes_total = fixed_bytes() + slab_total_;
    c.bytes_spilled = spill_ ? spill_->bytes() : 0;
    c.budget = settings_.budget_bytes;
    c.read_us = read_us_;
    c.read_bytes = read_bytes_;
    return c;
}

void page_store::describe(int32_t page, int32_t n_used, int32_t first_pos, int32_t last_pos) {
    page_info & info = infos_[page];
    const bool shrinks = last_pos < info.last_pos;
    info.n_used = n_used;
    info.first_pos = first_pos;
    info.last_pos = last_pos;
    newest_pos_ = std::max(newest_pos_, last_pos);
    if (shrinks) {
        newest_pos_ = -1;
        for (const page_info & i : infos_) {
            newest_pos_ = std::max(newest_pos_, i.last_pos);
        }
    }
    if (n_used == 0) {
        release(page);
    }
}

void page_store::release(int32_t page) {
    page_state & state = states_[page];
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        if (v.format != page_format::none && !state.spilled) {
            slab_total_ -= slab_bytes(v.format);
        }
        if (state.spilled && l == 0) {
            spill_->discard(page, 1);
        }
        v = { nullptr, page_format::none };
    }
    for (int f = 1; f < page_formats; f++) {
        drop(page, (page_format) f);
    }
    state.spilled = false;
    state.depth = 0;
}

void page_store::shallow(int32_t page, int32_t depth) {
    page_state & state = states_[page];
    if (state.spilled || (is_shared(page) && !own(page))) {
        return evict(page);
    }
    for (; state.depth > depth; state.depth--) {
        page_view & v = view(state.depth - 1, page);
        slab_total_ -= slab_bytes(v.format);
        pool_->give_layer(v.format, state.held[(int) v.format].slot, state.depth - 1);
        v = { nullptr, page_format::none };
    }
    for (int f = 1; f < page_formats; f++) {
        bool used = false;
        for (int32_t l = 0; l < depth; l++) {
            used = used || layer(l)[page].format == (page_format) f;
        }
        if (!used) {
            drop(page, (page_format) f);
        }
    }
}

bool page_store::restore(int32_t page, page_format f, int32_t depth) {
    release(page);
    if (!give_way(page_bytes(f, depth), { page }) || !hold(page, f)) {
        return false;
    }
    for (int32_t l = 0; l < depth; l++) {
        if (!take(f, page, l)) {
            release(page);
            return false;
        }
        view(l, page).format = f;
        view(l, page).block = block(l, page, 0);
        states_[page].depth = l + 1;
    }
    return true;
}

// Gives a page zeros in f16 up to a number of layers. It stays as deep as it got.
bool page_store::deepen(int32_t page, int32_t depth) {
    page_state & state = states_[page];
    if (!hold(page, page_format::f16)) {
        return false;
    }
    for (; state.depth < depth; state.depth++) {
        const int32_t l = state.depth;
        if (!take(page_format::f16, page, l)) {
            return false;
        }
        view(l, page).format = page_format::f16;
        view(l, page).block = block(l, page, 0);
        for (int32_t h = 0; h < n_heads_kv_; h++) {
            std::memset(block(l, page, h), 0, block_bytes(shape_, page_format::f16));
        }
    }
    return true;
}

// ---- from one format to another ---------------------------------------------------------------------------------

// Layer by layer, so that one layer at most is there twice. What an attempt that ran out of memory has converted stays
// so; the next one goes on from there.
bool page_store::convert(int32_t page, page_format to) {
    page_state & state = states_[page];
    const bool shared = is_shared(page);
    const bool spilled = state.spilled;
    if (shared && state.held[(int) to].pool) {
        return own(page) && convert(page, to);
    }
    if (!hold(page, to)) {
        return false;
    }
    const holding & target = state.held[(int) to];
    std::vector<uint8_t> from_file(spilled ? block_bytes(shape_, format(page)) : 0);
    const page_format spilled_format = format(page);
    for (int32_t l = 0; l < state.depth; l++) {
        page_view & v = view(l, page);
        const page_format from = v.format;
        if (from == to && !spilled) {
            continue;
        }
        const bool taken = take(to, page, l);
        bool done = taken;
        for (int32_t h = 0; h < n_heads_kv_ && done; h++) {
            done = !spilled || spill_->read(from, l, h, &page, 1, from_file.data()) < 0;
            if (done) {
                convert_block(from, to, spilled ? from_file.data() : block(l, page, h), target.pool->block(to, target.slot, l, h));
            }
        }
        if (!done) {
            if (spilled) {                       // the file still has all of it
                slab_total_ -= (l + taken) * slab_bytes(to);
                for (int32_t b = 0; b < l; b++) {
                    view(b, page) = { nullptr, spilled_format };
                }
                drop(page, to);
            }
            return false;
        }
        v = { target.pool->block(to, target.slot, l, 0), to };
        if (!spilled) {
            if (!shared) {
                state.held[(int) from].pool->give_layer(from, state.held[(int) from].slot, l);
            }
            slab_total_ -= slab_bytes(from);
        }
    }
    for (int f = 1; f < page_formats; f++) {
        if (f != (int) to) {
            drop(page, (page_format) f);
        }
    }
    if (spilled) {
        spill_->discard(page, 1);
        state.spilled = false;
    }
    return true;
}

void page_store::convert_block(page_format from, page_format to, const uint8_t * in, uint8_t * out) const {
    if (from == to) {
        std::memcpy(out, in, block_bytes(shape_, from));
    } else if (from == page_format::f16) {
        kernels_.quantize(shape_, to, in, shape_.page_tokens, out);
    } else if (to == page_format::f16) {
        kernels_.dequantize(shape_, from, in, out);
    } else {
        convert_values(kernels_, shape_, from, to, in, out);
    }
}

bool page_store::demote(int32_t page, page_format to) {
    const stopwatch watch(counters_.demotion_us);
    const bool done = convert(page, to);
    counters_.demotions += done;
    return done;
}

bool page_store::promote(int32_t page) {
    const bool done = convert(page, page_format::f16);
    counters_.promotions += done;
    return done;
}

// A copy of a shared page in memory, for this store alone.
bool page_store::own(int32_t page) {
    page_state & state = states_[page];
    const int32_t depth = state.depth;
    std::array<holding, page_formats> former = std::exchange(state.held, {});
    for (int32_t l = 0; l < depth; l++) {
        const page_format f = view(l, page).format;
        if (!hold(page, f) || !pool_->take_layer(f, state.held[(int) f].slot, l)) {
            for (int i = 1; i < page_formats; i++) {
                drop(page, (page_format) i);
            }
            state.held = former;
            return false;
        }
        for (int32_t h = 0; h < n_heads_kv_; h++) {
            std::memcpy(block(l, page, h), former[(int) f].pool->block(f, former[(int) f].slot, l, h), block_bytes(shape_, f));
        }
    }
    for (int32_t l = 0; l < depth; l++) {
        view(l, page).block = block(l, page, 0);
    }
    for (int i = 1; i < page_formats; i++) {
        if (former[i].pool) {
            former[i].pool->drop((page_format) i, former[i].slot);
        }
    }
    return true;
}

bool page_store::spill(int32_t page) {
    const stopwatch watch(counters_.spill_us);
    const page_format f = format(page);
    const int32_t depth = states_[page].depth;
    for (int32_t l = 0; l < depth; l++) {
        if (layer(l)[page].format != f) {
            return false;                        // a conversion was cut short
        }
    }
    for (int32_t l = 0; l < depth; l++) {
        if (!spill_->write(f, l, page, block(l, page, 0), strides()[(size_t) f])) {
            spill_error_ = spill_->error();
            spill_->discard(page, 1);
            return false;
        }
    }
    release(page);
    for (int32_t l = 0; l < depth; l++) {
        view(l, page) = { nullptr, f };
    }
    states_[page].spilled = true;
    states_[page].depth = depth;
    counters_.spills++;
    return true;
}

bool page_store::recall(int32_t page) {
    const bool done = convert(page, format(page));
    counters_.recalls += done;
    return done;
}

bool page_store::is_writable(int32_t page) const {
    for (int32_t l = write_begin_; l < states_[page].depth; l++) {
        if (states_[page].spilled || layer(l)[page].format != page_format::f16) {
            return false;
        }
    }
    return true;
}

bool page_store::reserve(const std::vector<int32_t> & pages) {
    for (const int32_t p : pages) {
        if (!has_data(p)) {
            if (!give_way(page_bytes(page_format::f16, write_end_), { p }) || !deepen(p, write_end_)) {
                release(p);
                return false;
            }
            // Nobody has seen it yet: it begins as the others are on average.
            float sum = 0;
            int32_t n = 0;
            for (int32_t o = 0; o < n_pages_; o++) {
                sum += o != p && has_data(o) ? infos_[o].importance : 0.0f;
                n += o != p && has_data(o);
            }
            infos_[p].importance = n > 0 ? sum / n : 0.0f;
            continue;
        }
        const bool there = !is_writable(p) ? promote(p) : states_[p].spilled ? recall(p) : !is_shared(p) || own(p);
        if (!there || !deepen(p, write_end_)) {
            return false;
        }
    }
    return true;
}

bool page_store::share_from(const page_store & other) {
    newest_pos_ = other.newest_pos_;
    pinned_shift_ = other.pinned_shift_;
    infos_ = other.infos_;
    for (int32_t p = 0; p < n_pages_; p++) {
        if (other.states_[p].spilled) {
            const page_format f = other.format(p);
            std::vector<uint8_t> slab(slab_bytes(f));
            const int32_t depth = other.depth(p);
            for (int32_t l = 0; l < depth; l++) {
                for (int32_t h = 0; h < n_heads_kv_; h++) {
                    if (!other.read(l, p, h, slab.data() + h * block_bytes(shape_, f))) {
                        return false;
                    }
                }
                if (!may_spill() || !spill_->write(f, l, p, slab.data(), block_bytes(shape_, f))) {
                    return false;
                }
            }
            for (int32_t l = 0; l < depth; l++) {
                view(l, p) = { nullptr, f };
            }
            states_[p].spilled = true;
            states_[p].depth = depth;
            continue;
        }
        states_[p] = other.states_[p];
        for (int f = 1; f < page_formats; f++) {
            if (const holding & h = states_[p].held[f]; h.pool) {
                h.pool->share((page_format) f, h.slot);
            }
        }
        for (int32_t l = 0; l < n_layers_; l++) {
            view(l, p) = other.layer(l)[p];
            if (view(l, p).format != page_format::none) {
                add_bytes((int64_t) slab_bytes(view(l, p).format));
            }
        }
    }
    return true;
}

}  // namespace llmm
