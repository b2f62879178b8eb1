#include "test_support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>

namespace fs = std::filesystem;

namespace llmm_test {

namespace {

class temp_folder {
public:
    temp_folder() {
        std::random_device entropy;
        path_ = fs::temp_directory_path() / ("llmm-tests-" + std::to_string(entropy()) + std::to_string(entropy()));
        fs::create_directories(path_);
    }
    ~temp_folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    const fs::path & path() const { return path_; }

private:
    fs::path path_;
};

const temp_folder & folder() {
    static const temp_folder instance;
    return instance;
}

std::string key_of(tiny_arch arch, tiny_weights weights, uint64_t seed) {
    return "shared-" + std::to_string(int(arch)) + "-" + std::to_string(int(weights)) + "-" + std::to_string(seed);
}

struct collect_target {
    generation * out;
    int32_t      calls_left;
};

int32_t collect(const llmm_token_batch * batch, void * user_data) {
    collect_target * t = static_cast<collect_target *>(user_data);
    generate_batch b;
    b.tokens.assign(batch->tokens, batch->tokens + batch->n_tokens);
    b.text_ends.assign(batch->text_ends, batch->text_ends + batch->n_tokens);
    b.has_logprobs = batch->logprobs != nullptr;
    if (b.has_logprobs) {
        b.logprobs.assign(batch->logprobs, batch->logprobs + batch->n_tokens);
    }
    if (batch->text_bytes > 0) {
        b.text.assign(batch->text, size_t(batch->text_bytes));
    }
    t->out->batches.push_back(std::move(b));
    return t->calls_left > 0 && --t->calls_left == 0 ? 1 : 0;
}

}  // namespace

::testing::AssertionResult status_is(const char *, const char * actual_expr, int32_t expected, int32_t actual) {
    if (expected != actual) {
        return ::testing::AssertionFailure()
               << actual_expr << "\n  gives " << llmm_status_name(actual) << ", expected "
               << llmm_status_name(expected) << "\n  last error: " << llmm_last_error();
    }
    if (actual != LLMM_OK && last_error().empty()) {
        return ::testing::AssertionFailure() << actual_expr << "\n  failed as expected but left no text";
    }
    if (!is_utf8(last_error())) {
        return ::testing::AssertionFailure() << actual_expr << "\n  left a text that is not UTF-8";
    }
    return ::testing::AssertionSuccess();
}

void require_ok(int32_t status) {
    if (status != LLMM_OK) {
        throw std::runtime_error(std::string(llmm_status_name(status)) + ": " + llmm_last_error());
    }
}

std::string last_error() {
    return llmm_last_error();
}

::testing::AssertionResult text_contains(const std::string & text, const std::string & part) {
    if (text.find(part) != std::string::npos) {
        return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << "\"" << text << "\" does not contain \"" << part << "\"";
}

std::string temp_path(const std::string & name) {
    return (folder().path() / name).string();
}

std::string read_file(const std::string & path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot read " + path);
    }
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void write_file(const std::string & path, const std::string & bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), std::streamsize(bytes.size()));
    file.flush();
    if (!file) {
        throw std::runtime_error("cannot write " + path);
    }
}

bool file_exists(const std::string & path) {
    return fs::exists(path);
}

std::string tiny_file(const std::string & name, const tiny_options & options) {
    const std::string path = temp_path(name + ".gguf");
    if (!file_exists(path)) {
        write_tiny_model(path, options);
    }
    return path;
}

tiny_options options_of(tiny_arch arch, tiny_weights weights, uint64_t seed) {
    tiny_options o;
    o.arch    = arch;
    o.weights = weights;
    o.seed    = seed;
    if (arch == tiny_arch::gemma3) {
        o.n_layers = 3;   // window, full, window
    }
    return o;
}

std::string shared_path(tiny_arch arch, tiny_weights weights, uint64_t seed) {
    return tiny_file(key_of(arch, weights, seed), options_of(arch, weights, seed));
}

