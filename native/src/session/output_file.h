// A file that appears whole or not at all: written beside its place, synced, renamed.
#pragma once

#include <cstddef>
#include <string>

namespace llmm {

class output_file {
public:
    // Throws IO with the system's reason, as do all members.
    explicit output_file(const std::string & path);
    ~output_file();                       // without commit: nothing has happened
    output_file(const output_file &) = delete;
    output_file & operator=(const output_file &) = delete;

    void write(const void * bytes, size_t n);
    void commit();

private:
    std::string path_;
    std::string temporary_;
    int fd_ = -1;
};

}  // namespace llmm
