// What all tests share: owning handles, a temporary folder, tiny models on demand and short forms of common calls.
#ifndef LLMM_TESTS_TEST_SUPPORT_H
#define LLMM_TESTS_TEST_SUPPORT_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "json_reader.h"
#include "llm_mobile.h"
#include "tiny_model.h"

namespace llmm_test {

struct buffer_deleter  { void operator()(llmm_buffer * p) const { llmm_buffer_free(p); } };
struct model_deleter   { void operator()(llmm_model * p) const { llmm_model_close(p); } };
struct adapter_deleter { void operator()(llmm_adapter * p) const { llmm_adapter_close(p); } };
struct sampler_deleter { void operator()(llmm_sampler * p) const { llmm_sampler_free(p); } };
struct session_deleter { void operator()(llmm_session * p) const { llmm_session_close(p); } };

using buffer_ptr  = std::unique_ptr<llmm_buffer, buffer_deleter>;
using model_ptr   = std::unique_ptr<llmm_model, model_deleter>;
using adapter_ptr = std::unique_ptr<llmm_adapter, adapter_deleter>;
using sampler_ptr = std::unique_ptr<llmm_sampler, sampler_deleter>;
using session_ptr = std::unique_ptr<llmm_session, session_deleter>;

using token_list = std::vector<int32_t>;

// Rounds of a test that repeats something at random: fewer under a sanitizer, which makes each one cost several times
// as much and find more.
constexpr int rounds(int n) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return n / 5;
#else
    return n;
#endif
}

// ---- statuses -------------------------------------------------------------------------------------------------

// A failed comparison shows the status names and the library's own text. A failure must leave such a text.
::testing::AssertionResult status_is(const char * expected_expr, const char * actual_expr, int32_t expected,
                                     int32_t actual);

#define EXPECT_STATUS(expected, call) EXPECT_PRED_FORMAT2(::llmm_test::status_is, expected, call)
#define ASSERT_STATUS(expected, call) ASSERT_PRED_FORMAT2(::llmm_test::status_is, expected, call)
#define EXPECT_OK(call) EXPECT_STATUS(LLMM_OK, call)
#define ASSERT_OK(call) ASSERT_STATUS(LLMM_OK, call)

// For set-up code that cannot go on: throws std::runtime_error with the library's text unless the status is OK.
void require_ok(int32_t status);

// Last error of this thread as a string.
std::string last_error();

::testing::AssertionResult text_contains(const std::string & text, const std::string & part);

// ---- files ----------------------------------------------------------------------------------------------------

// A path inside a folder of this process that goes away at exit.
std::string temp_path(const std::string & name);

std::string read_file(const std::string & path);
void write_file(const std::string & path, const std::string & bytes);
bool file_exists(const std::string & path);

// Path of the tiny model of these options, written on first use. name must differ for different options.
std::string tiny_file(const std::string & name, const tiny_options & options);

// ---- models ---------------------------------------------------------------------------------------------------

tiny_options options_of(tiny_arch arch, tiny_weights weights = tiny_weights::f32, uint64_t seed = 1);

// Models that many tests share: opened once per process.
llmm_model * shared_llama();          // f32, seed 1
llmm_model * shared_gemma();          // f32, seed 1, three layers, window of 32 tokens
llmm_model * shared_model(tiny_arch arch, tiny_weights weights = tiny_weights::f32, uint64_t seed = 1);
std::string  shared_path(tiny_arch arch, tiny_weights weights = tiny_weights::f32, uint64_t seed = 1);

model_ptr open_model(const std::string & path);
json info_of(const llmm_model * model);
int32_t n_vocab_of(const llmm_model * model);

// ---- text -----------------------------------------------------------------------------------------------------

std::string text_of(const llmm_buffer * buffer);
token_list  tokens_of(const llmm_buffer * buffer);

token_list  tokenize(const llmm_model * model, const std::string & text, bool add_special = false,
                     bool parse_special = false);
std::string detokenize(const llmm_model * model, const token_list & tokens, bool special = false);

// n tokens of plain text, the same for the same seed.
token_list random_tokens(int32_t n, uint64_t seed);

token_list slice(const token_list & tokens, int32_t begin, int32_t end);
token_list operator+(const token_list & a, const token_list & b);

// ---- sessions -------------------------------------------------------------------------------------------------

struct session_options {
    int32_t n_ctx           = 512;
    int32_t n_batch         = 64;
    int32_t n_threads       = 1;
    int32_t flash_attention = LLMM_FLASH_ATTENTION_OFF;
};

session_ptr new_session(llmm_model * model, const session_options & options = {});
sampler_ptr new_sampler(llmm_model * model, const std::string & options);

// Status of llmm_sampler_new with these options; nothing is kept.
llmm_status try_sampler(llmm_model * model, const std::string & options);

void eval(llmm_session * session, const token_list & tokens);
token_list history(llmm_session * session);
std::vector<float> logits_of(llmm_session * session, int32_t n_vocab);
int32_t argmax(const std::vector<float> & values);

// Natural-log softmax in f64.
std::vector<double> log_softmax(const std::vector<float> & logits);

// Same bits, NaN included.
::testing::AssertionResult same_bits(const std::vector<float> & a, const std::vector<float> & b);

// Largest absolute difference.
double max_difference(const std::vector<float> & a, const std::vector<float> & b);

// n tokens by llmm_session_decode.
token_list decode(llmm_session * session, llmm_sampler * sampler, int32_t n);

// ---- generation -----------------------------------------------------------------------------------------------

struct generate_options {
    int32_t max_tokens   = 64;
    int32_t logprobs     = 0;
    int32_t batch_tokens = 1;
    int32_t stop_after   = -1;      // the callback asks to stop after so many calls; -1: never
    int32_t draft_tokens = 0;
};

struct generate_batch {
    token_list           tokens;
    std::vector<float>   logprobs;
    std::vector<int32_t> text_ends;
    std::string          text;
    bool                 has_logprobs = false;
};

struct generation {
    llmm_status                 status      = LLMM_OK;
    int32_t                     stop_reason = LLMM_STOP_NONE;
    int32_t                     n_tokens    = 0;
    std::vector<generate_batch> batches;

    token_list         tokens() const;
    std::vector<float> logprobs() const;
    std::string        text() const;
};

generation generate(llmm_session * session, llmm_sampler * sampler, const generate_options & options = {});

// Sampler options whose grammar lets out exactly this text and then the end.
std::string forced_text(const std::string & text, const std::string & more_options = "");

// Whether ggml adds up products of f16 numbers in f16, as it does where the CPU can (AVX512-FP16).
bool sums_in_half();

// How far the same numbers may be apart on another path (a step of one token instead of many): rounding of f32 sums, or
// of f16 ones in attention.
inline double rounding() { return sums_in_half() ? 2e-2 : 2e-3; }

}  // namespace llmm_test

#endif
