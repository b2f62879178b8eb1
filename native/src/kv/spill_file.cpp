#include "spill_file.h"

#include "crc32c.h"
#include "fault.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#if !defined(_WIN32)
#  include <dirent.h>
#  include <fcntl.h>
#  include <sys/file.h>
#  include <sys/stat.h>
#  include <unistd.h>

#  include <atomic>
#  include <filesystem>
#  include <memory>
#  include <string_view>
#endif

namespace llmm {

namespace {

// Header and runs begin at multiples of this, the largest unit in which file systems in use give space back.
constexpr size_t unit = 16384;

// Read and checked at a time: the checksum finds in the cache of the core what the system has just copied there.
constexpr size_t piece_bytes = 256 << 10;

#if defined(_WIN32)

void create(const std::string &, int &, std::string &) {
    throw std::system_error(std::make_error_code(std::errc::not_supported), "pages cannot go to disk on Windows");
}
void drop(int, const std::string &) {}
bool put(int, const uint8_t *, size_t, uint64_t) { return false; }
size_t get(int, uint8_t *, size_t, uint64_t) { return 0; }
void punch(int, uint64_t, uint64_t) {}
void will_need(int, uint64_t, uint64_t) {}
uint64_t allocated(int) { return 0; }

#else

static_assert(sizeof(off_t) == 8, "the file is longer than 2 GB");

constexpr std::string_view prefix = "llmm-spill-", suffix = ".tmp";

bool is_ours(std::string_view name) {
    return name.size() > prefix.size() + suffix.size() && name.substr(0, prefix.size()) == prefix &&
           name.substr(name.size() - suffix.size()) == suffix;
}

// Removes the files of processes that are gone: those of a live one are locked. Only plain files, and no link is
// followed: others may be able to write into this directory.
void sweep(const std::string & directory) {
    struct closer { void operator()(DIR * d) const { closedir(d); } };
    const std::unique_ptr<DIR, closer> d(opendir(directory.c_str()));
    if (!d) {
        return;                            // may be written, not listed
    }
    while (const dirent * e = readdir(d.get())) {
        if (!is_ours(e->d_name)) {
            continue;
        }
        const int fd = openat(dirfd(d.get()), e->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        struct stat s;
        if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            (void) unlinkat(dirfd(d.get()), e->d_name, 0);
        }
        close(fd);
    }
}

void create(const std::string & directory, int & fd, std::string & name) {
    const std::string what = "cannot make a spill file in " + directory;
    std::error_code e;
    std::filesystem::create_directories(directory, e);
    if (e) {
        throw std::system_error(e, what);
    }
    sweep(directory);
    static std::atomic<unsigned> counter{ 0 };
    std::string path;
    do {
        path = directory + "/" + std::string(prefix) + std::to_string(getpid()) + "-" + std::to_string(counter++) + std::string(suffix);
        // For its owner alone, and a link in its place is an error: the pages hold what was said.
        fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (fd < 0 && (errno == EEXIST || errno == EINTR));
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    // Whoever sweeps now may hold the lock for a moment, and take the name away: just as well.
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        name = path;
    }
}

void drop(int fd, const std::string & name) {
    if (!name.empty()) {
        unlink(name.c_str());
    }
    if (fd >= 0) {
        close(fd);
    }
}

bool put(int fd, const uint8_t * from, size_t n, uint64_t at) {
    if (fault::due(fault::point::write)) {
        errno = EIO;
        return false;
    }
    while (n > 0) {
        const ssize_t done = pwrite(fd, from, n, (off_t) at);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        from += done;
        at += (uint64_t) done;
        n -= (size_t) done;
    }
    return true;
}

// The number of bytes that could be read.
size_t get(int fd, uint8_t * to, size_t n, uint64_t at) {
    if (fault::due(fault::point::read)) {
        return 0;
    }
    size_t got = 0;
    while (got < n) {
        const ssize_t done = pread(fd, to + got, n - got, (off_t) (at + got));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            break;
        }
        got += (size_t) done;
    }
    return got;
}

// Where the file system cannot, the space waits for the next page in this place.
void punch(int fd, uint64_t at, uint64_t n) {
#  if defined(__APPLE__)
    fpunchhole_t hole{};
    hole.fp_offset = (off_t) at;
    hole.fp_length = (off_t) n;
    (void) fcntl(fd, F_PUNCHHOLE, &hole);
#  else
    (void) fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) at, (off_t) n);
#  endif
}

void will_need(int fd, uint64_t at, uint64_t n) {
#  if defined(__APPLE__)
    radvisory range{};
    range.ra_offset = (off_t) at;
    range.ra_count = (int) std::min<uint64_t>(n, INT32_MAX);
    (void) fcntl(fd, F_RDADVISE, &range);
#  else
    (void) posix_fadvise(fd, (off_t) at, (off_t) n, POSIX_FADV_WILLNEED);
#  endif
}

uint64_t allocated(int fd) {
    struct stat s;
    return fstat(fd, &s) == 0 ? (uint64_t) s.st_blocks * 512 : 0;
}

#endif

struct header {
    char magic[8];
    uint32_t version;
    uint32_t dim;
    uint32_t page_tokens;
    uint32_t n_layers;
    uint32_t n_heads;
    uint32_t n_pages;
    struct {
        uint64_t at;
        uint64_t run_bytes;
        uint64_t block_bytes;
    } formats[page_formats - 1];
    uint32_t crc;                          // of all before it
    uint32_t reserved;
};
static_assert(sizeof(header) == 112, "as docs/spill-format.md says");

}  // namespace

