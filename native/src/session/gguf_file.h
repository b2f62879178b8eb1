// The header of a GGUF file, read without trusting it. llama.cpp's loader asserts some of what it reads; a file that
// passes here does not reach those asserts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace llmm {

struct gguf_tensor {
    std::string name;
    int32_t type = 0;                 // ggml_type
    std::vector<int64_t> shape;       // innermost dimension first
    uint64_t offset = 0;              // from the start of the data
    uint64_t size_bytes = 0;
};

struct gguf_file {
    uint32_t version = 0;
    uint64_t size_bytes = 0;
    uint64_t data_offset = 0;
    std::map<std::string, int32_t> types;   // gguf_type of each metadata key
    nlohmann::ordered_json metadata;  // arrays of more than `array_shown` elements as {"type","length"}
    std::vector<gguf_tensor> tensors;

    static constexpr uint64_t array_shown = 16;

    int64_t parameters() const;

    // Reads and checks the header: magic, version, counts, lengths, types, shapes, and that every tensor lies within
    // the file (of a split model: the tensors of this part).
    // Throws MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED or IO.
    static gguf_file read(const std::string & path);

    // Checks that the numbers a model is built from make sense. Throws MODEL_INVALID.
    void check_model() const;

    // Checks what llama.cpp's adapter loader takes for granted, and that an adapter that names its model belongs to the
    // one of this fingerprint. Throws ADAPTER_INVALID.
    void check_adapter(const std::string & model_fingerprint) const;

    // The only model that an adapter fits, by its fingerprint; "" if it names none.
    std::string base_fingerprint() const;

    // 16 hex digits that tell this model from others: a hash of the header and of samples of the data.
    std::string fingerprint(const std::string & path) const;

    nlohmann::ordered_json to_json() const;
};

}  // namespace llmm
