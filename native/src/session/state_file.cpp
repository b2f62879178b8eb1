#include "state_file.h"

#include "failure.h"
#include "kv/crc32c.h"
#include "output_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace llmm {

namespace {

// All numbers little-endian, as on every machine this builds for.
struct header {
    char magic[8];                // "LLMMSESS"
    uint32_t version;
    uint32_t n_tokens;
    uint32_t n_kv;
    uint32_t n_logits;
    uint64_t kv_bytes;
    uint64_t adapters;
    char fingerprint[16];
    uint32_t tokens_crc;
    uint32_t kv_crc;
    uint32_t logits_crc;
    uint32_t header_crc;          // of all bytes before this field
};
static_assert(sizeof(header) == 72, "the header is written as it lies in memory");

constexpr char file_magic[8] = { 'L', 'L', 'M', 'M', 'S', 'E', 'S', 'S' };
constexpr uint32_t file_version = 1;

}  // namespace

void write_state_file(const std::string & path, const session_state & state) {
    header h{};
    std::memcpy(h.magic, file_magic, sizeof(h.magic));
    h.version = file_version;
    h.n_tokens = (uint32_t) state.tokens.size();
    h.n_kv = (uint32_t) state.n_kv;
    h.n_logits = (uint32_t) state.logits.size();
    h.kv_bytes = state.kv.size();
    h.adapters = state.adapters;
    std::memcpy(h.fingerprint, state.fingerprint.data(), std::min(sizeof(h.fingerprint), state.fingerprint.size()));
    const size_t tokens_bytes = state.tokens.size() * sizeof(int32_t);
    const size_t logits_bytes = state.logits.size() * sizeof(float);
    h.tokens_crc = crc32c(state.tokens.data(), tokens_bytes);
    h.kv_crc = crc32c(state.kv.data(), state.kv.size());
    h.logits_crc = crc32c(state.logits.data(), logits_bytes);
    h.header_crc = crc32c(&h, offsetof(header, header_crc));

    output_file out(path);
    out.write(&h, sizeof(h));
    out.write(state.tokens.data(), tokens_bytes);
    out.write(state.kv.data(), state.kv.size());
    out.write(state.logits.data(), logits_bytes);
    out.commit();
}

session_state read_state_file(const std::string & path) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
        fail(LLMM_ERR_IO, "%s: %s", path.c_str(), std::strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        fail(LLMM_ERR_IO, "%s is not a regular file", path.c_str());
    }
    std::ifstream in(path, std::ios::binary);
    if (!in) {
        fail(LLMM_ERR_IO, "cannot open %s: %s", path.c_str(), std::strerror(errno));
    }
    header h;
    if (!in.read(reinterpret_cast<char *>(&h), sizeof(h)) || std::memcmp(h.magic, file_magic, sizeof(h.magic)) != 0) {
        fail(LLMM_ERR_STATE_INVALID, "%s is not a saved session", path.c_str());
    }
    if (h.version != file_version) {
        fail(LLMM_ERR_STATE_INVALID, "%s has version %u of the session format; this build reads version %u", path.c_str(),
             h.version, file_version);
    }
    if (h.header_crc != crc32c(&h, offsetof(header, header_crc))) {
        fail(LLMM_ERR_STATE_INVALID, "%s is corrupt: the checksum of its header does not match", path.c_str());
    }
    const uint64_t size = sizeof(h) + 4 * (uint64_t) h.n_tokens + h.kv_bytes + 4 * (uint64_t) h.n_logits;
    if (size != (uint64_t) st.st_size) {
        fail(LLMM_ERR_STATE_INVALID, "%s is truncated or extended: %llu bytes instead of %llu", path.c_str(),
             (unsigned long long) st.st_size, (unsigned long long) size);
    }

    session_state state;
    state.fingerprint.assign(h.fingerprint, sizeof(h.fingerprint));
    state.adapters = h.adapters;
    state.n_kv = (int32_t) h.n_kv;
    state.tokens.resize(h.n_tokens);
    state.kv.resize(h.kv_bytes);
    state.logits.resize(h.n_logits);
    const auto section = [&](void * to, size_t n, uint32_t crc, const char * what) {
        if (n > 0 && !in.read(static_cast<char *>(to), (std::streamsize) n)) {
            fail(LLMM_ERR_IO, "reading %s failed: %s", path.c_str(), std::strerror(errno));
        }
        if (crc32c(to, n) != crc) {
            fail(LLMM_ERR_STATE_INVALID, "%s is corrupt: the checksum of its %s does not match", path.c_str(), what);
        }
    };
    section(state.tokens.data(), state.tokens.size() * sizeof(int32_t), h.tokens_crc, "tokens");
    section(state.kv.data(), state.kv.size(), h.kv_crc, "keys and values");
    section(state.logits.data(), state.logits.size() * sizeof(float), h.logits_crc, "logits");
    return state;
}

}  // namespace llmm
