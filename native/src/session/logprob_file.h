// Log-probabilities of every token of the vocabulary at each scored position of a perplexity run, to compare another
// run with. docs/logprobs-format.md is the specification.
#pragma once

#include "output_file.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace llmm {

struct logprob_header {
    int32_t n_vocab = 0;
    int32_t n_ctx = 0;
    int32_t n_chunks = 0;
    int32_t first = 0;                   // token of each window whose successor is the first that is scored
    uint32_t tokens_crc = 0;             // of the tokens that were scored

    // Positions with log-probabilities in the file.
    int64_t rows() const { return (int64_t) n_chunks * (n_ctx - 1 - first); }
};

// Log-probabilities lie between 0 and this; less likely tokens are stored as this likely. They carry e^-24 of the
// probability at most, so a divergence is off by less than 1e-6.
constexpr float logprob_floor = -24.0f;

// The value that comes back when this one is stored. Comparing stored values with stored values makes equal runs
// diverge by exactly zero.
float stored_logprob(float logprob);

class logprob_writer {
public:
    logprob_writer(const std::string & path, const logprob_header & header);
    // logprobs [n_vocab], natural logarithm.
    void add(const std::vector<float> & logprobs);
    void commit();

private:
    output_file out_;
    std::vector<uint16_t> row_;
    uint32_t crc_ = 0;
};

class logprob_reader {
public:
    // Throws IO, STATE_INVALID, or STATE_MISMATCH if the file does not belong to `expected`.
    logprob_reader(const std::string & path, const logprob_header & expected);
    void next(std::vector<float> & logprobs);
    // Throws STATE_INVALID if the rows that were read do not match the checksum at the end.
    void finish();

private:
    std::string path_;
    std::ifstream in_;
    std::vector<uint16_t> row_;
    uint32_t crc_ = 0;
};

}  // namespace llmm
