// Opening sound models: parameters, facts, progress, sharing.
#include "test_support.h"

#include <cmath>
#include <cstring>
#include <set>

#include "gguf_bytes.h"

namespace llmm_test {
namespace {

llmm_model_params default_params() {
    llmm_model_params params;
    llmm_model_params_init(&params);
    return params;
}

model_ptr open_with(const std::string & path, const llmm_model_params & params) {
    llmm_model * model = nullptr;
    require_ok(llmm_model_open(path.c_str(), &params, &model));
    return model_ptr(model);
}

std::vector<float> logits_with(const std::string & path, const llmm_model_params & params) {
    const model_ptr model     = open_with(path, params);
    const session_ptr session = new_session(model.get());
    eval(session.get(), random_tokens(20, 5));
    return logits_of(session.get(), tiny_n_vocab());
}

TEST(ModelParams, DefaultsAreThoseOfTheHeader) {
    const llmm_model_params params = default_params();
    EXPECT_EQ(sizeof(params), params.struct_size);
    EXPECT_EQ(1, params.use_mmap);
    EXPECT_EQ(0, params.use_mlock);
    EXPECT_EQ(0, params.check_tensors);
    EXPECT_EQ(0, params.vocab_only);
    EXPECT_EQ(1, params.repack);
    EXPECT_EQ(nullptr, params.progress);
    EXPECT_EQ(nullptr, params.progress_data);
}

TEST(Model, OpensEveryTinyArchitecture) {
    for (const tiny_arch arch : {tiny_arch::llama, tiny_arch::gemma3, tiny_arch::qwen2, tiny_arch::qwen3,
                                 tiny_arch::phi3, tiny_arch::mamba}) {
        for (const tiny_weights weights : {tiny_weights::f32, tiny_weights::f16, tiny_weights::q4_0}) {
            const model_ptr model     = open_model(shared_path(arch, weights));
            const session_ptr session = new_session(model.get());
            eval(session.get(), random_tokens(40, 3));
            for (const float l : logits_of(session.get(), tiny_n_vocab())) {
                ASSERT_TRUE(std::isfinite(l));
            }
        }
    }
}

TEST(Model, InfoHasExactlyThePromisedKeys) {
    const std::set<std::string> promised = {
        "architecture", "name", "description", "license", "parameters", "size_bytes", "quantization", "context_train",
        "embedding", "layers", "heads", "heads_kv", "head_dim_k", "head_dim_v", "vocabulary", "sliding_window",
        "recurrent", "hybrid", "encoder", "decoder", "rope_type", "bos", "eos", "end_tokens", "add_bos", "add_eos",
        "chat_template", "fingerprint",
    };
    std::set<std::string> given;
    for (const auto & member : info_of(shared_llama()).members) {
        given.insert(member.first);
    }
    EXPECT_EQ(promised, given);
}

TEST(Model, InfoTellsTheFile) {
    const json info = info_of(shared_llama());
    EXPECT_EQ("llama", info["architecture"].text);
    EXPECT_EQ("tiny model", info["name"].text);
    EXPECT_EQ(json::string, info["description"].kind);
    EXPECT_EQ("apache-2.0", info["license"].text);
    EXPECT_EQ(512, info["context_train"].value);
    EXPECT_EQ(64, info["embedding"].value);
    EXPECT_EQ(2, info["layers"].value);
    EXPECT_EQ(4, info["heads"].value);
    EXPECT_EQ(2, info["heads_kv"].value);
    EXPECT_EQ(16, info["head_dim_k"].value);
    EXPECT_EQ(16, info["head_dim_v"].value);
    EXPECT_EQ(tiny_n_vocab(), info["vocabulary"].value);
    EXPECT_EQ(tiny_bos, info["bos"].value);
    EXPECT_EQ(tiny_eos, info["eos"].value);
    EXPECT_EQ(json::array, info["end_tokens"].kind);
    EXPECT_TRUE(std::any_of(info["end_tokens"].items.begin(), info["end_tokens"].items.end(),
                            [](const json & token) { return token.value == tiny_eos; }));
    EXPECT_TRUE(info["add_bos"].flag);
    EXPECT_EQ(json::boolean, info["add_eos"].kind);
    EXPECT_FALSE(info["add_eos"].flag);
    EXPECT_FALSE(info["recurrent"].flag);
    EXPECT_FALSE(info["hybrid"].flag);
    EXPECT_FALSE(info["encoder"].flag);
    EXPECT_TRUE(info["decoder"].flag);
    EXPECT_EQ(tiny_chat_template, info["chat_template"].text);
    EXPECT_EQ(json::string, info["quantization"].kind);

    // Embedding and head, two norms per layer and one at the end, and the matrices.
    const double vocab  = tiny_n_vocab();
    const double layer  = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64;
    const double weight = 2 * vocab * 64 + 2 * layer + 64;
    EXPECT_EQ(weight, info["parameters"].value);
    EXPECT_EQ(weight * 4, info["size_bytes"].value);
}

TEST(Model, InfoTellsWindowAndRecurrence) {
    EXPECT_EQ(32, info_of(shared_gemma())["sliding_window"].value);
    EXPECT_EQ("gemma3", info_of(shared_gemma())["architecture"].text);
    const json llama = info_of(shared_llama());
    EXPECT_TRUE(llama["sliding_window"].kind == json::null || llama["sliding_window"].value == 0);
    EXPECT_TRUE(info_of(shared_model(tiny_arch::mamba))["recurrent"].flag);
}

TEST(Model, InfoGivesNullForWhatTheFileLacks) {
    tiny_options o;
    o.chat_template.clear();
    const model_ptr model = open_model(tiny_file("no-template", o));
    EXPECT_EQ(json::null, info_of(model.get())["chat_template"].kind);
}

TEST(Model, FingerprintTellsModelsApart) {
    const std::string one = info_of(shared_llama())["fingerprint"].text;
    EXPECT_NE("", one);
    EXPECT_EQ(one, info_of(open_model(shared_path(tiny_arch::llama)).get())["fingerprint"].text);
    EXPECT_NE(one, info_of(shared_model(tiny_arch::llama, tiny_weights::f32, 2))["fingerprint"].text)
        << "other weights, the same shapes";
    EXPECT_NE(one, info_of(shared_model(tiny_arch::llama, tiny_weights::f16))["fingerprint"].text);
    EXPECT_NE(one, info_of(shared_gemma())["fingerprint"].text);
}

TEST(Model, FingerprintDoesNotDependOnThePath) {
    const std::string copy = temp_path("copy-of-llama.gguf");
    write_file(copy, read_file(shared_path(tiny_arch::llama)));
    EXPECT_EQ(info_of(shared_llama())["fingerprint"].text, info_of(open_model(copy).get())["fingerprint"].text);
}

TEST(Model, MetadataThatIsNotUtf8StillGivesSoundJson) {
    gguf_bytes g(read_file(shared_path(tiny_arch::llama)));
    g.put_text(g.type_of_key("general.name") + 12, "\xFF\xFE\xC3(");
    g.put_text(g.type_of_key("general.license") + 12, "\xED\xA0\x80");
    const std::string path = temp_path("not-utf8.gguf");
    write_file(path, g.bytes());
    const model_ptr model = open_model(path);
    EXPECT_EQ(json::object, info_of(model.get()).kind);   // parse_json refuses what is not UTF-8
}

TEST(Model, PathsMayBeAnyUtf8) {
    const std::string path = temp_path("mod\xC3\xA8le \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80.gguf");
    write_file(path, read_file(shared_path(tiny_arch::llama)));
    EXPECT_EQ("llama", info_of(open_model(path).get())["architecture"].text);
}

TEST(Model, MappedAndReadWeightsAreTheSame) {
    for (const tiny_weights weights : {tiny_weights::f32, tiny_weights::f16, tiny_weights::q4_0}) {
        const std::string path   = shared_path(tiny_arch::llama, weights);
        llmm_model_params params = default_params();
        params.repack            = 0;
        const std::vector<float> mapped = logits_with(path, params);
        params.use_mmap = 0;
        EXPECT_TRUE(same_bits(mapped, logits_with(path, params)));
    }
}

TEST(Model, RepackingKeepsTheResult) {
    // Repacked kernels add up in another order; the weights are the same 4-bit numbers.
    constexpr double tolerance = 0.2;   // of logits that spread over some ten units
    const std::string path   = shared_path(tiny_arch::llama, tiny_weights::q4_0);
    llmm_model_params params = default_params();
    const std::vector<float> repacked = logits_with(path, params);
    params.repack = 0;
    const std::vector<float> plain = logits_with(path, params);
    EXPECT_LT(max_difference(repacked, plain), tolerance);
    EXPECT_EQ(argmax(repacked), argmax(plain));
}

TEST(Model, LockedWeightsWork) {
    llmm_model_params params = default_params();
    params.use_mlock = 1;
    EXPECT_EQ(size_t(tiny_n_vocab()), logits_with(shared_path(tiny_arch::llama), params).size());
}

TEST(Model, NullParamsAreTheDefaults) {
    EXPECT_TRUE(same_bits(logits_with(shared_path(tiny_arch::llama), default_params()), [] {
        const model_ptr model     = open_model(shared_path(tiny_arch::llama));
        const session_ptr session = new_session(model.get());
        eval(session.get(), random_tokens(20, 5));
        return logits_of(session.get(), tiny_n_vocab());
    }()));
}

TEST(Model, CheckTensorsFindsNotANumber) {
    std::string bytes = read_file(shared_path(tiny_arch::llama));
    const uint32_t nan_bits = 0x7FC00000u;
    std::memcpy(&bytes[bytes.size() - 400], &nan_bits, sizeof(nan_bits));
    const std::string path = temp_path("nan.gguf");
    write_file(path, bytes);

    llmm_model_params params = default_params();
    llmm_model * model = nullptr;
    params.check_tensors = 1;
    EXPECT_STATUS(LLMM_ERR_MODEL_INVALID, llmm_model_open(path.c_str(), &params, &model));
    EXPECT_EQ(nullptr, model);
    EXPECT_OK(llmm_model_open(shared_path(tiny_arch::llama).c_str(), &params, &model));
    llmm_model_close(model);
}

TEST(Model, WeightsThatAreNotNumbersDoNotStopTheProcess) {
    std::string bytes = read_file(shared_path(tiny_arch::llama));
    const uint32_t nan_bits = 0x7FC00000u;
    for (size_t at = bytes.size() - 8000; at < bytes.size(); at += 4) {
        std::memcpy(&bytes[at], &nan_bits, sizeof(nan_bits));
    }
    const std::string path = temp_path("all-nan.gguf");
    write_file(path, bytes);
    const model_ptr model     = open_model(path);
    const session_ptr session = new_session(model.get());
    eval(session.get(), random_tokens(4, 1));
    const char * const all_options[] = {"{\"temperature\":0}", "{\"seed\":1}", "{\"seed\":1,\"mirostat\":2}",
                                        "{\"seed\":1,\"grammar\":\"root ::= [a-z]+\"}"};
    for (const char * options : all_options) {
        const sampler_ptr sampler = new_sampler(model.get(), options);
        llmm_token_result result = {};
        result.struct_size = sizeof(result);
        const llmm_status status = llmm_session_decode(session.get(), sampler.get(), &result);
        if (status == LLMM_OK) {
            EXPECT_GE(result.token, 0);
            EXPECT_LT(result.token, tiny_n_vocab());
        } else {
            EXPECT_NE("", last_error());
        }
    }
}

TEST(Model, VocabularyAloneHasTextButNoSessions) {
    llmm_model_params params = default_params();
    params.vocab_only = 1;
    const model_ptr model = open_with(shared_path(tiny_arch::llama), params);
    EXPECT_EQ(tokenize(shared_llama(), "hello world", true), tokenize(model.get(), "hello world", true));
    EXPECT_EQ("hello", detokenize(model.get(), tokenize(model.get(), "hello")));
    EXPECT_EQ(tiny_n_vocab(), info_of(model.get())["vocabulary"].value);
    EXPECT_EQ("llama", info_of(model.get())["architecture"].text);
    llmm_session * session = nullptr;
    EXPECT_STATUS(LLMM_ERR_NOT_AVAILABLE, llmm_session_new(model.get(), nullptr, &session));
    EXPECT_EQ(nullptr, session);
}

struct progress_log {
    std::vector<float> values;
    int32_t            cancel_after = -1;
};

int32_t note_progress(float progress, void * user_data) {
    progress_log * log = static_cast<progress_log *>(user_data);
    log->values.push_back(progress);
    return log->cancel_after >= 0 && int32_t(log->values.size()) > log->cancel_after ? 1 : 0;
}

TEST(Model, ProgressRisesFromZeroToOne) {
    progress_log log;
    llmm_model_params params = default_params();
    params.progress      = note_progress;
    params.progress_data = &log;
    open_with(shared_path(tiny_arch::llama), params);
    ASSERT_FALSE(log.values.empty());
    float last = 0.0f;
    for (const float value : log.values) {
        EXPECT_GE(value, last);
        EXPECT_LE(value, 1.0f);
        last = value;
    }
    EXPECT_EQ(1.0f, log.values.back());
}

TEST(Model, ProgressCanCancelAtAnyCall) {
    progress_log whole;
    llmm_model_params params = default_params();
    params.progress      = note_progress;
    params.progress_data = &whole;
    open_with(shared_path(tiny_arch::llama), params);
    for (int32_t k = 0; k < int32_t(whole.values.size()); k++) {
        progress_log log;
        log.cancel_after     = k;
        params.progress_data = &log;
        llmm_model * model = nullptr;
        EXPECT_STATUS(LLMM_ERR_CANCELLED, llmm_model_open(shared_path(tiny_arch::llama).c_str(), &params, &model));
        EXPECT_EQ(nullptr, model);
        EXPECT_EQ(k + 1, int32_t(log.values.size())) << "no call after the one that cancelled";
    }
}

}  // namespace
}  // namespace llmm_test
