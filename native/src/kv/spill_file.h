// Where pages go that do not fit the memory budget: a file of this process alone, addressed like memory, gone when the
// process is. docs/spill-format.md has the layout and the reasons.
//
// Any number of threads read; one writes and discards meanwhile, other pages than those that are read.
#pragma once

#include "attention/page_layout.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace llmm {

class spill_file {
public:
    // Makes the directory if it is missing, removes what crashed processes left in it, and makes the file. Throws
    // std::system_error with a text for people, std::bad_alloc if there is no memory for the checksums.
    spill_file(const std::string & directory, head_shape shape, int32_t n_layers, int32_t n_heads, int32_t n_pages);
    spill_file(const spill_file &) = delete;
    spill_file & operator=(const spill_file &) = delete;

    // Stores one layer's blocks of a page, that of head h from data + h * stride, in place of what the file has of the
    // page in this layer. False: disk full or I/O error, as error() says. Then a copy in another format is as it was,
    // one in the same format may be gone, and no other page has changed.
    bool write(page_format f, int32_t layer, int32_t page, const uint8_t * data, size_t stride);
    const std::string & error() const { return error_; }

    // Reads the blocks of one head of pages, ascending, of one layer into to, to + block_bytes, ... Returns -1, or the
    // first page that is not as it was written (flipped bit, short file, I/O error) or not stored in this format; the
    // blocks before it are sound.
    int32_t read(page_format f, int32_t layer, int32_t head, const int32_t * pages, int32_t n, uint8_t * to) const;

    // Has the system read pages [first, first + n) of a layer, all heads, ahead of their use.
    void prefetch(page_format f, int32_t layer, int32_t first, int32_t n) const;

    // Forgets pages [first, first + n) and gives their space back, where the file system can. Long ranges cost no more
    // calls than short ones.
    void discard(int32_t first, int32_t n);

    // The format in which a layer of a page is stored; none: it is not.
    page_format format(int32_t layer, int32_t page) const { return formats_[(size_t) layer * n_pages_ + page]; }

    uint64_t bytes() const;              // on disk, as the file system counts them
    size_t table_bytes() const;          // in memory

private:
    // The blocks of one format: a run for each layer and head, of all pages.
    struct region {
        uint64_t at = 0;
        uint64_t run_bytes = 0;
        size_t block_bytes = 0;
    };

    // The open file. Its name is gone already, but for file systems that cannot do without.
    struct handle {
        int fd = -1;
        std::string name;

        ~handle();
    };

    uint64_t run_at(page_format f, int32_t layer, int32_t head) const {
        return regions_[(int) f].at + ((uint64_t) layer * n_heads_ + head) * regions_[(int) f].run_bytes;
    }
    size_t checksum_at(int32_t layer, int32_t head, int32_t page) const {
        return ((size_t) layer * n_heads_ + head) * n_pages_ + page;
    }
    void write_header(head_shape shape);
    void free_space(page_format f, int32_t layer, int32_t begin, int32_t end);

    std::string directory_;
    int32_t n_layers_, n_heads_, n_pages_;
    region regions_[page_formats];
    std::vector<page_format> formats_;     // [layers][pages]
    std::vector<uint32_t> checksums_;      // [layers][heads][pages], of the blocks in the format that is stored
    handle file_;
    std::string error_;
};

}  // namespace llmm
