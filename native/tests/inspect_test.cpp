// llmm_gguf_inspect on sound files; broken ones are in broken_model_test.cpp.
#include "test_support.h"

#include <set>

namespace llmm_test {
namespace {

json inspect(const std::string & path) {
    llmm_buffer * buffer = nullptr;
    require_ok(llmm_gguf_inspect(path.c_str(), &buffer));
    return parse_json(text_of(buffer_ptr(buffer).get()));
}

const json * find_tensor(const json & facts, const std::string & name) {
    for (const json & tensor : facts["tensors"].items) {
        if (tensor["name"].text == name) {
            return &tensor;
        }
    }
    return nullptr;
}

TEST(Inspect, HeaderFactsAgreeWithTheFile) {
    const std::string path = shared_path(tiny_arch::llama);
    const json facts = inspect(path);
    EXPECT_EQ(3, facts["version"].value);
    EXPECT_EQ(double(read_file(path).size()), facts["size_bytes"].value);
    EXPECT_GT(facts["data_offset"].value, 0);
    EXPECT_LT(facts["data_offset"].value, facts["size_bytes"].value);
    EXPECT_EQ(double(facts["tensors"].items.size()), facts["tensor_count"].value);
    EXPECT_EQ(info_of(shared_llama())["parameters"].value, facts["parameters"].value);
}

TEST(Inspect, HasExactlyThePromisedKeys) {
    std::set<std::string> given;
    for (const auto & member : inspect(shared_path(tiny_arch::llama)).members) {
        given.insert(member.first);
    }
    EXPECT_EQ((std::set<std::string>{"version", "size_bytes", "data_offset", "tensor_count", "parameters", "types",
                                     "metadata", "tensors"}), given);
}

TEST(Inspect, TensorsHaveTypeShapeAndSize) {
    const json facts = inspect(shared_path(tiny_arch::llama, tiny_weights::q4_0));
    const json * ffn = find_tensor(facts, "blk.0.ffn_down.weight");
    ASSERT_NE(nullptr, ffn);
    EXPECT_EQ("Q4_0", (*ffn)["type"].text);
    ASSERT_EQ(2u, (*ffn)["shape"].items.size());
    EXPECT_EQ(128, (*ffn)["shape"].items[0].value);
    EXPECT_EQ(64, (*ffn)["shape"].items[1].value);
    EXPECT_EQ(128.0 * 64 / 32 * 18, (*ffn)["bytes"].value);
    const json * norm = find_tensor(facts, "output_norm.weight");
    ASSERT_NE(nullptr, norm);
    EXPECT_EQ("F32", (*norm)["type"].text);
    EXPECT_EQ(256, (*norm)["bytes"].value);
}

TEST(Inspect, TypesAddUpToTheTensors) {
    for (const tiny_weights weights : {tiny_weights::f32, tiny_weights::f16, tiny_weights::q4_0}) {
        const json facts = inspect(shared_path(tiny_arch::llama, weights));
        double n_tensors = 0;
        double n_bytes   = 0;
        for (const auto & type : facts["types"].members) {
            n_tensors += type.second["tensors"].value;
            n_bytes += type.second["bytes"].value;
        }
        double listed = 0;
        for (const json & tensor : facts["tensors"].items) {
            listed += tensor["bytes"].value;
        }
        EXPECT_EQ(facts["tensor_count"].value, n_tensors);
        EXPECT_EQ(listed, n_bytes);
    }
}

TEST(Inspect, MetadataKeepsItsTypes) {
    const json metadata = inspect(shared_path(tiny_arch::llama))["metadata"];
    EXPECT_EQ("llama", metadata["general.architecture"].text);
    EXPECT_EQ(64, metadata["llama.embedding_length"].value);
    EXPECT_NEAR(1e-5, metadata["llama.attention.layer_norm_rms_epsilon"].value, 1e-10);
    EXPECT_EQ(json::boolean, metadata["tokenizer.ggml.add_bos_token"].kind);
    EXPECT_TRUE(metadata["tokenizer.ggml.add_bos_token"].flag);
    EXPECT_EQ(tiny_chat_template, metadata["tokenizer.chat_template"].text);
}

TEST(Inspect, LongArraysAreGivenAsTypeAndLength) {
    const json metadata = inspect(shared_path(tiny_arch::llama))["metadata"];
    const json & tokens = metadata["tokenizer.ggml.tokens"];
    EXPECT_EQ(json::object, tokens.kind);
    EXPECT_EQ(tiny_n_vocab(), tokens["length"].value);
    EXPECT_EQ(json::string, tokens["type"].kind);
    EXPECT_EQ(json::object, metadata["tokenizer.ggml.scores"].kind);
}

TEST(Inspect, ReadsAdaptersToo) {
    const std::string path = temp_path("inspect-adapter.gguf");
    write_tiny_adapter(path, options_of(tiny_arch::llama), 1.0f);
    const json facts = inspect(path);
    EXPECT_EQ("adapter", facts["metadata"]["general.type"].text);
    EXPECT_NE(nullptr, find_tensor(facts, "blk.0.attn_q.weight.lora_a"));
}

}  // namespace
}  // namespace llmm_test
