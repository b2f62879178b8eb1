// The file of a saved session. docs/session-format.md is its specification.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llmm {

struct session_state {
    std::string fingerprint;             // of the model, 16 hex digits
    uint64_t adapters = 0;               // digest of the adapters in force, 0 without
    std::vector<int32_t> tokens;         // the history
    int32_t n_kv = 0;                    // tokens whose keys and values are in kv
    std::vector<uint8_t> kv;             // llama.cpp's state of sequence 0
    std::vector<float> logits;           // of the last token, or empty
};

// Throws IO. The path holds the old file or the new one, never a part.
void write_state_file(const std::string & path, const session_state & state);

// Throws STATE_INVALID, IO.
session_state read_state_file(const std::string & path);

}  // namespace llmm
