// UTF-8 by the Unicode standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>

namespace llmm {

// Length in bytes of the longest prefix that is valid and complete.
size_t utf8_valid_prefix(const char * text, size_t n);

// Length in bytes of the longest prefix of at most `limit` bytes that does not cut a character. text is valid UTF-8
// and longer than limit.
size_t utf8_prefix(const char * text, size_t limit);

// Collects bytes and gives out whole characters. A byte that cannot be part of a character becomes U+FFFD.
class utf8_assembler {
public:
    // Appends the characters that are complete with these bytes to `out`.
    void push(const char * bytes, size_t n, std::string & out);

    // Ends the text: what is left of a character becomes U+FFFD.
    void finish(std::string & out);

private:
    std::string pending_;    // the start of one character, at most 3 bytes
};

// The text with every ill-formed sequence replaced by U+FFFD.
std::string utf8_repair(const std::string & text);

}  // namespace llmm
