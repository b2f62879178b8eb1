// A range of addresses whose memory comes and goes in pieces. Neighbours in the range are neighbours in memory, so that
// what is read in order streams from memory at full speed, and pieces that are given up go back to the system.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmm {

class address_space {
public:
    // Reserves addresses, no memory. Throws std::bad_alloc.
    explicit address_space(size_t bytes);
    ~address_space();
    address_space(const address_space &) = delete;
    address_space & operator=(const address_space &) = delete;

    uint8_t * data() const { return data_; }

    // Memory of the system's pages that [begin, end) touches may be used from now on. False: there is none.
    bool take(size_t begin, size_t end);

    // Gives back the system's pages that lie wholly within [begin, end); they read as zero if they are taken again.
    void give(size_t begin, size_t end);

    // Whether the system may use large pages from now on, where it has them: fewer misses in address translation, memory
    // in larger steps.
    void use_huge_pages(bool yes);

    static size_t granule();             // bytes of one of the system's pages

private:
    uint8_t * data_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace llmm
