// Models in which matrices are two factors.
#include "gguf_bytes.h"
#include "test_support.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace llmm_test {
namespace {

tiny_options of_rank(tiny_arch arch, bool factors, tiny_weights weights = tiny_weights::f32) {
    tiny_options o = options_of(arch, weights);
    o.rank = 32;
    o.factors = factors;
    return o;
}

std::string file_of(const tiny_options & o) {
    return tiny_file("rank-" + std::to_string((int) o.arch) + "-" + std::to_string((int) o.weights) + (o.factors ? "-factors" : ""), o);
}

std::vector<float> logits_after_text(llmm_model * model) {
    const session_ptr s = new_session(model);
    eval(s.get(), random_tokens(40, 3));              // a prompt, and a step of one token
    eval(s.get(), random_tokens(1, 4));
    return logits_of(s.get(), tiny_n_vocab());
}

class FactoredWeights : public ::testing::TestWithParam<tiny_arch> {};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Architectures, FactoredWeights,
                         ::testing::Values(tiny_arch::llama, tiny_arch::gemma3, tiny_arch::qwen2, tiny_arch::qwen3, tiny_arch::phi3));

TEST_P(FactoredWeights, AreTheirProduct) {
    const model_ptr factors = open_model(file_of(of_rank(GetParam(), true)));
    const model_ptr product = open_model(file_of(of_rank(GetParam(), false)));
    EXPECT_LT(max_difference(logits_after_text(factors.get()), logits_after_text(product.get())), 2e-3);
    EXPECT_GT(max_difference(logits_after_text(factors.get()), logits_after_text(shared_model(GetParam()))), 1);
}

TEST(FactoredWeightsFile, MayBeOfOtherTypes) {
    const std::vector<float> exact = logits_after_text(open_model(file_of(of_rank(tiny_arch::llama, true))).get());
    for (const tiny_weights weights : { tiny_weights::f16, tiny_weights::q4_0 }) {
        const double far = weights == tiny_weights::f16 ? 0.1 : 10;
        const model_ptr model = open_model(file_of(of_rank(tiny_arch::llama, true, weights)));
        EXPECT_LT(max_difference(exact, logits_after_text(model.get())), far);
    }
}

TEST(FactoredWeightsFile, HalvesOfTheLayersWork) {
    const std::string path = file_of(of_rank(tiny_arch::llama, true));
    llmm_model_params p;
    llmm_model_params_init(&p);
    p.layer_begin = 1;
    llmm_model * part = nullptr;
    ASSERT_OK(llmm_model_open(path.c_str(), &p, &part));
    llmm_model_close(part);
}

TEST(FactoredWeightsFile, NeedsBothFactorsOfTheRightShape) {
    const std::string sound = read_file(file_of(of_rank(tiny_arch::llama, true)));
    const auto refused = [&](const char * what, auto change, const char * says) {
        gguf_bytes file(sound);
        change(file);
        const std::string path = temp_path(std::string("factors-") + what + ".gguf");
        write_file(path, file.bytes());
        llmm_model * model = nullptr;
        EXPECT_NE(LLMM_OK, llmm_model_open(path.c_str(), nullptr, &model)) << what;
        EXPECT_NE(std::string::npos, last_error().find(says)) << last_error();
        llmm_model_close(model);
    };
    const std::string b = "blk.0.attn_q.weight.lr_b";
    refused("one", [&](gguf_bytes & f) { f.put_text(f.tensor_info(b) - 1, "c"); }, b.c_str());
    refused("rank", [&](gguf_bytes & f) { f.put_u64(f.tensor_info(b) + 4, 64).put_u64(f.tensor_info(b) + 12, 32); }, "shape");
    const std::string a = "blk.0.attn_q.weight.lr_a";
    refused("width", [&](gguf_bytes & f) { f.put_u64(f.tensor_info(a) + 4, 32).put_u64(f.tensor_info(a) + 12, 64); }, "shape");
}

}  // namespace llmm_test