llmm_model * shared_model(tiny_arch arch, tiny_weights weights, uint64_t seed) {
    static std::map<std::string, model_ptr> models;
    model_ptr & model = models[key_of(arch, weights, seed)];
    if (!model) {
        model = open_model(shared_path(arch, weights, seed));
    }
    return model.get();
}

llmm_model * shared_llama() {
    return shared_model(tiny_arch::llama);
}

llmm_model * shared_gemma() {
    return shared_model(tiny_arch::gemma3);
}

model_ptr open_model(const std::string & path) {
    llmm_model * model = nullptr;
    require_ok(llmm_model_open(path.c_str(), nullptr, &model));
    return model_ptr(model);
}

json info_of(const llmm_model * model) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_model_info(model, &buffer));
    return parse_json(text_of(buffer_ptr(buffer).get()));
}

int32_t n_vocab_of(const llmm_model * model) {
    return int32_t(info_of(model)["vocabulary"].value);
}

std::string text_of(const llmm_buffer * buffer) {
    return std::string(static_cast<const char *>(llmm_buffer_data(buffer)), llmm_buffer_size(buffer));
}

token_list tokens_of(const llmm_buffer * buffer) {
    const size_t n_bytes = llmm_buffer_size(buffer);
    if (n_bytes % sizeof(int32_t) != 0) {
        throw std::runtime_error("a buffer of tokens has " + std::to_string(n_bytes) + " bytes");
    }
    token_list tokens(n_bytes / sizeof(int32_t));
    if (n_bytes > 0) {
        std::memcpy(tokens.data(), llmm_buffer_data(buffer), n_bytes);
    }
    return tokens;
}

token_list tokenize(const llmm_model * model, const std::string & text, bool add_special, bool parse_special) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_tokenize(model, text.data(), text.size(), add_special, parse_special, &buffer));
    return tokens_of(buffer_ptr(buffer).get());
}

std::string detokenize(const llmm_model * model, const token_list & tokens, bool special) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_detokenize(model, tokens.data(), int32_t(tokens.size()), special, &buffer));
    return text_of(buffer_ptr(buffer).get());
}

token_list random_tokens(int32_t n, uint64_t seed) {
    const uint32_t n_text = uint32_t(tiny_pieces().size());
    token_list tokens;
    uint64_t state = seed * 2654435761u + 1;
    for (int32_t i = 0; i < n; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        tokens.push_back(tiny_text_0 + int32_t(uint32_t(state >> 33) % n_text));
    }
    return tokens;
}

token_list slice(const token_list & tokens, int32_t begin, int32_t end) {
    return token_list(tokens.begin() + begin, tokens.begin() + end);
}

token_list operator+(const token_list & a, const token_list & b) {
    token_list sum = a;
    sum.insert(sum.end(), b.begin(), b.end());
    return sum;
}

session_ptr new_session(llmm_model * model, const session_options & options) {
    llmm_session_params params;
    llmm_session_params_init(&params);
    params.n_ctx           = options.n_ctx;
    params.n_batch         = options.n_batch;
    params.n_threads       = options.n_threads;
    params.n_threads_batch = options.n_threads;
    params.flash_attention = options.flash_attention;
    llmm_session * session = nullptr;
    require_ok(llmm_session_new(model, &params, &session));
    return session_ptr(session);
}

sampler_ptr new_sampler(llmm_model * model, const std::string & options) {
    llmm_sampler * sampler = nullptr;
    require_ok(llmm_sampler_new(model, options.data(), options.size(), &sampler));
    return sampler_ptr(sampler);
}

llmm_status try_sampler(llmm_model * model, const std::string & options) {
    llmm_sampler * sampler = nullptr;
    const llmm_status status = llmm_sampler_new(model, options.data(), options.size(), &sampler);
    if (status != LLMM_OK && sampler != nullptr) {
        throw std::runtime_error("llmm_sampler_new failed and still wrote its out parameter");
    }
    llmm_sampler_free(sampler);
    return status;
}

void eval(llmm_session * session, const token_list & tokens) {
    require_ok(llmm_session_eval(session, tokens.data(), int32_t(tokens.size()), nullptr, nullptr));
}