spill_file::handle::~handle() {
    drop(fd, name);
}

spill_file::spill_file(const std::string & directory, head_shape shape, int32_t n_layers, int32_t n_heads, int32_t n_pages)
    : directory_(directory), n_layers_(n_layers), n_heads_(n_heads), n_pages_(n_pages),
      formats_((size_t) n_layers * n_pages, page_format::none), checksums_((size_t) n_layers * n_heads * n_pages) {
    uint64_t end = unit;
    for (int f = 1; f < page_formats; f++) {
        region & r = regions_[f];
        r.at = end;
        r.block_bytes = block_bytes(shape, (page_format) f);
        r.run_bytes = round_up((size_t) n_pages * r.block_bytes, unit);
        end += (uint64_t) n_layers * n_heads * r.run_bytes;
    }
    create(directory, file_.fd, file_.name);
    write_header(shape);
}

void spill_file::write_header(head_shape shape) {
    header h{ { 'L', 'L', 'M', 'M', 'S', 'P', 'I', 'L' }, 1, (uint32_t) shape.dim, (uint32_t) shape.page_tokens,
              (uint32_t) n_layers_, (uint32_t) n_heads_, (uint32_t) n_pages_, {}, 0, 0 };
    for (int f = 1; f < page_formats; f++) {
        h.formats[f - 1] = { regions_[f].at, regions_[f].run_bytes, regions_[f].block_bytes };
    }
    h.crc = crc32c(&h, offsetof(header, crc));
    if (!put(file_.fd, reinterpret_cast<const uint8_t *>(&h), sizeof(h), 0)) {
        throw std::system_error(errno, std::generic_category(), "cannot write to a spill file in " + directory_);
    }
}

bool spill_file::write(page_format f, int32_t layer, int32_t page, const uint8_t * data, size_t stride) {
    page_format & stored = formats_[(size_t) layer * n_pages_ + page];
    const page_format before = stored;
    const size_t n = regions_[(int) f].block_bytes;
    if (before == f) {
        stored = page_format::none;        // overwritten in place: nothing until it is whole
    }
    for (int32_t h = 0; h < n_heads_; h++) {
        if (!put(file_.fd, data + h * stride, n, run_at(f, layer, h) + page * n)) {
            error_ = "cannot write to the spill file in " + directory_ + ": " + std::generic_category().message(errno);
            free_space(f, layer, page, page + 1);
            return false;
        }
    }
    for (int32_t h = 0; h < n_heads_; h++) {
        checksums_[checksum_at(layer, h, page)] = crc32c(data + h * stride, n);
    }
    stored = f;
    if (before != page_format::none && before != f) {
        free_space(before, layer, page, page + 1);
    }
    return true;
}

int32_t spill_file::read(page_format f, int32_t layer, int32_t head, const int32_t * pages, int32_t n, uint8_t * to) const {
    const size_t block = regions_[(int) f].block_bytes;
    const int32_t piece = (int32_t) std::max<size_t>(1, piece_bytes / block);
    for (int32_t i = 0; i < n;) {
        int32_t run = 0;
        while (i + run < n && run < piece && pages[i + run] == pages[i] + run && format(layer, pages[i + run]) == f) {
            run++;
        }
        if (run == 0) {
            return pages[i];               // not stored, or in another format
        }
        const size_t got = get(file_.fd, to, run * block, run_at(f, layer, head) + pages[i] * block);
        for (int32_t k = 0; k < run; k++, to += block) {
            if ((k + 1) * block > got || crc32c(to, block) != checksums_[checksum_at(layer, head, pages[i + k])]) {
                return pages[i + k];
            }
        }
        i += run;
    }
    return -1;
}

void spill_file::prefetch(page_format f, int32_t layer, int32_t first, int32_t n) const {
    const size_t block = regions_[(int) f].block_bytes;
    for (int32_t h = 0; h < n_heads_; h++) {
        will_need(file_.fd, run_at(f, layer, h) + first * block, n * block);
    }
}

void spill_file::discard(int32_t first, int32_t n) {
    for (int32_t l = 0; l < n_layers_; l++) {
        for (int32_t p = first; p < first + n;) {
            const page_format f = format(l, p);
            const int32_t begin = p;
            for (; p < first + n && format(l, p) == f; p++) {
                formats_[(size_t) l * n_pages_ + p] = page_format::none;
            }
            if (f != page_format::none) {
                free_space(f, l, begin, p);
            }
        }
    }
}

// Blocks need not end where units of the file system do: a unit goes with the last page that it is part of.
void spill_file::free_space(page_format f, int32_t layer, int32_t begin, int32_t end) {
    const region & r = regions_[(int) f];
    const auto lies = [&](int32_t page) { return page * r.block_bytes; };
    const size_t lowest = lies(begin) / unit * unit, highest = round_up(lies(end), unit);
    while (begin > 0 && lies(begin) > lowest && format(layer, begin - 1) != f) {
        begin--;
    }
    while (end < n_pages_ && lies(end) < highest && format(layer, end) != f) {
        end++;
    }
    const size_t from = round_up(lies(begin), unit), to = end == n_pages_ ? r.run_bytes : lies(end) / unit * unit;
    for (int32_t h = 0; h < n_heads_ && from < to; h++) {
        punch(file_.fd, run_at(f, layer, h) + from, to - from);
    }
}

uint64_t spill_file::bytes() const {
    return allocated(file_.fd);
}

size_t spill_file::table_bytes() const {
    return formats_.capacity() * sizeof(page_format) + checksums_.capacity() * sizeof(uint32_t);
}

}  // namespace llmm
