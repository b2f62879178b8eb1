// A view of contiguous values. The bytes belong to someone else, who keeps them alive. (C++17 has no std::span.)
#pragma once

#include <cstddef>
#include <vector>

namespace llmm {

template <typename T>
class span {
public:
    span() = default;
    span(T * data, size_t size) : data_(data), size_(size) {}
    template <typename U>
    span(const std::vector<U> & v) : data_(v.data()), size_(v.size()) {}

    T * data() const { return data_; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T * begin() const { return data_; }
    T * end() const { return data_ + size_; }
    T & operator[](size_t i) const { return data_[i]; }
    T & back() const { return data_[size_ - 1]; }
    span subspan(size_t first, size_t n) const { return span(data_ + first, n); }
    span from(size_t first) const { return span(data_ + first, size_ - first); }

private:
    T * data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace llmm
