// What the sampling options do to the tokens.
#include "test_support.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace llmm_test {
namespace {

const int32_t n_vocab = tiny_n_vocab();

session_ptr session_at(const token_list & prompt) {
    session_ptr session = new_session(shared_llama());
    eval(session.get(), prompt);
    return session;
}

token_list sample(const token_list & prompt, const std::string & options, int32_t n) {
    const session_ptr session = session_at(prompt);
    return decode(session.get(), new_sampler(shared_llama(), options).get(), n);
}

// n first tokens after the prompt, each drawn by a sampler of its own seed.
std::map<int32_t, int> first_tokens(const token_list & prompt, const std::string & options, int n) {
    const session_ptr session = session_at(prompt);
    std::map<int32_t, int> counts;
    for (int i = 0; i < n; i++) {
        const std::string seeded = "{\"seed\":" + std::to_string(i) + (options.empty() ? "" : "," + options) + "}";
        counts[decode(session.get(), new_sampler(shared_llama(), seeded).get(), 1)[0]]++;
        require_ok(llmm_session_rewind(session.get(), int32_t(prompt.size())));
    }
    return counts;
}

std::string bias(const std::vector<std::pair<int32_t, std::string>> & entries) {
    std::string list;
    for (const auto & e : entries) {
        list += list.empty() ? "" : ",";
        list += "{\"token\":" + std::to_string(e.first) + ",\"bias\":" + e.second + "}";
    }
    return "\"logit_bias\":[" + list + "]";
}

TEST(Sampling, SameSeedSameTokens) {
    const token_list prompt = random_tokens(12, 1);
    for (const char * options : {"{\"seed\":1}", "{\"seed\":1,\"temperature\":2,\"top_k\":0}", "{\"seed\":1,\"mirostat\":1}",
                                 "{\"seed\":1,\"mirostat\":2}", "{\"seed\":1,\"typical_p\":0.5}",
                                 "{\"seed\":1,\"grammar\":\"root ::= [a-z ]+\"}"}) {
        EXPECT_EQ(sample(prompt, options, 40), sample(prompt, options, 40)) << options;
    }
}

TEST(Sampling, OtherSeedOtherTokens) {
    const token_list prompt = random_tokens(12, 1);
    const std::string hot = "\"temperature\":2,\"top_k\":0,\"top_p\":1,\"min_p\":0}";
    EXPECT_NE(sample(prompt, "{\"seed\":1," + hot, 40), sample(prompt, "{\"seed\":2," + hot, 40));
}

TEST(Sampling, GreedyTakesTheLargestLogit) {
    const session_ptr session = session_at(random_tokens(12, 2));
    const sampler_ptr greedy  = new_sampler(shared_llama(), "{\"temperature\":0}");
    for (int i = 0; i < 30; i++) {
        const int32_t best = argmax(logits_of(session.get(), n_vocab));
        EXPECT_EQ(best, decode(session.get(), greedy.get(), 1)[0]);
    }
}

TEST(Sampling, TopK1IsGreedyAtAnyTemperature) {
    const token_list prompt = random_tokens(12, 3);
    const token_list greedy = sample(prompt, "{\"temperature\":0}", 40);
    for (const char * options : {"{\"top_k\":1,\"seed\":9}", "{\"top_k\":1,\"temperature\":5,\"seed\":10}",
                                 "{\"top_p\":0,\"seed\":11}", "{\"min_p\":1,\"seed\":12}"}) {
        EXPECT_EQ(greedy, sample(prompt, options, 40)) << options;
    }
}

TEST(Sampling, SeedDoesNotMatterToGreedy) {
    const token_list prompt = random_tokens(12, 3);
    EXPECT_EQ(sample(prompt, "{\"temperature\":0,\"seed\":1}", 30), sample(prompt, "{\"temperature\":0,\"seed\":2}", 30));
}

TEST(Sampling, TopKNeverLeavesTheKMostProbable) {
    const token_list prompt = random_tokens(12, 4);
    const session_ptr session = session_at(prompt);
    int32_t tokens[3];
    float logprobs[3];
    ASSERT_OK(llmm_session_top_logprobs(session.get(), 3, tokens, logprobs));
    const std::set<int32_t> allowed(tokens, tokens + 3);
    for (const auto & c : first_tokens(prompt, "\"top_k\":3,\"temperature\":4,\"top_p\":1,\"min_p\":0", 200)) {
        EXPECT_EQ(1u, allowed.count(c.first));
    }
}

TEST(Sampling, FrequenciesFollowTheProbabilities) {
    const token_list prompt = random_tokens(12, 5);
    constexpr int n_draws = rounds(3000);
    const auto counts = first_tokens(prompt, "\"temperature\":1,\"top_k\":0,\"top_p\":1,\"min_p\":0", n_draws);
    const session_ptr session = session_at(prompt);
    const std::vector<double> logp = log_softmax(logits_of(session.get(), n_vocab));
    for (int32_t token = 0; token < n_vocab; token++) {
        const double p = std::exp(logp[size_t(token)]);
        const double expected = p * n_draws;
        const auto it = counts.find(token);
        const double seen = it == counts.end() ? 0.0 : it->second;
        // Six standard deviations of a binomial count; the seeds are fixed, so this passes or fails for good.
        EXPECT_NEAR(expected, seen, 6.0 * std::sqrt(expected * (1 - p)) + 3.0) << token;
    }
}

TEST(Sampling, TemperatureFlattens) {
    const token_list prompt = random_tokens(12, 6);
    const std::string open = "\"top_k\":0,\"top_p\":1,\"min_p\":0,\"temperature\":";
    const auto cold = first_tokens(prompt, open + "0.2", 200);
    const auto hot  = first_tokens(prompt, open + "5", 200);
    EXPECT_LT(cold.size(), hot.size());
}

TEST(Sampling, TopPAndMinPAndTypicalCut) {
    const token_list prompt = random_tokens(12, 6);
    const std::string open = "\"top_k\":0,\"temperature\":3,";
    const auto all = first_tokens(prompt, open + "\"top_p\":1,\"min_p\":0", 300);
    EXPECT_LT(first_tokens(prompt, open + "\"top_p\":0.3,\"min_p\":0", 300).size(), all.size());
    EXPECT_LT(first_tokens(prompt, open + "\"top_p\":1,\"min_p\":0.5", 300).size(), all.size());
    EXPECT_LT(first_tokens(prompt, open + "\"top_p\":1,\"min_p\":0,\"typical_p\":0.2", 300).size(), all.size());
}

TEST(Sampling, MirostatDependsOnItsTarget) {
    const token_list prompt = random_tokens(12, 6);
    for (const char * version : {"1", "2"}) {
        const std::string head = "{\"seed\":3,\"temperature\":2,\"mirostat\":" + std::string(version);
        EXPECT_NE(sample(prompt, head + ",\"mirostat_tau\":0.5}", 40), sample(prompt, head + ",\"mirostat_tau\":8}", 40));
    }
}

TEST(LogitBias, NullForbids) {
    const token_list prompt = random_tokens(12, 7);
    const int32_t best = sample(prompt, "{\"temperature\":0}", 1)[0];
    EXPECT_NE(best, sample(prompt, "{\"temperature\":0," + bias({{best, "null"}}) + "}", 1)[0]);
    const auto counts = first_tokens(prompt, bias({{best, "null"}}), 100);
    EXPECT_EQ(0u, counts.count(best));
}

TEST(LogitBias, LargeForcesAndSmallShifts) {
    const token_list prompt = random_tokens(12, 7);
    EXPECT_EQ(token_list(5, 300), sample(prompt, "{\"temperature\":0," + bias({{300, "1000"}}) + "}", 5));
    EXPECT_EQ(token_list(5, 300), sample(prompt, "{\"seed\":1," + bias({{300, "1000"}}) + "}", 5));
    // Just enough to overtake the favourite, and just not enough.
    const session_ptr session = session_at(prompt);
    const std::vector<float> logits = logits_of(session.get(), n_vocab);
    const float gap = logits[size_t(argmax(logits))] - logits[300];
    EXPECT_EQ(300, sample(prompt, "{\"temperature\":0," + bias({{300, std::to_string(gap + 0.01f)}}) + "}", 1)[0]);
    EXPECT_EQ(argmax(logits), sample(prompt, "{\"temperature\":0," + bias({{300, std::to_string(gap - 0.01f)}}) + "}", 1)[0]);
}

TEST(LogitBias, DoesNotChangeTheReportedProbability) {
    const session_ptr session = session_at(random_tokens(12, 7));
    const std::vector<double> logp = log_softmax(logits_of(session.get(), n_vocab));
    llmm_token_result result = {};
    result.struct_size = sizeof(result);
    const sampler_ptr forcing = new_sampler(shared_llama(), "{" + bias({{300, "1000"}}) + "}");
    ASSERT_OK(llmm_session_decode(session.get(), forcing.get(), &result));
    EXPECT_EQ(300, result.token);
    EXPECT_NEAR(logp[300], result.logprob, 1e-4);
}

TEST(LogitBias, ForbiddingEverythingButOneForcesThatOne) {
    std::vector<std::pair<int32_t, std::string>> entries;
    for (int32_t token = 0; token < n_vocab; token++) {
        if (token != 290) {
            entries.emplace_back(token, "null");
        }
    }
    EXPECT_EQ(token_list(3, 290), sample(random_tokens(4, 1), "{\"seed\":1," + bias(entries) + "}", 3));
}

TEST(Penalties, SeeThePrompt) {
    const token_list prompt = random_tokens(60, 8);
    const int32_t best = sample(prompt, "{\"temperature\":0}", 1)[0];
    token_list with_best = prompt;
    with_best[10] = best;
    // The prompt holds the favourite now; it may be another one that wins, but none that the prompt holds.
    for (const char * penalty : {"\"presence_penalty\":1000", "\"frequency_penalty\":1000"}) {
        const token_list out =
            sample(with_best, std::string("{\"temperature\":0,\"penalty_last_n\":-1,") + penalty + "}", 20);
        std::set<int32_t> seen(with_best.begin(), with_best.end());
        for (const int32_t token : out) {
            EXPECT_TRUE(seen.insert(token).second) << penalty;
        }
    }
}

TEST(Penalties, RepeatPenaltyPushesSeenTokensDown) {
    const token_list prompt = random_tokens(40, 9);
    const session_ptr session = session_at(prompt);
    const std::vector<float> logits = logits_of(session.get(), n_vocab);
    // The rule: positive logits are divided by the penalty, negative ones multiplied.
    std::vector<float> expected = logits;
    for (const int32_t token : std::set<int32_t>(prompt.begin(), prompt.end())) {
        float & l = expected[size_t(token)];
        l = l > 0 ? l / 3.0f : l * 3.0f;
    }
    EXPECT_EQ(argmax(expected), sample(prompt, "{\"temperature\":0,\"repeat_penalty\":3,\"penalty_last_n\":-1}", 1)[0]);
}

TEST(Penalties, LastNLimitsHowFarTheyLookBack) {
    const std::string options = "{\"temperature\":0,\"presence_penalty\":1000,\"penalty_last_n\":";
    int n_cases = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        token_list prompt = random_tokens(40, seed);
        prompt[0] = sample(prompt, "{\"temperature\":0}", 1)[0];
        const int32_t favourite = sample(prompt, "{\"temperature\":0}", 1)[0];
        if (favourite != prompt[0] || std::count(prompt.begin() + 1, prompt.end(), favourite) != 0) {
            continue;   // the new first token made another one the favourite
        }
        n_cases++;
        EXPECT_NE(favourite, sample(prompt, options + "-1}", 1)[0]);
        EXPECT_NE(favourite, sample(prompt, options + "40}", 1)[0]);
        EXPECT_EQ(favourite, sample(prompt, options + "39}", 1)[0]) << "it stands forty tokens back";
        EXPECT_EQ(favourite, sample(prompt, options + "4}", 1)[0]);
        EXPECT_EQ(favourite, sample(prompt, options + "0}", 1)[0]);
    }
    EXPECT_GT(n_cases, 0);
}

