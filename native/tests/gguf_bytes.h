// Edits the bytes of a GGUF file by name of key or tensor, to make files that are wrong in one chosen place.
#ifndef LLMM_TESTS_GGUF_BYTES_H
#define LLMM_TESTS_GGUF_BYTES_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "llm_mobile.h"

namespace llmm_test {

class gguf_bytes {
public:
    explicit gguf_bytes(std::string bytes) : bytes_(std::move(bytes)) {}

    const std::string & bytes() const { return bytes_; }

    // Header fields.
    static constexpr size_t magic_at     = 0;
    static constexpr size_t version_at   = 4;
    static constexpr size_t n_tensors_at = 8;
    static constexpr size_t n_kv_at      = 16;
    static constexpr size_t first_key_at = 24;   // its length, then its bytes

    // Offset of the value's type behind a key; the value follows four bytes later. Throws if there is no such key.
    size_t type_of_key(const std::string & key) const;
    // Offset of the number of dimensions behind a tensor's name; dimensions, type and offset follow.
    size_t tensor_info(const std::string & name) const;

    gguf_bytes & put_u32(size_t at, uint32_t value);
    gguf_bytes & put_u64(size_t at, uint64_t value);
    gguf_bytes & put_text(size_t at, const std::string & text);
    gguf_bytes & set_u32(const std::string & key, uint32_t value);   // the key's value, of a 32-bit type
    gguf_bytes & rename_key(const std::string & key, const std::string & same_length);

    uint64_t get_u64(size_t at) const;

private:
    size_t after_name(const std::string & name) const;

    std::string bytes_;
};

// One broken file and what opening it may say.
struct broken_file {
    std::string              name;
    std::string              bytes;
    std::vector<llmm_status> open;       // acceptable results of llmm_model_open
    std::vector<llmm_status> inspect;    // acceptable results of llmm_gguf_inspect
};

// Every kind of damage to a sound llama file, with the sound file itself as the base.
std::vector<broken_file> broken_files(const std::string & sound);

}  // namespace llmm_test

#endif
