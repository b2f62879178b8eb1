// Hidden states of pages that later layers did not see: what these layers need to see them after all, when a question
// asks about them. Halves, each row under a power of two of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace llmm {

class prompt_shadow {
public:
    // What a page keeps, [page_tokens] rows by slot.
    struct rows {
        float score;                         // pages of least score go first
        std::vector<int32_t> tokens;         // [page_tokens]
        std::vector<float> scale;            // [page_tokens]
        std::vector<uint16_t> halves;        // [page_tokens][width]
    };

    prompt_shadow(int32_t width, int32_t page_tokens) : width_((size_t) width), page_tokens_((size_t) page_tokens) {}

    size_t width() const { return width_; }
    bool empty() const { return pages_.empty(); }
    bool has(int32_t page) const { return pages_.count(page) > 0; }
    int64_t n_tokens() const { return (int64_t) (pages_.size() * page_tokens_); }
    uint64_t bytes() const { return pages_.size() * page_bytes(); }
    uint64_t page_bytes() const { return page_tokens_ * (width_ * sizeof(uint16_t) + sizeof(float) + sizeof(int32_t)); }

    // By slot, [page_tokens] each; hidden states are of the width.
    void put(int32_t page, float score, std::vector<int32_t> tokens, const std::vector<const float *> & hidden);
    void get(int32_t page, int32_t slot, float * to) const;
    void forget(int32_t page) { pages_.erase(page); }
    void clear() { pages_.clear(); }
    int32_t least() const;                   // page; there is one

    // For saved sessions.
    rows empty_rows() const { return { 0, std::vector<int32_t>(page_tokens_), std::vector<float>(page_tokens_), std::vector<uint16_t>(page_tokens_ * width_) }; }
    const rows & of(int32_t page) const { return *pages_.at(page); }
    void restore(int32_t page, rows r) { pages_[page] = std::make_shared<const rows>(std::move(r)); }

private:
    size_t width_, page_tokens_;
    std::map<int32_t, std::shared_ptr<const rows>> pages_;       // shared with forks
};

}  // namespace llmm
