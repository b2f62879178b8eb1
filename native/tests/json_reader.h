// A strict JSON reader for the tests: what the library writes must satisfy a reader that shares no code with it.
#ifndef LLMM_TESTS_JSON_READER_H
#define LLMM_TESTS_JSON_READER_H

#include <map>
#include <string>
#include <vector>

namespace llmm_test {

struct json {
    enum kind_t { null, boolean, number, string, array, object };

    kind_t                      kind    = null;
    bool                        flag    = false;
    double                      value   = 0.0;
    std::string                 text;
    std::vector<json>           items;
    std::map<std::string, json> members;

    bool has(const std::string & key) const { return members.count(key) != 0; }

    // The member, or a null value that names no test: absent keys show as kind null.
    const json & operator[](const std::string & key) const;
};

// Throws std::runtime_error with the byte position if the text is not exactly one JSON value, has a duplicate key
// or is not UTF-8.
json parse_json(const std::string & text);

// Text as a JSON string with quotes.
std::string quote(const std::string & text);

// Position of the first byte that is not part of valid UTF-8 (shortest form, no surrogates), or npos.
size_t find_invalid_utf8(const std::string & text);

inline bool is_utf8(const std::string & text) { return find_invalid_utf8(text) == std::string::npos; }

}  // namespace llmm_test

#endif
