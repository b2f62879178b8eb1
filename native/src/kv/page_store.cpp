#include "page_store.h"

#include <algorithm>
#include <chrono>
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
      huge_pages_(settings.budget_bytes == 0 || settings.budget_bytes >= 16 * group_bytes(page_format::f16)),
      kernels_(kernels()), views_((size_t) n_layers * n_pages, page_view{ nullptr, page_format::none }), info_(n_pages) {
    if (!fits(page_bytes(page_format::f16))) {
        throw std::bad_alloc();
    }
    for (int f = 1; f < page_formats; f++) {
        spaces_[f] = std::make_unique<address_space>(round_up(n_pages, group_pages((page_format) f)) / group_pages((page_format) f) * group_bytes((page_format) f));
        if (huge_pages_) {
            spaces_[f]->prefer_huge_pages();
        }
    }
}

page_store::~page_store() = default;

// Where runs of blocks begin and end, they share a page of the system with nothing.
uint64_t page_store::table_bytes() const {
    const uint64_t edges = (uint64_t) n_layers_ * n_heads_kv_ * 2 * address_space::granule();
    return views_.capacity() * sizeof(page_view) + info_.capacity() * sizeof(page_info) + edges;
}

bool page_store::fits(uint64_t more) const {
    return settings_.budget_bytes == 0 || table_bytes() + slab_total_ + more + ahead_bytes() <= settings_.budget_bytes;
}

// The system gives large pages whole: of each format, the rest of the newest group may be resident before its use.
uint64_t page_store::ahead_bytes() const {
    return huge_pages_ ? group_bytes(page_format::f16) + group_bytes(page_format::q4) : 0;
}

const uint8_t * page_store::take(page_format f, int32_t layer, int32_t page) {
    if (!fits(slab_bytes(f))) {
        return nullptr;
    }
    address_space & space = *spaces_[(int) f];
    for (int32_t h = 0; h < n_heads_kv_; h++) {
        const size_t at = block_at(f, layer, h, page);
        if (!space.take(at, at + block_bytes(shape_, f))) {
            return nullptr;
        }
    }
    slab_total_ += slab_bytes(f);
    counters_.bytes_peak = std::max(counters_.bytes_peak, table_bytes() + slab_total_);
    return space.data() + block_at(f, layer, 0, page);
}

// Blocks need not end where the system's pages do: what a free neighbour shares with this one goes too.
void page_store::give(page_format f, int32_t layer, int32_t page) {
    const size_t n = block_bytes(shape_, f);
    const int32_t group = page / group_pages(f);
    const auto is_free = [&](int32_t p) {
        return p >= 0 && p < n_pages_ && p / group_pages(f) == group && view(layer, p).format != f;
    };
    const size_t before = is_free(page - 1) ? n : 0, after = is_free(page + 1) ? n : 0;
    for (int32_t h = 0; h < n_heads_kv_; h++) {
        const size_t at = block_at(f, layer, h, page);
        spaces_[(int) f]->give(at - before, at + n + after);
    }
    slab_total_ -= slab_bytes(f);
}

head_strides page_store::strides() const {
    head_strides strides{};
    for (int f = 1; f < page_formats; f++) {
        strides[(size_t) f] = group_pages((page_format) f) * block_bytes(shape_, (page_format) f);
    }
    return strides;
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

uint8_t * page_store::block(int32_t layer, int32_t page, int32_t head) const {
    const page_format f = this->layer(layer)[page].format;
    return spaces_[(int) f]->data() + block_at(f, layer, head, page);
}

void page_store::release(int32_t page) {
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        const page_format f = v.format;
        v = { nullptr, page_format::none };
        if (f != page_format::none) {
            give(f, l, page);
        }
    }
}

bool page_store::convert(int32_t page, page_format to, void (*one)(const page_store &, page_format from, page_format to, const uint8_t * in, uint8_t * out)) {
    for (int32_t l = 0; l < n_layers_; l++) {
        page_view & v = view(l, page);
        const page_format from = v.format;
        if (from == to) {
            continue;                      // an attempt that ran out of memory came this far
        }
        const uint8_t * first = take(to, l, page);
        if (!first) {
            return false;
        }
        for (int32_t h = 0; h < n_heads_kv_; h++) {
            one(*this, from, to, block(l, page, h), spaces_[(int) to]->data() + block_at(to, l, h, page));
        }
        v = { first, to };
        give(from, l, page);
    }
    return true;
}

bool page_store::demote(int32_t page, page_format to) {
    const auto began = std::chrono::steady_clock::now();
    const bool done = convert(page, to, [](const page_store & s, page_format, page_format f, const uint8_t * in, uint8_t * out) {
        s.kernels_.quantize(s.shape_, f, in, s.shape_.page_tokens, out);
    });
    counters_.demotions += done;
    counters_.demotion_us += std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count();
    return done;
}

bool page_store::promote(int32_t page) {
    if (format(page) == page_format::f16 && layer(n_layers_ - 1)[page].format == page_format::f16) {
        return true;
    }
    const bool done = convert(page, page_format::f16, [](const page_store & s, page_format from, page_format, const uint8_t * in, uint8_t * out) {
        s.kernels_.dequantize(s.shape_, from, in, out);
    });
    counters_.promotions += done;
    return done;
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
    uint64_t bytes = table_bytes() + ahead_bytes() + pages.size() * page_bytes(page_format::f16) + working_bytes();
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
        const uint8_t * first = take(f, l, page);
        if (!first) {
            release(page);
            return false;
        }
        view(l, page) = { first, f };
    }
    return true;
}

bool page_store::reserve(const std::vector<int32_t> & pages) {
    uint64_t needed = 0;
    for (const int32_t p : pages) {
        const page_format f = format(p);
        needed += f == page_format::f16 ? 0 : page_bytes(page_format::f16) - page_bytes(f);
    }
    while (!fits(needed + working_bytes())) {
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
                for (int32_t h = 0; h < n_heads_kv_; h++) {
                    std::memset(block(l, p, h), 0, block_bytes(shape_, page_format::f16));
                }
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
