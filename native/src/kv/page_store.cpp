#include "page_store.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

namespace llmm {

namespace {

bool contains(const std::vector<int32_t> & sorted, int32_t page) {
    return std::binary_search(sorted.begin(), sorted.end(), page);
}

}  // namespace

page_store::page_store(const kv_settings & settings, int32_t dim, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages)
    : settings_(settings), shape_{ dim, settings.page_tokens }, n_heads_kv_(n_heads_kv), n_layers_(n_layers), n_pages_(n_pages),
      kernels_(kernels()), views_((size_t) n_layers * n_pages, page_view{ nullptr, page_format::none }), info_(n_pages) {
    if (!fits(page_bytes(page_format::f16))) {
        throw std::bad_alloc();
    }
}

page_store::~page_store() {
    for (int32_t p = 0; p < n_pages_; p++) {
        release(p);
    }
}

uint64_t page_store::table_bytes() const {
    return views_.capacity() * sizeof(page_view) + info_.capacity() * sizeof(page_info);
}

bool page_store::fits(uint64_t more) const {
    return settings_.budget_bytes == 0 || table_bytes() + slab_total_ + more <= settings_.budget_bytes;
}

uint8_t * page_store::take(page_format f) {
    const size_t n = slab_bytes(f);
    auto * slab = static_cast<uint8_t *>(fits(n) ? std::aligned_alloc(64, n) : nullptr);
    if (slab) {
        slab_total_ += n;
        counters_.bytes_peak = std::max(counters_.bytes_peak, table_bytes() + slab_total_);
    }
    return slab;
}

void page_store::give(uint8_t * slab, page_format f) {
    std::free(slab);
    slab_total_ -= slab_bytes(f);
}

kv_counters page_store::counters() const {
    kv_counters c = counters_;
    for (int32_t p = 0; p < n_pages_; p++) {
        const page_format f = format(p);
        c.pages[(int) f] += f != page_format::none || info_[p].evicted;
        c.bytes[(int) f] += page_bytes(f);
    }
    c.bytes_total = table_bytes() + slab_total_;
    return c;
}

void page_store::describe(int32_t page, int32_t n_used, int32_t first_pos, int32_t last_pos) {
    page_info & info = info_[page];
    const bool shrinks = last_pos < info.last_pos;
    info.n_used = n_used;
    info.first_pos = first_pos;
    info.last_pos = last_pos;
    newest_pos_ = std::max(newest_pos_, last_pos);
    if (shrinks) {
        newest_pos_ = -1;
        for (const page_info & i : info_) {
            newest_pos_ = std::max(newest_pos_, i.last_pos);
        }
    }
    if (n_used == 0) {
        release(page);
        info.evicted = false;
    }
}

uint8_t * page_store::block(int32_t layer, int32_t page, int32_t head) {
    return const_cast<uint8_t *>(view(layer, page).slab) + head * block_bytes(shape_, page_format::f16);
}

void page_store::release(int32_t page) {
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        if (v.slab) {
            give(const_cast<uint8_t *>(v.slab), v.format);
        }
        v = { nullptr, page_format::none };
    }
}

bool page_store::demote(int32_t page, page_format to) {
    const auto began = std::chrono::steady_clock::now();
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        const page_format from = v.format;
        if (from == to) {
            continue;                      // an attempt that ran out of memory came this far
        }
        // In place of the old slab: the new one is smaller, so a budget that held the old one holds it afterwards.
        uint8_t * old = const_cast<uint8_t *>(v.slab);
        slab_total_ -= slab_bytes(from);
        uint8_t * slab = take(to);
        slab_total_ += slab_bytes(from);
        if (!slab) {
            return false;
        }
        for (int32_t h = 0; h < n_heads_kv_; h++) {
            kernels_.quantize(shape_, to, old + h * block_bytes(shape_, from), shape_.page_tokens, slab + h * block_bytes(shape_, to));
        }
        give(old, from);
        v = { slab, to };
    }
    counters_.demotions++;
    counters_.demotion_us += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count();
    return true;
}

