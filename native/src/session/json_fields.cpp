#include "json_fields.h"

#include <algorithm>

namespace llmm {

using json = nlohmann::ordered_json;

json parse_json_object(const std::string & text, const char * what) {
    // What walks the tree later, here and in llama.cpp, recurses.
    constexpr int max_depth = 128;
    const auto limit_depth = [what](int depth, json::parse_event_t, json &) {
        if (depth > max_depth) {
            fail(LLMM_ERR_JSON, "%s is nested more than %d deep", what, max_depth);
        }
        return true;
    };
    if (text.find('\0') != std::string::npos) {     // nlohmann's parser would take it for the end
        fail(LLMM_ERR_JSON, "%s holds a zero byte", what);
    }
    json parsed;
    try {
        parsed = json::parse(text, limit_depth);
    } catch (const json::parse_error & e) {
        // nlohmann's text has its own error number in front: "[json.exception.parse_error.101] parse error at ..."
        std::string reason = e.what();
        const size_t bracket = reason.find("] ");
        fail(LLMM_ERR_JSON, "%s is not JSON: %s", what, reason.substr(bracket == std::string::npos ? 0 : bracket + 2).c_str());
    }
    if (!parsed.is_object()) {
        fail(LLMM_ERR_JSON, "%s must be a JSON object, but is a %s", what, parsed.type_name());
    }
    return parsed;
}

std::string json_fields::path_of(const char * key) const {
    return path_.empty() ? key : path_ + "." + key;
}

const json * json_fields::find(const char * key) {
    known_.push_back(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool json_fields::has(const char * key) {
    return find(key) != nullptr;
}

const json & json_fields::at(const char * key) {
    const json * value = find(key);
    if (!value) {
        fail(LLMM_ERR_JSON, "%s is missing", path_of(key).c_str());
    }
    return *value;
}

double json_fields::number(const char * key, double otherwise, double least, double most) {
    const json * value = find(key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_number()) {
        fail(LLMM_ERR_JSON, "%s must be a number, but is a %s", path_of(key).c_str(), value->type_name());
    }
    const double number = value->get<double>();
    if (!(number >= least && number <= most)) {
        fail(LLMM_ERR_RANGE, "%s is %g; it must be from %g to %g", path_of(key).c_str(), number, least, most);
    }
    return number;
}

int64_t json_fields::integer(const char * key, int64_t otherwise, int64_t least, int64_t most) {
    const json * value = find(key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_number_integer()) {
        fail(LLMM_ERR_JSON, "%s must be an integer, but is %s", path_of(key).c_str(), value->dump().substr(0, 40).c_str());
    }
    const bool huge = value->is_number_unsigned() && value->get<uint64_t>() > (uint64_t) INT64_MAX;
    const int64_t number = huge ? INT64_MAX : value->get<int64_t>();
    if (number < least || number > most) {
        fail(LLMM_ERR_RANGE, "%s is %s; it must be from %lld to %lld", path_of(key).c_str(), value->dump().c_str(),
             (long long) least, (long long) most);
    }
    return number;
}

bool json_fields::boolean(const char * key, bool otherwise) {
    const json * value = find(key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_boolean()) {
        fail(LLMM_ERR_JSON, "%s must be true or false, but is a %s", path_of(key).c_str(), value->type_name());
    }
    return value->get<bool>();
}

std::string json_fields::text(const char * key, const std::string & otherwise) {
    const json * value = find(key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_string()) {
        fail(LLMM_ERR_JSON, "%s must be a string, but is a %s", path_of(key).c_str(), value->type_name());
    }
    return value->get<std::string>();
}

std::vector<std::string> json_fields::texts(const char * key, std::vector<std::string> otherwise) {
    const json * value = find(key);
    if (!value) {
        return otherwise;
    }
    if (!value->is_array()) {
        fail(LLMM_ERR_JSON, "%s must be an array of strings, but is a %s", path_of(key).c_str(), value->type_name());
    }
    std::vector<std::string> result;
    for (const auto & element : *value) {
        if (!element.is_string()) {
            fail(LLMM_ERR_JSON, "%s[%zu] must be a string, but is a %s", path_of(key).c_str(), result.size(), element.type_name());
        }
        result.push_back(element.get<std::string>());
    }
    return result;
}

void json_fields::done() const {
    for (const auto & item : object_.items()) {
        if (std::find(known_.begin(), known_.end(), item.key()) == known_.end()) {
            fail(LLMM_ERR_JSON, "%s: unknown key", path_of(item.key().c_str()).c_str());
        }
    }
}

}  // namespace llmm
