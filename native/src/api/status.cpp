#include "guard.h"

#include "session/utf8.h"

#include <cstdarg>
#include <cstdio>
#include <new>

namespace llmm {

namespace {
// A fixed buffer: reporting that memory is exhausted must not need memory.
thread_local char last_error[2048] = "";
}  // namespace

void set_last_error(const char * text) noexcept {
    size_t n = std::strlen(text);
    if (n >= sizeof(last_error)) {
        n = utf8_prefix(text, sizeof(last_error) - 1);
    }
    std::memcpy(last_error, text, n);
    last_error[n] = 0;
}

llmm_status status_of_current_exception() noexcept {
    try {
        throw;
    } catch (const failure & f) {
        set_last_error(f.what());
        return f.status();
    } catch (const std::bad_alloc &) {
        set_last_error("out of memory");
        return LLMM_ERR_OUT_OF_MEMORY;
    } catch (const std::length_error &) {   // a container asked for more than it can ever hold
        set_last_error("out of memory: a size exceeds what can be addressed");
        return LLMM_ERR_OUT_OF_MEMORY;
    } catch (const std::exception & e) {
        set_last_error(e.what());
        return LLMM_ERR_INTERNAL;
    } catch (...) {
        set_last_error("unknown error");
        return LLMM_ERR_INTERNAL;
    }
}

void fail(llmm_status status, const char * format, ...) {
    char text[1800];
    va_list args;
    va_start(args, format);
    const int wanted = std::vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (wanted >= (int) sizeof(text)) {
        text[utf8_valid_prefix(text, sizeof(text) - 1)] = 0;      // no half characters at the cut
    }
    throw failure(status, text);
}

std::string take_text(const char * text, size_t n_bytes, const char * name) {
    if (n_bytes > 0) {
        require(text, name);
    }
    if (n_bytes > INT32_MAX) {
        fail(LLMM_ERR_RANGE, "%s has %zu bytes; the limit is %d", name, n_bytes, INT32_MAX);
    }
    const size_t valid = utf8_valid_prefix(text, n_bytes);
    if (valid != n_bytes) {
        fail(LLMM_ERR_ENCODING, "%s is not valid UTF-8 at byte %zu", name, valid);
    }
    return n_bytes ? std::string(text, n_bytes) : std::string();
}

std::string take_path(const char * path, const char * name) {
    require(path, name);
    if (!*path) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "%s is empty", name);
    }
    return take_text(path, std::strlen(path), name);
}

}  // namespace llmm

const char * llmm_last_error(void) {
    return llmm::last_error;
}

const char * llmm_status_name(int32_t status) {
    switch (status) {
        case LLMM_OK:                    return "OK";
        case LLMM_ERR_INVALID_ARGUMENT:  return "INVALID_ARGUMENT";
        case LLMM_ERR_RANGE:             return "RANGE";
        case LLMM_ERR_OUT_OF_MEMORY:     return "OUT_OF_MEMORY";
        case LLMM_ERR_IO:                return "IO";
        case LLMM_ERR_MODEL_NOT_FOUND:   return "MODEL_NOT_FOUND";
        case LLMM_ERR_MODEL_INVALID:     return "MODEL_INVALID";
        case LLMM_ERR_MODEL_UNSUPPORTED: return "MODEL_UNSUPPORTED";
        case LLMM_ERR_CONTEXT_FULL:      return "CONTEXT_FULL";
        case LLMM_ERR_CANCELLED:         return "CANCELLED";
        case LLMM_ERR_BUSY:              return "BUSY";
        case LLMM_ERR_ENCODING:          return "ENCODING";
        case LLMM_ERR_JSON:              return "JSON";
        case LLMM_ERR_TEMPLATE:          return "TEMPLATE";
        case LLMM_ERR_GRAMMAR:           return "GRAMMAR";
        case LLMM_ERR_STATE_INVALID:     return "STATE_INVALID";
        case LLMM_ERR_STATE_MISMATCH:    return "STATE_MISMATCH";
        case LLMM_ERR_ADAPTER_INVALID:   return "ADAPTER_INVALID";
        case LLMM_ERR_NOT_AVAILABLE:     return "NOT_AVAILABLE";
        case LLMM_ERR_NO_BACKEND:        return "NO_BACKEND";
        case LLMM_ERR_NO_LOGITS:         return "NO_LOGITS";
        case LLMM_ERR_INTERNAL:          return "INTERNAL";
        default:                         return "UNKNOWN";
    }
}
