// Reads the fields of a JSON object with errors that give the path, and refuses keys that nobody asked for.
#pragma once

#include "failure.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace llmm {

// Parses a text that must hold one JSON object. `what` names it in errors.
nlohmann::ordered_json parse_json_object(const std::string & text, const char * what);

class json_fields {
public:
    json_fields(const nlohmann::ordered_json & object, std::string path) : object_(object), path_(std::move(path)) {}

    bool has(const char * key);                  // present and not null
    const nlohmann::ordered_json & at(const char * key);

    double number(const char * key, double otherwise, double least, double most);
    int64_t integer(const char * key, int64_t otherwise, int64_t least, int64_t most);
    bool boolean(const char * key, bool otherwise);
    std::string text(const char * key, const std::string & otherwise);
    std::vector<std::string> texts(const char * key, std::vector<std::string> otherwise);

    // Throws JSON for a key that none of the calls above named.
    void done() const;

    std::string path_of(const char * key) const;

private:
    const nlohmann::ordered_json * find(const char * key);

    const nlohmann::ordered_json & object_;
    std::string path_;
    std::vector<std::string> known_;
};

}  // namespace llmm
