#include "address_space.h"

#include "fault.h"

#include <algorithm>
#include <new>

#if defined(_WIN32)
#  define WIN32_LEAN_AND_MEAN
#  define NOMINMAX
#  include <windows.h>
#else
#  include <sys/mman.h>
#  include <unistd.h>
#endif

namespace llmm {

size_t address_space::granule() {
#if defined(_WIN32)
    static const size_t n = [] {
        SYSTEM_INFO info;
        GetSystemInfo(&info);
        return (size_t) info.dwPageSize;
    }();
#else
    static const size_t n = (size_t) sysconf(_SC_PAGESIZE);
#endif
    return n;
}

address_space::address_space(size_t bytes) : bytes_((std::max<size_t>(bytes, 1) + granule() - 1) / granule() * granule()) {
#if defined(_WIN32)
    data_ = static_cast<uint8_t *>(VirtualAlloc(nullptr, bytes_, MEM_RESERVE, PAGE_READWRITE));
    if (!data_) {
        throw std::bad_alloc();
    }
#else
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#  if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE;
#  endif
    void * p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) {
        throw std::bad_alloc();
    }
    data_ = static_cast<uint8_t *>(p);
#endif
}

address_space::~address_space() {
#if defined(_WIN32)
    VirtualFree(data_, 0, MEM_RELEASE);
#else
    munmap(data_, bytes_);
#endif
}

void address_space::use_huge_pages(bool yes) {
#if defined(MADV_HUGEPAGE)
    madvise(data_, bytes_, yes ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#else
    (void) yes;
#endif
}

bool address_space::take(size_t begin, size_t end) {
    if (fault::due(fault::point::allocate)) {
        return false;
    }
#if defined(_WIN32)
    return VirtualAlloc(data_ + begin, end - begin, MEM_COMMIT, PAGE_READWRITE) != nullptr;
#else
    (void) begin;
    (void) end;
    return true;                         // the system gives memory at the first touch
#endif
}

void address_space::give(size_t begin, size_t end) {
    begin = (begin + granule() - 1) / granule() * granule();
    end = end / granule() * granule();
    if (begin < end) {
#if defined(_WIN32)
        VirtualFree(data_ + begin, end - begin, MEM_DECOMMIT);
#else
        madvise(data_ + begin, end - begin, MADV_DONTNEED);
#endif
    }
}

}  // namespace llmm
