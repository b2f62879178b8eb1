#include "logprob_file.h"

#include "failure.h"
#include "kv/crc32c.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace llmm {

namespace {

struct file_header {
    char magic[8];               // "LLMMLOGP"
    uint32_t version;
    logprob_header body;
    uint32_t crc;                // of all bytes before this field
};
static_assert(sizeof(file_header) == 36, "the header is written as it lies in memory");

constexpr char file_magic[8] = { 'L', 'L', 'M', 'M', 'L', 'O', 'G', 'P' };
constexpr uint32_t file_version = 2;
constexpr float steps = 65535.0f;

uint16_t encode(float logprob) {
    return (uint16_t) std::lround(std::min(1.0f, std::max(0.0f, logprob / logprob_floor)) * steps);
}

float decode(uint16_t code) {
    return (float) code / steps * logprob_floor;
}

file_header make_header(const logprob_header & body) {
    file_header h{};
    std::memcpy(h.magic, file_magic, sizeof(h.magic));
    h.version = file_version;
    h.body = body;
    h.crc = crc32c(&h, offsetof(file_header, crc));
    return h;
}

}  // namespace

float stored_logprob(float logprob) {
    return decode(encode(logprob));
}

logprob_writer::logprob_writer(const std::string & path, const logprob_header & header)
    : out_(path), row_((size_t) header.n_vocab) {
    const file_header h = make_header(header);
    out_.write(&h, sizeof(h));
}

void logprob_writer::add(const std::vector<float> & logprobs) {
    for (size_t i = 0; i < row_.size(); i++) {
        row_[i] = encode(logprobs[i]);
    }
    const size_t n = row_.size() * sizeof(row_[0]);
    crc_ = crc32c(row_.data(), n, crc_);
    out_.write(row_.data(), n);
}

void logprob_writer::commit() {
    out_.write(&crc_, sizeof(crc_));
    out_.commit();
}

logprob_reader::logprob_reader(const std::string & path, const logprob_header & expected)
    : path_(path), in_(path, std::ios::binary | std::ios::ate), row_((size_t) expected.n_vocab) {
    if (!in_) {
        fail(LLMM_ERR_IO, "cannot open %s: %s", path.c_str(), std::strerror(errno));
    }
    const int64_t size = in_.tellg();
    in_.seekg(0);
    file_header h;
    if (!in_.read(reinterpret_cast<char *>(&h), sizeof(h)) || std::memcmp(h.magic, file_magic, sizeof(h.magic)) != 0) {
        fail(LLMM_ERR_STATE_INVALID, "%s is not a file of log-probabilities", path.c_str());
    }
    if (h.version != file_version || h.crc != crc32c(&h, offsetof(file_header, crc))) {
        fail(LLMM_ERR_STATE_INVALID, "%s is corrupt or of an unknown version", path.c_str());
    }
    if (h.body.n_vocab != expected.n_vocab || h.body.n_ctx != expected.n_ctx || h.body.n_chunks != expected.n_chunks ||
        h.body.first != expected.first || h.body.tokens_crc != expected.tokens_crc) {
        fail(LLMM_ERR_STATE_MISMATCH,
             "%s was made with vocabulary %d, context %d, %d chunks scored from token %d on and its own text; this run has "
             "vocabulary %d, context %d, %d chunks scored from token %d on%s",
             path.c_str(), h.body.n_vocab, h.body.n_ctx, h.body.n_chunks, h.body.first, expected.n_vocab, expected.n_ctx,
             expected.n_chunks, expected.first,
             h.body.tokens_crc != expected.tokens_crc ? " and another text" : "");
    }
    if (size != (int64_t) (sizeof(h) + sizeof(crc_)) + expected.rows() * expected.n_vocab * (int64_t) sizeof(row_[0])) {
        fail(LLMM_ERR_STATE_INVALID, "%s is truncated or extended", path.c_str());
    }
}

void logprob_reader::next(std::vector<float> & logprobs) {
    const size_t n = row_.size() * sizeof(row_[0]);
    if (!in_.read(reinterpret_cast<char *>(row_.data()), (std::streamsize) n)) {
        fail(LLMM_ERR_IO, "reading %s failed: %s", path_.c_str(), std::strerror(errno));
    }
    crc_ = crc32c(row_.data(), n, crc_);
    logprobs.resize(row_.size());
    for (size_t i = 0; i < row_.size(); i++) {
        logprobs[i] = decode(row_[i]);
    }
}

void logprob_reader::finish() {
    uint32_t crc = 0;
    if (!in_.read(reinterpret_cast<char *>(&crc), sizeof(crc)) || crc != crc_) {
        fail(LLMM_ERR_STATE_INVALID, "%s is corrupt: the checksum of its rows does not match", path_.c_str());
    }
}

}  // namespace llmm