token_list history(llmm_session * session) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_session_tokens(session, &buffer));
    return tokens_of(buffer_ptr(buffer).get());
}

std::vector<float> logits_of(llmm_session * session, int32_t n_vocab) {
    std::vector<float> logits(static_cast<size_t>(n_vocab));
    require_ok(llmm_session_logits(session, logits.data(), n_vocab));
    return logits;
}

int32_t argmax(const std::vector<float> & values) {
    return int32_t(std::max_element(values.begin(), values.end()) - values.begin());
}

std::vector<double> log_softmax(const std::vector<float> & logits) {
    double max = -INFINITY;
    for (const float l : logits) {
        max = std::max(max, double(l));
    }
    double sum = 0.0;
    for (const float l : logits) {
        sum += std::exp(double(l) - max);
    }
    std::vector<double> out;
    for (const float l : logits) {
        out.push_back(double(l) - max - std::log(sum));
    }
    return out;
}

::testing::AssertionResult same_bits(const std::vector<float> & a, const std::vector<float> & b) {
    if (a.size() != b.size()) {
        return ::testing::AssertionFailure() << a.size() << " values against " << b.size();
    }
    size_t n_different = 0;
    size_t first       = 0;
    for (size_t i = 0; i < a.size(); i++) {
        if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0 && n_different++ == 0) {
            first = i;
        }
    }
    if (n_different == 0) {
        return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << n_different << " of " << a.size() << " values differ, the first at "
                                         << first << ": " << a[first] << " against " << b[first]
                                         << "; largest difference " << max_difference(a, b);
}

double max_difference(const std::vector<float> & a, const std::vector<float> & b) {
    if (a.size() != b.size()) {
        return INFINITY;
    }
    double max = 0.0;
    for (size_t i = 0; i < a.size(); i++) {
        const double d = std::fabs(double(a[i]) - double(b[i]));
        max = std::isnan(d) ? INFINITY : std::max(max, d);
    }
    return max;
}

token_list decode(llmm_session * session, llmm_sampler * sampler, int32_t n) {
    token_list tokens;
    for (int32_t i = 0; i < n; i++) {
        llmm_token_result result = {};
        result.struct_size = sizeof(result);
        require_ok(llmm_session_decode(session, sampler, &result));
        tokens.push_back(result.token);
    }
    return tokens;
}

token_list generation::tokens() const {
    token_list all;
    for (const generate_batch & b : batches) {
        all.insert(all.end(), b.tokens.begin(), b.tokens.end());
    }
    return all;
}

std::vector<float> generation::logprobs() const {
    std::vector<float> all;
    for (const generate_batch & b : batches) {
        all.insert(all.end(), b.logprobs.begin(), b.logprobs.end());
    }
    return all;
}

std::string generation::text() const {
    std::string all;
    for (const generate_batch & b : batches) {
        all += b.text;
    }
    return all;
}

generation generate(llmm_session * session, llmm_sampler * sampler, const generate_options & options) {
    generation out;
    collect_target target = {&out, options.stop_after};
    llmm_generate_params params;
    llmm_generate_params_init(&params);
    params.max_tokens     = options.max_tokens;
    params.logprobs       = options.logprobs;
    params.batch_tokens   = options.batch_tokens;
    params.draft_tokens   = options.draft_tokens;
    params.on_tokens      = collect;
    params.on_tokens_data = &target;
    llmm_generate_result result = {};
    result.struct_size = sizeof(result);
    out.status = llmm_session_generate(session, sampler, &params, &result);
    if (out.status == LLMM_OK) {
        out.stop_reason = result.stop_reason;
        out.n_tokens    = result.n_tokens;
    }
    return out;
}

std::string forced_text(const std::string & text, const std::string & more_options) {
    std::string grammar = "root ::= " + quote(text);
    std::string options = "{\"temperature\":0,\"grammar\":" + quote(grammar);
    if (!more_options.empty()) {
        options += "," + more_options;
    }
    return options + "}";
}

bool sums_in_half() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512fp16") != 0;
#else
    return false;
#endif
}

}  // namespace llmm_test
