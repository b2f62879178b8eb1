#include "utf8.h"

#include <cstdint>

namespace llmm {

namespace {

constexpr const char * replacement = "\xEF\xBF\xBD";   // U+FFFD

enum class scan { valid, incomplete, invalid };

// Looks at one character at the start of [s, s + n). `length` is its length if valid, the length of the ill-formed
// sequence (its maximal subpart) if invalid, and n if the text ends within it.
scan scan_character(const unsigned char * s, size_t n, size_t & length) {
    const unsigned char lead = s[0];
    size_t want = 0;
    unsigned char low = 0x80, high = 0xBF;      // range of the second byte
    if (lead < 0x80) {
        length = 1;
        return scan::valid;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        want = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        want = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        want = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        length = 1;
        return scan::invalid;
    }
    for (size_t i = 1; i < want; i++) {
        if (i == n) {
            length = n;
            return scan::incomplete;
        }
        if (s[i] < low || s[i] > high) {
            length = i;
            return scan::invalid;
        }
        low = 0x80;
        high = 0xBF;
    }
    length = want;
    return scan::valid;
}

}  // namespace

size_t utf8_valid_prefix(const char * text, size_t n) {
    const auto * s = reinterpret_cast<const unsigned char *>(text);
    size_t at = 0;
    while (at < n) {
        size_t length = 0;
        if (scan_character(s + at, n - at, length) != scan::valid) {
            break;
        }
        at += length;
    }
    return at;
}

size_t utf8_prefix(const char * text, size_t limit) {
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) {
        limit--;
    }
    return limit;
}

void utf8_assembler::push(const char * bytes, size_t n, std::string & out) {
    pending_.append(bytes, n);
    const auto * s = reinterpret_cast<const unsigned char *>(pending_.data());
    size_t at = 0;
    while (at < pending_.size()) {
        size_t length = 0;
        const scan found = scan_character(s + at, pending_.size() - at, length);
        if (found == scan::incomplete) {
            break;
        }
        if (found == scan::valid) {
            out.append(pending_, at, length);
        } else {
            out += replacement;
        }
        at += length;
    }
    pending_.erase(0, at);
}

void utf8_assembler::finish(std::string & out) {
    if (!pending_.empty()) {
        out += replacement;
        pending_.clear();
    }
}

std::string utf8_repair(const std::string & text) {
    std::string out;
    out.reserve(text.size());
    utf8_assembler assembler;
    assembler.push(text.data(), text.size(), out);
    assembler.finish(out);
    return out;
}

}  // namespace llmm
