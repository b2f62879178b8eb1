// Memory for the blocks of pages, in slots. A slot is room for one page of all layers in one format; caches of several
// sessions may hold the same slot, which then is read only, and the last one that drops it gives its memory back.
//
// Blocks of a format lie [groups of slots][layers][heads][slots of the group]: what one head reads in order lies in long
// runs, and yet the memory of the newest group is all that is taken ahead of its use.
//
// Threads: any, while a slot has one holder or nobody writes to it.
#pragma once

#include "address_space.h"
#include "attention/attend.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace llmm {

class page_pool {
public:
    // Reserves addresses for twice n_pages slots of each format: slots that only other sessions still hold are in the way
    // of new ones. Throws std::bad_alloc.
    page_pool(const head_shape & shape, int32_t n_heads_kv, int32_t n_layers, int32_t n_pages);

    // A slot with one holder and no memory yet: `wish` if it is free. -1: none is free.
    int32_t take_slot(page_format f, int32_t wish);
    // Memory for one layer of a slot. False: there is none.
    bool take_layer(page_format f, int32_t slot, int32_t layer);
    // Gives back the memory of one layer of a slot that has one holder.
    void give_layer(page_format f, int32_t slot, int32_t layer);
    void share(page_format f, int32_t slot);           // one holder more
    void drop(page_format f, int32_t slot);            // one holder fewer
    bool is_shared(page_format f, int32_t slot) const; // more than one holder

    uint8_t * block(page_format f, int32_t slot, int32_t layer, int32_t head) const {
        return spaces_[(int) f]->data() + block_at(f, slot, layer, head);
    }
    // Lets the system use large pages; see address_space.
    void use_huge_pages();
    // No large pages any more; what they hold beyond the slots in use goes back to the system.
    void leave_huge_pages();

    size_t slab_bytes(page_format f) const { return n_heads_kv_ * block_bytes(shape_, f); }   // one layer of a page
    size_t group_bytes(page_format f) const { return group_slots(f) * n_layers_ * slab_bytes(f); }
    head_strides strides() const;
    // Memory of the tables here. Where runs of blocks begin and end, they share a page of the system with nothing.
    uint64_t table_bytes() const;

private:
    // What one head reads in order is at least 64 KB.
    int32_t group_slots(page_format f) const { return (f == page_format::f16 ? 256 : 1024) / shape_.page_tokens; }
    size_t block_at(page_format f, int32_t slot, int32_t layer, int32_t head) const {
        const int32_t n = group_slots(f);
        return ((((size_t) (slot / n) * n_layers_ + layer) * n_heads_kv_ + head) * n + slot % n) * block_bytes(shape_, f);
    }
    void give_blocks(page_format f, int32_t slot, int32_t layer);

    head_shape shape_;
    int32_t n_heads_kv_, n_layers_, n_slots_;
    std::unique_ptr<address_space> spaces_[page_formats];
    mutable std::mutex mutex_;                         // of the holders
    std::vector<int32_t> holders_[page_formats];       // by slot
};

}  // namespace llmm
