// Files that are not sound models: opening and inspecting them fails with a status, a text and nothing kept.
#include "test_support.h"

#include <algorithm>
#include <cstring>

#include "gguf_bytes.h"

namespace llmm_test {
namespace {

std::string names_of(const std::vector<llmm_status> & statuses) {
    std::string names;
    for (const llmm_status status : statuses) {
        names += std::string(names.empty() ? "" : " or ") + llmm_status_name(status);
    }
    return names;
}

bool among(llmm_status status, const std::vector<llmm_status> & accepted) {
    return std::find(accepted.begin(), accepted.end(), status) != accepted.end();
}

class BrokenModel : public ::testing::Test {
protected:
    static std::string sound() { return read_file(shared_path(tiny_arch::llama)); }

    static std::string write(const std::string & bytes) {
        const std::string path = temp_path("broken.gguf");
        write_file(path, bytes);
        return path;
    }
};

TEST_F(BrokenModel, OpenRefusesEveryDamage) {
    for (const broken_file & file : broken_files(sound())) {
        const std::string path = write(file.bytes);
        SCOPED_TRACE(file.name);
        llmm_model * model = nullptr;
        const llmm_status status = llmm_model_open(path.c_str(), nullptr, &model);
        EXPECT_TRUE(among(status, file.open))
            << llmm_status_name(status) << ", expected " << names_of(file.open) << "; " << last_error();
        if (status != LLMM_OK) {
            EXPECT_EQ(nullptr, model);
            EXPECT_NE("", last_error());
        }
        llmm_model_close(model);
    }
}

TEST_F(BrokenModel, OpenWithoutMappingRefusesEveryDamage) {
    llmm_model_params params;
    llmm_model_params_init(&params);
    params.use_mmap = 0;
    for (const broken_file & file : broken_files(sound())) {
        const std::string path = write(file.bytes);
        SCOPED_TRACE(file.name);
        llmm_model * model = nullptr;
        const llmm_status status = llmm_model_open(path.c_str(), &params, &model);
        EXPECT_TRUE(among(status, file.open))
            << llmm_status_name(status) << ", expected " << names_of(file.open) << "; " << last_error();
        EXPECT_EQ(nullptr, model);
        llmm_model_close(model);
    }
}

TEST_F(BrokenModel, InspectSurvivesEveryDamage) {
    for (const broken_file & file : broken_files(sound())) {
        const std::string path = write(file.bytes);
        SCOPED_TRACE(file.name);
        llmm_buffer * raw = nullptr;
        const llmm_status status = llmm_gguf_inspect(path.c_str(), &raw);
        const buffer_ptr buffer(raw);
        EXPECT_TRUE(among(status, file.inspect))
            << llmm_status_name(status) << ", expected " << names_of(file.inspect) << "; " << last_error();
        if (status == LLMM_OK) {
            EXPECT_EQ(json::object, parse_json(text_of(raw)).kind);
        } else {
            EXPECT_EQ(nullptr, raw);
        }
    }
}

TEST_F(BrokenModel, UnsupportedArchitectureIsNamed) {
    gguf_bytes g(sound());
    g.put_text(g.type_of_key("general.architecture") + 12, "qqxyz");
    const std::string path = write(g.bytes());
    llmm_model * model = nullptr;
    EXPECT_STATUS(LLMM_ERR_MODEL_UNSUPPORTED, llmm_model_open(path.c_str(), nullptr, &model));
    EXPECT_TRUE(text_contains(last_error(), "qqxyz"));
}

TEST_F(BrokenModel, MissingFileAndFolderAreNotFound) {
    llmm_model * model = nullptr;
    llmm_buffer * buffer = nullptr;
    for (const std::string & path : {temp_path("nowhere.gguf"), temp_path("no/such/folder/model.gguf"), temp_path("")}) {
        EXPECT_STATUS(LLMM_ERR_MODEL_NOT_FOUND, llmm_model_open(path.c_str(), nullptr, &model));
        EXPECT_STATUS(LLMM_ERR_MODEL_NOT_FOUND, llmm_gguf_inspect(path.c_str(), &buffer));
    }
    EXPECT_EQ(nullptr, model);
    EXPECT_EQ(nullptr, buffer);
}

TEST_F(BrokenModel, SoundFileOpensAfterManyFailures) {
    for (const broken_file & file : broken_files(sound())) {
        llmm_model * model = nullptr;
        llmm_model_open(write(file.bytes).c_str(), nullptr, &model);
        llmm_model_close(model);
    }
    const model_ptr model     = open_model(shared_path(tiny_arch::llama));
    const session_ptr session = new_session(model.get());
    eval(session.get(), random_tokens(4, 1));
}

// Opens a file and, if that works, does with it what a program would do. Nothing may end the process. Rendering a
// chat takes longer than all the rest, so it is left to the files that ask for it.
void exercise(const std::string & path, bool with_chat = false) {
    llmm_buffer * raw = nullptr;
    if (llmm_gguf_inspect(path.c_str(), &raw) == LLMM_OK) {
        EXPECT_EQ(json::object, parse_json(text_of(raw)).kind);
    }
    llmm_buffer_free(raw);
    llmm_model * opened = nullptr;
    if (llmm_model_open(path.c_str(), nullptr, &opened) != LLMM_OK) {
        EXPECT_NE("", last_error());
        EXPECT_EQ(nullptr, opened);
        return;
    }
    const model_ptr model(opened);
    EXPECT_EQ(json::object, info_of(opened).kind);
    const std::string text = "hello <|im_start|> \xF0\x9F\x98\x80";
    llmm_buffer * tokens = nullptr;
    if (llmm_tokenize(opened, text.data(), text.size(), 1, 1, &tokens) != LLMM_OK) {
        return;
    }
    const token_list list = tokens_of(buffer_ptr(tokens).get());
    EXPECT_TRUE(is_utf8(detokenize(opened, list, true)));
    if (with_chat) {
        const std::string request = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
        llmm_buffer * prompt = nullptr;
        if (llmm_chat_render(opened, request.data(), request.size(), &prompt) == LLMM_OK) {
            EXPECT_TRUE(is_utf8(text_of(prompt)));
        }
        llmm_buffer_free(prompt);
    }

    llmm_session_params params;
    llmm_session_params_init(&params);
    params.n_ctx     = 256;
    params.n_threads = 1;
    llmm_session * session = nullptr;
    if (llmm_session_new(opened, &params, &session) != LLMM_OK) {
        return;
    }
    const session_ptr owner(session);
    llmm_sampler * sampler = nullptr;
    const std::string options = "{\"seed\":1}";
    ASSERT_OK(llmm_sampler_new(opened, options.data(), options.size(), &sampler));
    const sampler_ptr sampler_owner(sampler);
    if (llmm_session_eval(session, list.data(), int32_t(list.size()), nullptr, nullptr) == LLMM_OK) {
        generate_options o;
        o.max_tokens = 2;
        EXPECT_TRUE(is_utf8(generate(session, sampler, o).text()));
    }
}

// A model so small that thousands of them can be opened.
tiny_options smallest(tiny_arch arch) {
    tiny_options o = options_of(arch, tiny_weights::q4_0);
    o.n_layers   = 1;
    o.n_embd     = 32;
    o.n_heads    = 2;
    o.n_heads_kv = 1;
    o.n_ff       = 32;
    return o;
}

// Offset of the first tensor's data.
size_t metadata_bytes(const std::string & path) {
    llmm_buffer * raw = nullptr;
    require_ok(llmm_gguf_inspect(path.c_str(), &raw));
    return size_t(parse_json(text_of(buffer_ptr(raw).get()))["data_offset"].value);
}

void flip_bytes(tiny_arch arch, int n_files, uint64_t seed) {
    const std::string base    = tiny_file("smallest-" + std::to_string(int(arch)), smallest(arch));
    const std::string sound   = read_file(base);
    const size_t n_metadata   = metadata_bytes(base);
    const std::string path    = temp_path("flipped.gguf");
    uint64_t state = seed;
    const auto random = [&](size_t n) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        return size_t((state >> 33) % n);
    };
    for (int i = 0; i < n_files; i++) {
        std::string bytes = sound;
        std::string changes;
        // Mostly one change, mostly in the metadata: that is where a byte decides.
        const size_t n_changes = 1 + (random(4) == 0 ? random(4) : 0);
        for (size_t k = 0; k < n_changes; k++) {
            const size_t at = random(16) == 0 ? random(bytes.size()) : random(n_metadata);
            const uint8_t value = random(2) == 0 ? uint8_t(bytes[at] ^ (1 << random(8))) : uint8_t(random(256));
            bytes[at] = char(value);
            changes += " byte " + std::to_string(at) + " = " + std::to_string(value);
        }
        write_file(path, bytes);
        SCOPED_TRACE("seed " + std::to_string(seed) + ", file " + std::to_string(i) + ":" + changes);
        exercise(path, i % 10 == 0);
        if (::testing::Test::HasFatalFailure()) {
            return;
        }
    }
}

// In parts, so that they run side by side.
TEST_F(BrokenModel, FlippedBytesNeverStopTheProcess1) {
    flip_bytes(tiny_arch::llama, rounds(750), 20240501);
}

TEST_F(BrokenModel, FlippedBytesNeverStopTheProcess2) {
    flip_bytes(tiny_arch::llama, rounds(750), 17);
}

TEST_F(BrokenModel, FlippedBytesNeverStopTheProcess3) {
    flip_bytes(tiny_arch::llama, rounds(750), 4711);
}

TEST_F(BrokenModel, FlippedBytesOfAWindowModelNeverStopTheProcess) {
    flip_bytes(tiny_arch::gemma3, rounds(450), 7);
}

TEST_F(BrokenModel, FlippedBytesOfARecurrentModelNeverStopTheProcess) {
    flip_bytes(tiny_arch::mamba, rounds(450), 11);
}

// The keys that set sizes, each with values from a list of nasty ones: more thorough than chance.
void try_nasty_sizes(tiny_arch arch, const std::string & prefix) {
    const std::vector<uint32_t> integers = {0, 1, 2, 3, 7, 255, 1000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    // As f32: 0, -0, the smallest, 1, -1, the largest, infinity, -infinity, NaN.
    const std::vector<uint32_t> floats = {0,          0x80000000, 1,          0x3F800000, 0xBF800000,
                                          0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000};
    const std::string sound = read_file(tiny_file("smallest-" + std::to_string(int(arch)), smallest(arch)));
    const std::string path  = temp_path("nasty.gguf");
    int n_keys = 0;
    for (const std::string & key : {prefix + "context_length", prefix + "embedding_length", prefix + "block_count",
                                    prefix + "feed_forward_length", prefix + "attention.head_count",
                                    prefix + "attention.head_count_kv", prefix + "attention.key_length",
                                    prefix + "attention.value_length", prefix + "attention.layer_norm_rms_epsilon",
                                    prefix + "rope.dimension_count", prefix + "rope.freq_base",
                                    prefix + "attention.sliding_window", prefix + "attention.sliding_window_pattern",
                                    prefix + "ssm.conv_kernel", prefix + "ssm.inner_size", prefix + "ssm.state_size",
                                    prefix + "ssm.time_step_rank", std::string("tokenizer.ggml.bos_token_id"),
                                    std::string("tokenizer.ggml.eos_token_id"),
                                    std::string("tokenizer.ggml.unknown_token_id")}) {
        if (sound.find(key) == std::string::npos) {
            continue;
        }
        n_keys++;
        const bool is_float = key.find("epsilon") != std::string::npos || key.find("freq_base") != std::string::npos;
        for (const uint32_t value : is_float ? floats : integers) {
            gguf_bytes g(sound);
            g.set_u32(key, value);
            write_file(path, g.bytes());
            SCOPED_TRACE(key + " = " + std::to_string(value));
            exercise(path);
        }
    }
    EXPECT_GT(n_keys, 8);
}

TEST_F(BrokenModel, SizesThatMakeNoSenseNeverStopTheProcess) {
    try_nasty_sizes(tiny_arch::llama, "llama.");
}

TEST_F(BrokenModel, SizesThatMakeNoSenseInAWindowModelNeverStopTheProcess) {
    try_nasty_sizes(tiny_arch::gemma3, "gemma3.");
}

TEST_F(BrokenModel, SizesThatMakeNoSenseInARecurrentModelNeverStopTheProcess) {
    try_nasty_sizes(tiny_arch::mamba, "mamba.");
}

// Every key with every value type of the same size, and every tensor with every type number.
TEST_F(BrokenModel, TypesThatDoNotBelongNeverStopTheProcess) {
    const std::string sound = read_file(tiny_file("smallest-0", smallest(tiny_arch::llama)));
    for (const char * key : {"general.architecture", "general.name", "llama.context_length", "llama.embedding_length",
                             "llama.block_count", "llama.attention.head_count",
                             "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base", "tokenizer.ggml.model",
                             "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type",
                             "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token",
                             "tokenizer.chat_template"}) {
        for (uint32_t type = 0; type <= 13; type++) {
            gguf_bytes g(sound);
            g.put_u32(g.type_of_key(key), type);
            SCOPED_TRACE(std::string(key) + " of type " + std::to_string(type));
            exercise(write(g.bytes()), std::strstr(key, "tokenizer") != nullptr);
        }
    }
    for (const char * name : {"token_embd.weight", "output_norm.weight", "output.weight", "blk.0.attn_q.weight",
                              "blk.0.ffn_down.weight", "blk.0.attn_norm.weight"}) {
        for (uint32_t type = 0; type <= 50; type++) {
            gguf_bytes g(sound);
            const size_t info = g.tensor_info(name);
            const size_t n_dims = std::strstr(name, "norm") ? 1 : 2;
            g.put_u32(info + 4 + 8 * n_dims, type);
            SCOPED_TRACE(std::string(name) + " of type " + std::to_string(type));
            exercise(write(g.bytes()));
        }
    }
}

}  // namespace
}  // namespace llmm_test
