// The few helpers of llama.cpp's common library that its chat code needs, so that the rest of it, with HTTP,
// subprocesses and argument parsing, stays out. The declarations are llama.cpp's own.
#include "common.h"
#include "log.h"

#include "llama.h"

#include <cstdarg>
#include <cstdio>

int common_log_get_verbosity_thold(void) {
    return LOG_LEVEL_WARN;                    // the chat code's chatter below is not worth a user's log
}

common_log * common_log_main() {
    return nullptr;
}

// Warnings and errors go the way of llama.cpp's own.
void common_log_add(common_log *, ggml_log_level level, const char * format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    std::vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ggml_log_callback callback = nullptr;
    void * user_data = nullptr;
    llama_log_get(&callback, &user_data);
    callback(level, text, user_data);
}

bool tty_can_use_colors() {
    return false;
}

std::string string_join(const std::vector<std::string> & values, const std::string & separator) {
    std::string joined;
    for (const auto & value : values) {
        if (&value != &values.front()) {
            joined += separator;
        }
        joined += value;
    }
    return joined;
}

std::vector<std::string> string_split(const std::string & str, const std::string & delimiter) {
    std::vector<std::string> parts;
    size_t begin = 0;
    for (size_t at; (at = str.find(delimiter, begin)) != std::string::npos; begin = at + delimiter.size()) {
        parts.push_back(str.substr(begin, at - begin));
    }
    parts.push_back(str.substr(begin));
    return parts;
}

std::string string_repeat(const std::string & str, size_t n) {
    std::string repeated;
    repeated.reserve(str.size() * n);
    while (n-- > 0) {
        repeated += str;
    }
    return repeated;
}

void string_replace_all(std::string & s, const std::string & search, const std::string & replace) {
    if (search.empty()) {
        return;
    }
    for (size_t at = 0; (at = s.find(search, at)) != std::string::npos; at += replace.size()) {
        s.replace(at, search.size(), replace);
    }
}

std::vector<llama_token> common_tokenize(const llama_vocab * vocab, const std::string & text, bool add_special,
                                         bool parse_special) {
    std::vector<llama_token> tokens(text.size() + 2);
    for (;;) {
        const int32_t n = llama_tokenize(vocab, text.data(), (int32_t) text.size(), tokens.data(), (int32_t) tokens.size(),
                                         add_special, parse_special);
        tokens.resize((size_t) (n < 0 ? -n : n));
        if (n >= 0) {
            return tokens;
        }
    }
}

std::string common_token_to_piece(const llama_vocab * vocab, llama_token token, bool special) {
    std::string piece(64, 0);
    for (;;) {
        const int32_t n = llama_token_to_piece(vocab, token, &piece[0], (int32_t) piece.size(), 0, special);
        piece.resize((size_t) (n < 0 ? -n : n));
        if (n >= 0) {
            return piece;
        }
    }
}
