#include "page_pool.h"

namespace llmm {

page_pool::page_pool(const head_shape & shape, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages)
    : shape_(shape), n_heads_kv_(n_heads_kv), n_layers_(n_layers), n_slots_(2 * n_pages) {
    for (int f = 1; f < page_formats; f++) {
        const auto format = (page_format) f;
        spaces_[f] = std::make_unique<address_space>(round_up(n_slots_, group_slots(format)) / group_slots(format) * group_bytes(format));
        holders_[f].resize(n_slots_);
    }
}

int32_t page_pool::take_slot(page_format f, int32_t wish) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto & holders = holders_[(int) f];
    int32_t slot = wish;
    if (holders[wish] != 0) {
        for (slot = 0; slot < n_slots_ && holders[slot] != 0; slot++) {}
    }
    if (slot == n_slots_) {
        return -1;
    }
    holders[slot] = 1;
    return slot;
}

bool page_pool::take_layer(page_format f, int32_t slot, int32_t layer) {
    for (int32_t h = 0; h < n_heads_kv_; h++) {
        const size_t at = block_at(f, slot, layer, h);
        if (!spaces_[(int) f]->take(at, at + block_bytes(shape_, f))) {
            return false;
        }
    }
    return true;
}

void page_pool::give_layer(page_format f, int32_t slot, int32_t layer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    give_blocks(f, slot, layer);
}

// Blocks need not end where the system's pages do: what a free neighbour shares with this one goes too.
void page_pool::give_blocks(page_format f, int32_t slot, int32_t layer) {
    const size_t n = block_bytes(shape_, f);
    const auto is_free = [&](int32_t s) {
        return s >= 0 && s < n_slots_ && s / group_slots(f) == slot / group_slots(f) && holders_[(int) f][s] == 0;
    };
    const size_t before = is_free(slot - 1) ? n : 0, after = is_free(slot + 1) ? n : 0;
    for (int32_t h = 0; h < n_heads_kv_; h++) {
        const size_t at = block_at(f, slot, layer, h);
        spaces_[(int) f]->give(at - before, at + n + after);
    }
}

void page_pool::use_huge_pages() {
    for (int f = 1; f < page_formats; f++) {
        spaces_[f]->use_huge_pages(true);
    }
}

void page_pool::leave_huge_pages() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (int f = 1; f < page_formats; f++) {
        spaces_[f]->use_huge_pages(false);
        for (int32_t s = 0; s < n_slots_; s++) {
            for (int32_t l = 0; l < n_layers_ && holders_[f][s] == 0; l++) {
                give_blocks((page_format) f, s, l);
            }
        }
    }
}

void page_pool::share(page_format f, int32_t slot) {
    const std::lock_guard<std::mutex> lock(mutex_);
    holders_[(int) f][slot]++;
}

void page_pool::drop(page_format f, int32_t slot) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--holders_[(int) f][slot] == 0) {
        for (int32_t l = 0; l < n_layers_; l++) {
            give_blocks(f, slot, l);
        }
    }
}

bool page_pool::is_shared(page_format f, int32_t slot) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return holders_[(int) f][slot] > 1;
}

head_strides page_pool::strides() const {
    head_strides strides{};
    for (int f = 1; f < page_formats; f++) {
        strides[(size_t) f] = group_slots((page_format) f) * block_bytes(shape_, (page_format) f);
    }
    return strides;
}

uint64_t page_pool::table_bytes() const {
    uint64_t bytes = (uint64_t) n_layers_ * n_heads_kv_ * 2 * address_space::granule();
    for (const auto & holders : holders_) {
        bytes += holders.capacity() * sizeof(int32_t);
    }
    return bytes;
}

}  // namespace llmm