TEST(Penalties, SeeWhatIsGenerated) {
    const token_list out =
        sample(random_tokens(4, 1), "{\"temperature\":0,\"presence_penalty\":1000,\"penalty_last_n\":-1}", 60);
    EXPECT_EQ(out.size(), std::set<int32_t>(out.begin(), out.end()).size());
}

TEST(Dry, StopsARepeatedSequence) {
    // The prompt ends where the sequence a b c d began again: DRY must keep d from following.
    const token_list unit = {270, 280, 290, 300, 310, 320};
    const token_list prompt = unit + token_list{330} + unit + token_list{340} + slice(unit, 0, 5);
    const std::string push = bias({{unit[5], "30"}});
    EXPECT_EQ(unit[5], sample(prompt, "{\"temperature\":0," + push + "}", 1)[0]);
    const std::string dry = ",\"dry_multiplier\":50,\"dry_allowed_length\":2,\"dry_sequence_breakers\":[]}";
    EXPECT_NE(unit[5], sample(prompt, "{\"temperature\":0," + push + dry, 1)[0]);
}

TEST(Sampler, StateBelongsToTheSampler) {
    // Two samplers on one session, step by step, draw as each would alone.
    const token_list prompt = random_tokens(6, 1);
    const session_ptr session = session_at(prompt);
    const sampler_ptr a = new_sampler(shared_llama(), "{\"seed\":5}");
    const sampler_ptr b = new_sampler(shared_llama(), "{\"seed\":5}");
    const int32_t first = decode(session.get(), a.get(), 1)[0];
    ASSERT_OK(llmm_session_rewind(session.get(), int32_t(prompt.size())));
    EXPECT_EQ(first, decode(session.get(), b.get(), 1)[0]);
}

TEST(Sampler, OfAnotherModelIsRefused) {
    tiny_options o;
    o.n_extra_tokens = 50;
    const model_ptr other = open_model(tiny_file("larger-vocabulary", o));
    const session_ptr session = session_at(random_tokens(6, 1));
    const sampler_ptr sampler = new_sampler(other.get(), "{\"seed\":1}");
    llmm_token_result result = {};
    result.struct_size = sizeof(result);
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, llmm_session_decode(session.get(), sampler.get(), &result));
    EXPECT_STATUS(LLMM_ERR_INVALID_ARGUMENT, generate(session.get(), sampler.get()).status);
    EXPECT_EQ(6, llmm_session_n_tokens(session.get()));
}

}  // namespace
}  // namespace llmm_test
