#include "text_stream.h"

#include <algorithm>
#include <utility>

namespace llmm {

namespace {

// Length of the longest suffix of `text` that is a proper prefix of `stop`.
size_t partial_match(const std::string & text, const std::string & stop) {
    for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; n--) {
        if (text.compare(text.size() - n, n, stop, 0, n) == 0) {
            return n;
        }
    }
    return 0;
}

}  // namespace

text_stream::text_stream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

bool text_stream::push(const std::string & piece, std::string & out) {
    if (stopped_) {
        return true;
    }
    assembler_.push(piece.data(), piece.size(), held_);

    size_t first = std::string::npos;
    for (const auto & stop : stops_) {
        first = std::min(first, held_.find(stop));
    }
    if (first != std::string::npos) {
        out.append(held_, 0, first);
        held_.clear();
        stopped_ = true;
        return true;
    }

    size_t keep = 0;
    for (const auto & stop : stops_) {
        keep = std::max(keep, partial_match(held_, stop));
    }
    out.append(held_, 0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return false;
}

void text_stream::finish(std::string & out) {
    if (!stopped_) {
        assembler_.finish(held_);
        out += held_;
    }
    held_.clear();
}

}  // namespace llmm