bool page_store::promote(int32_t page) {
    bool changed = false;
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        if (v.format == page_format::f16) {
            continue;
        }
        uint8_t * slab = take(page_format::f16);
        if (!slab) {
            return false;
        }
        for (int32_t h = 0; h < n_heads_kv_; h++) {
            kernels_.dequantize(shape_, v.format, v.slab + h * block_bytes(shape_, v.format), slab + h * block_bytes(shape_, page_format::f16));
        }
        give(const_cast<uint8_t *>(v.slab), v.format);
        v = { slab, page_format::f16 };
        changed = true;
    }
    counters_.promotions += changed;
    return true;
}

void page_store::evict(int32_t page) {
    release(page);
    info_[page].evicted = true;
    counters_.evictions++;
}

bool page_store::concede(const std::vector<int32_t> & keep) {
    int32_t to_demote = -1, to_evict = -1;
    for (int32_t p = 0; p < n_pages_; p++) {
        const page_format f = format(p);
        if (f == page_format::none || contains(keep, p)) {
            continue;
        }
        if (settings_.quantize && f == page_format::f16 && (to_demote < 0 || info_[p].last_pos < info_[to_demote].last_pos)) {
            to_demote = p;
        }
        if (may_evict(info_[p]) && (to_evict < 0 || info_[p].last_pos < info_[to_evict].last_pos)) {
            to_evict = p;
        }
    }
    if (to_demote >= 0 && demote(to_demote, page_format::q4)) {
        return true;
    }
    if (to_evict >= 0) {
        evict(to_evict);
        return true;
    }
    return false;
}

bool page_store::can_reserve(const std::vector<int32_t> & pages) const {
    if (settings_.budget_bytes == 0) {
        return true;
    }
    uint64_t bytes = table_bytes() + pages.size() * page_bytes(page_format::f16) + slab_bytes(page_format::f16);
    for (int32_t p = 0; p < n_pages_; p++) {
        const page_format f = format(p);
        if (f != page_format::none && !contains(pages, p) && !may_evict(info_[p])) {
            bytes += page_bytes(f == page_format::f16 && settings_.quantize ? page_format::q4 : f);
        }
    }
    return bytes <= settings_.budget_bytes;
}

bool page_store::restore(int32_t page, page_format f) {
    release(page);
    for (int32_t l = 0; l < n_layers_; l++) {
        uint8_t * slab = take(f);
        if (!slab) {
            release(page);
            return false;
        }
        view(l, page) = { slab, f };
    }
    return true;
}

bool page_store::reserve(const std::vector<int32_t> & pages) {
    uint64_t needed = 0;
    for (const int32_t p : pages) {
        const page_format f = format(p);
        needed += f == page_format::f16 ? 0 : page_bytes(page_format::f16) - page_bytes(f);
    }
    while (!fits(needed + slab_bytes(page_format::f16))) {     // a promotion holds both slabs of a layer for a moment
        if (!concede(pages)) {
            break;
        }
    }
    for (const int32_t p : pages) {
        if (format(p) == page_format::none) {
            if (!restore(p, page_format::f16)) {
                return false;
            }
            for (int32_t l = 0; l < n_layers_; l++) {
                std::memset(block(l, p, 0), 0, slab_bytes(page_format::f16));
            }
            info_[p].evicted = false;
        } else if (!promote(p)) {
            return false;
        }
    }
    return true;
}

void page_store::demote_aged(int32_t next_pos, const std::vector<int32_t> & keep) {
    if (!settings_.quantize) {
        return;
    }
    for (int32_t p = 0; p < n_pages_; p++) {
        const page_info & info = info_[p];
        if (format(p) == page_format::f16 && !is_pinned(info) && info.n_used == shape_.page_tokens &&
            info.last_pos < next_pos - settings_.recent_tokens && !contains(keep, p)) {
            demote(p, page_format::q4);
        }
    }
}

}  // namespace llmm
