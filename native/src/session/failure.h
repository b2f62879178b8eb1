// How errors travel inside the native code: a function that cannot do its work throws a failure with the status the
// caller of the C API will see. api/guard.h turns it into that status at the border; nothing else catches it.
#pragma once

#include "llm_mobile.h"

#include <stdexcept>
#include <string>

namespace llmm {

class failure : public std::runtime_error {
public:
    failure(llmm_status status, const std::string & text) : std::runtime_error(text), status_(status) {}
    llmm_status status() const { return status_; }

private:
    llmm_status status_;
};

// Throws a failure whose text is formatted as by printf.
[[noreturn]] void fail(llmm_status status, const char * format, ...)
#if defined(__GNUC__)
        __attribute__((format(printf, 2, 3)))
#endif
        ;

}  // namespace llmm
