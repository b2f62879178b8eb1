#include "output_file.h"

#include "failure.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace llmm {

namespace {

[[noreturn]] void fail_io(const char * what, const std::string & path) {
    fail(LLMM_ERR_IO, "%s %s: %s", what, path.c_str(), std::strerror(errno));
}

// Makes a rename in this folder last through a power cut. Some file systems cannot; then the rename has to do.
void sync_folder_of(const std::string & path) {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const int fd = open(folder.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void) fsync(fd);
        close(fd);
    }
}

}  // namespace

output_file::output_file(const std::string & path) : path_(path) {
    static std::atomic<unsigned> counter{ 0 };
    temporary_ = path + ".tmp-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
    // Readable by its owner alone: a session holds what was said.
    fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd_ < 0) {
        fail_io("cannot write", path_);
    }
}

output_file::~output_file() {
    if (fd_ >= 0) {
        close(fd_);
        unlink(temporary_.c_str());
    }
}

void output_file::write(const void * bytes, size_t n) {
    const auto * p = static_cast<const char *>(bytes);
    while (n > 0) {
        const ssize_t done = ::write(fd_, p, std::min(n, (size_t) 1 << 30));
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail_io("cannot write", path_);
        }
        p += done;
        n -= (size_t) done;
    }
}

void output_file::commit() {
    if (fsync(fd_) != 0) {
        fail_io("cannot write", path_);
    }
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
        fail_io("cannot write", path_);
    }
    close(fd_);
    fd_ = -1;
    sync_folder_of(path_);
}

}  // namespace llmm
