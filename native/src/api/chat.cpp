// Chat templates, rendered by llama.cpp's own Jinja engine and chat code.
#include "guard.h"
#include "handles.h"
#include "session/assert_scope.h"
#include "session/json_fields.h"
#include "session/log.h"
#include "session/utf8.h"

#include "chat.h"

#include <mutex>

using namespace llmm;

namespace {

using json = nlohmann::ordered_json;

// The Jinja parser recurses into brackets and blocks without a limit of its own.
void check_nesting(const std::string & source) {
    constexpr int max_depth = 200;
    int brackets = 0, blocks = 0;
    for (size_t i = 0; i < source.size(); i++) {
        const char c = source[i];
        if (c == '(' || c == '[' || c == '{') {
            brackets++;
        } else if ((c == ')' || c == ']' || c == '}') && brackets > 0) {
            brackets--;
        }
        if (source.compare(i, 2, "{%") == 0) {
            const size_t word = source.find_first_not_of("-+ \t\r\n", i + 2);
            for (const char * opener : { "if", "for", "macro", "call", "filter", "generation" }) {
                blocks += word != std::string::npos && source.compare(word, std::strlen(opener), opener) == 0;
            }
            blocks -= word != std::string::npos && source.compare(word, 3, "end") == 0 && blocks > 0;
        }
        if (brackets > max_depth || blocks > max_depth) {
            fail(LLMM_ERR_TEMPLATE, "the chat template is nested more than %d deep", max_depth);
        }
    }
}

std::string render(const model & m, const std::string & request_text) {
    const json request = parse_json_object(request_text, "the request");
    json_fields fields(request, "");
    common_chat_templates_inputs inputs;
    const json & messages = fields.at("messages");
    if (!messages.is_array() || messages.empty()) {
        fail(LLMM_ERR_JSON, "messages must be an array with at least one message");
    }
    for (size_t i = 0; i < messages.size(); i++) {
        if (!messages[i].is_object() || !messages[i].contains("role") || !messages[i]["role"].is_string()) {
            fail(LLMM_ERR_JSON, "messages[%zu] must be an object with a role", i);
        }
    }
    inputs.use_jinja = true;
    inputs.add_generation_prompt = fields.boolean("add_generation_prompt", true);
    const std::string source = fields.text("template", "");
    if (fields.has("kwargs")) {
        const json & kwargs = fields.at("kwargs");
        if (!kwargs.is_object()) {
            fail(LLMM_ERR_JSON, "kwargs must be an object, but is a %s", kwargs.type_name());
        }
        for (const auto & item : kwargs.items()) {
            inputs.chat_template_kwargs[item.key()] = item.value().dump();
        }
        if (kwargs.contains("enable_thinking") && kwargs["enable_thinking"].is_boolean()) {
            inputs.enable_thinking = kwargs["enable_thinking"].get<bool>();
        }
    }
    const bool has_tools = fields.has("tools");
    if (has_tools && !fields.at("tools").is_array()) {
        fail(LLMM_ERR_JSON, "tools must be an array");
    }
    fields.done();
    try {
        inputs.messages = common_chat_msgs_parse_oaicompat(common_json::parse(messages.dump()));
        if (has_tools) {
            inputs.tools = common_chat_tools_parse_oaicompat(common_json::parse(fields.at("tools").dump()));
        }
    } catch (const std::exception & e) {
        fail(LLMM_ERR_JSON, "%s", utf8_repair(e.what()).c_str());
    }

    if (source.empty() && !llama_model_chat_template(m.get(), nullptr)) {
        fail(LLMM_ERR_TEMPLATE, "the model has no chat template; give one as \"template\", or use a plain text prompt");
    }
    const char * own = llama_model_chat_template(m.get(), nullptr);
    check_nesting(source.empty() ? own : source);
    const assert_scope asserts(LLMM_ERR_TEMPLATE);
    static std::mutex one_at_a_time;          // llama.cpp's templates ask localtime() for the date
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    const error_capture errors;               // what they say is in the exception as well
    try {
        const auto templates = common_chat_templates_init(m.get(), source);
        return common_chat_templates_apply(templates.get(), inputs).prompt;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        fail(LLMM_ERR_TEMPLATE, "the chat template fails: %s", utf8_repair(e.what()).c_str());
    }
}

}  // namespace

llmm_status llmm_chat_render(const llmm_model * m, const char * request, size_t request_bytes, llmm_buffer ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        *out = new_buffer(utf8_repair(render(*m->impl, take_text(request, request_bytes, "request"))));
    });
}
