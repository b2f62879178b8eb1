// The border between C and C++: argument checks, and one place where exceptions become status codes.
#pragma once

#include "llm_mobile.h"
#include "session/failure.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace llmm {

void set_last_error(const char * text) noexcept;

// Status and last-error text of the exception in flight.
llmm_status status_of_current_exception() noexcept;

template <typename F>
llmm_status guard(F && body) noexcept {
    try {
        std::forward<F>(body)();
        return LLMM_OK;
    } catch (...) {
        return status_of_current_exception();
    }
}

inline void require(const void * pointer, const char * name) {
    if (!pointer) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "%s is null", name);
    }
}

// Checks a caller's array: a count that is not negative, and a pointer wherever the count is not zero.
inline void require_array(const void * pointer, int64_t n, const char * name) {
    if (n < 0) {
        fail(LLMM_ERR_RANGE, "the length of %s is %lld; it must not be negative", name, (long long) n);
    }
    if (n > 0) {
        require(pointer, name);
    }
}

// Text of the caller, checked to be UTF-8.
std::string take_text(const char * text, size_t n_bytes, const char * name);

// A path of the caller: not null, not empty, UTF-8.
std::string take_path(const char * path, const char * name);

// The caller's struct laid over the defaults, by the rules of struct_size.
template <typename T>
T take_params(const T * given, void (*init)(T *), const char * name) {
    T params;
    init(&params);
    if (!given) {
        return params;
    }
    const uint32_t size = given->struct_size;
    if (size < sizeof(uint32_t)) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "%s.struct_size is %u; set it with the init function", name, size);
    }
    if (size > sizeof(T)) {
        const auto * bytes = reinterpret_cast<const unsigned char *>(given);
        for (size_t i = sizeof(T); i < size; i++) {
            if (bytes[i] != 0) {
                fail(LLMM_ERR_INVALID_ARGUMENT, "%s has fields that this version does not know (struct_size %u, known %zu)",
                     name, size, sizeof(T));
            }
        }
    }
    std::memcpy(&params, given, size < sizeof(T) ? size : sizeof(T));
    params.struct_size = sizeof(T);
    return params;
}

// Checks an out struct before the work begins.
template <typename T>
void require_out(const T * out, const char * name) {
    require(out, name);
    if (out->struct_size < sizeof(uint32_t)) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "%s.struct_size is %u; set it to the size of the struct", name, out->struct_size);
    }
}

// Writes a result into the caller's struct, which may be shorter or longer than ours.
template <typename T>
void give_result(T * out, T result) {
    const uint32_t size = out->struct_size;
    result.struct_size = size;
    std::memcpy(out, &result, size < sizeof(T) ? size : sizeof(T));
}

llmm_buffer * new_buffer(std::string bytes);

template <typename V>
std::string bytes_of(const V & values) {
    return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(values[0]));
}

}  // namespace llmm
