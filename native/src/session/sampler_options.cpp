#include "sampler_options.h"

#include "failure.h"
#include "json_fields.h"
#include "log.h"
#include "utf8.h"

#include "json-schema-to-grammar.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>

namespace llmm {

namespace {

using json = nlohmann::ordered_json;

std::vector<std::pair<int32_t, float>> parse_bias(const json & list) {
    if (!list.is_array()) {
        fail(LLMM_ERR_JSON, "logit_bias must be an array, but is a %s", list.type_name());
    }
    std::vector<std::pair<int32_t, float>> result;
    for (size_t i = 0; i < list.size(); i++) {
        const std::string path = "logit_bias[" + std::to_string(i) + "]";
        if (!list[i].is_object()) {
            fail(LLMM_ERR_JSON, "%s must be an object, but is a %s", path.c_str(), list[i].type_name());
        }
        json_fields entry(list[i], path);
        entry.at("token");
        const auto token = (int32_t) entry.integer("token", 0, 0, INT32_MAX);
        if (!list[i].contains("bias")) {
            fail(LLMM_ERR_JSON, "%s.bias is missing", path.c_str());
        }
        const double bias = entry.number("bias", -INFINITY, -1e6, 1e6);
        entry.done();
        result.emplace_back(token, (float) bias);
    }
    return result;
}

// llama.cpp's grammar code recurses into parentheses and from rule to rule, and counts a repetition down from its
// upper bound: limits that no sensible grammar meets keep it from exhausting the stack or never arriving.
void check_grammar(const std::string & grammar) {
    constexpr int max_depth = 200;
    constexpr int max_rules = 2000;
    int depth = 0, rules = 0;
    for (size_t i = 0; i < grammar.size(); i++) {
        const char c = grammar[i];
        if (c == '"' || c == '[') {                  // a literal or a character class: skip to its end
            const char end = c == '"' ? '"' : ']';
            for (i++; i < grammar.size() && grammar[i] != end; i++) {
                i += grammar[i] == '\\';
            }
        } else if (c == '#') {
            i = std::min(grammar.find('\n', i), grammar.size());
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && depth > 0) {
            depth--;
        } else if (grammar.compare(i, 3, "::=") == 0) {
            rules++;
        } else if (c == '{') {
            long long least = 0, most = 0;
            if (std::sscanf(grammar.c_str() + i, "{%lld , %lld", &least, &most) == 2 && most < least) {
                fail(LLMM_ERR_GRAMMAR, "the grammar does not compile: the repetition {%lld,%lld} has its bounds swapped", least, most);
            }
        }
        if (depth > max_depth) {
            fail(LLMM_ERR_GRAMMAR, "the grammar does not compile: its parentheses are nested more than %d deep", max_depth);
        }
        if (rules > max_rules) {
            fail(LLMM_ERR_GRAMMAR, "the grammar does not compile: it has more than %d rules", max_rules);
        }
    }
}

std::string grammar_of_schema(const json & schema) {
    if (!schema.is_object()) {
        fail(LLMM_ERR_JSON, "json_schema must be an object, but is a %s", schema.type_name());
    }
    const error_capture warnings;
    try {
        std::string grammar = json_schema_to_grammar(common_json::parse(schema.dump()));
        if (!warnings.reason("").empty()) {
            fail(LLMM_ERR_GRAMMAR, "%s", warnings.reason("").c_str());
        }
        return grammar;
    } catch (const failure &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LLMM_ERR_GRAMMAR, "the JSON schema does not compile: %s", utf8_repair(e.what()).c_str());
    }
}

}  // namespace

sampler_options sampler_options::parse(const std::string & text) {
    const json object = parse_json_object(text, "options");
    json_fields f(object, "");
    sampler_options o;
    o.temperature = (float) f.number("temperature", o.temperature, 0, 1e6);
    o.top_k = (int32_t) f.integer("top_k", o.top_k, 0, INT32_MAX);
    o.top_p = (float) f.number("top_p", o.top_p, 0, 1);
    o.min_p = (float) f.number("min_p", o.min_p, 0, 1);
    o.typical_p = (float) f.number("typical_p", o.typical_p, 0, 1);
    o.repeat_penalty = (float) f.number("repeat_penalty", o.repeat_penalty, FLT_MIN, 1e6);
    o.frequency_penalty = (float) f.number("frequency_penalty", o.frequency_penalty, -1e6, 1e6);
    o.presence_penalty = (float) f.number("presence_penalty", o.presence_penalty, -1e6, 1e6);
    o.penalty_last_n = (int32_t) f.integer("penalty_last_n", o.penalty_last_n, -1, INT32_MAX);
    o.dry_multiplier = (float) f.number("dry_multiplier", o.dry_multiplier, 0, 1e6);
    o.dry_base = (float) f.number("dry_base", o.dry_base, 1, 1e6);
    o.dry_allowed_length = (int32_t) f.integer("dry_allowed_length", o.dry_allowed_length, 0, INT32_MAX);
    o.dry_penalty_last_n = (int32_t) f.integer("dry_penalty_last_n", o.dry_penalty_last_n, -1, INT32_MAX);
    o.dry_sequence_breakers = f.texts("dry_sequence_breakers", o.dry_sequence_breakers);
    o.mirostat = (int32_t) f.integer("mirostat", o.mirostat, 0, 2);
    o.mirostat_tau = (float) f.number("mirostat_tau", o.mirostat_tau, 0, 1e6);
    o.mirostat_eta = (float) f.number("mirostat_eta", o.mirostat_eta, 0, 1e6);
    if (f.has("seed")) {
        o.seed = (uint32_t) f.integer("seed", 0, 0, UINT32_MAX);
    }
    if (f.has("logit_bias")) {
        o.logit_bias = parse_bias(f.at("logit_bias"));
    }
    o.grammar = f.text("grammar", "");
    if (f.has("json_schema")) {
        if (!o.grammar.empty()) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "grammar and json_schema cannot be given together");
        }
        o.grammar = grammar_of_schema(f.at("json_schema"));
    }
    check_grammar(o.grammar);
    o.ignore_eos = f.boolean("ignore_eos", o.ignore_eos);
    o.stop = f.texts("stop", {});
    for (size_t i = 0; i < o.stop.size(); i++) {
        if (o.stop[i].empty()) {
            fail(LLMM_ERR_INVALID_ARGUMENT, "stop[%zu] is empty", i);
        }
    }
    f.done();
    return o;
}

}  // namespace llmm
