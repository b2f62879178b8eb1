#include "paging.h"

#include "paged_cache.h"

#include <exception>

namespace llmm {

paging::paging(const kv_settings & settings, const prune_settings & prune) : hooks_(std::make_shared<paging_hooks>(settings, prune)) {}

std::shared_ptr<context_hooks> paging::hooks() const {
    return hooks_;
}

void paging::rethrow_failure() const {
    if (hooks_->failure()) {
        std::rethrow_exception(hooks_->failure());
    }
}

const std::string & paging::refusal() const {
    return hooks_->refusal();
}

kv_counters paging::counters() const {
    return hooks_->cache() ? hooks_->cache()->store().counters() : kv_counters{};
}

int32_t paging::n_cached_tokens() const {
    return hooks_->cache()->n_cached_tokens();
}

bool paging::share_from(const paging & other) {
    return hooks_->cache()->share_from(*other.hooks_->cache());
}

int32_t paging::finish_step() {
    return hooks_->cache()->finish_step();
}

void paging::set_drafting(bool on) {
    hooks_->cache()->set_drafting(on);
}

bool paging::allows_drafts() const {
    return hooks_->cache()->allows_drafts();
}

int32_t paging::steps_alike(int32_t next_pos, int32_t n) const {
    return hooks_->cache()->store().steps_alike(next_pos, n);
}

bool paging::tells_masses() const {
    return hooks_->cache()->tells_masses();
}

bool paging::is_pruning() const {
    return hooks_->cache()->pruning().is_acting();
}

void paging::set_pruning(const prune_settings & settings) {
    hooks_->cache()->set_pruning(settings);
}

void paging::observe_entropy(float entropy) {
    hooks_->cache()->pruning().observe_entropy(entropy);
}

prune_counters paging::pruning() const {
    return hooks_->cache() ? hooks_->cache()->pruning().counters() : prune_counters{};
}

std::vector<prune_event> paging::prune_events() {
    return hooks_->cache()->pruning().take_events();
}

std::vector<prune_page> paging::prune_pages() const {
    return hooks_->cache()->prune_pages();
}

std::string paging::refuses_partial_prompts() const {
    return hooks_->cache()->refuses_partial_prompts();
}

bool paging::begin_prompt(int32_t layer, int32_t n_tokens, uint64_t hidden_bytes) {
    return hooks_->cache()->begin_prompt(layer, n_tokens, hidden_bytes);
}

void paging::watch_prompt() {
    hooks_->cache()->watch_prompt();
}

int32_t paging::watch_tokens() const {
    return hooks_->cache()->watch_tokens();
}

std::vector<int32_t> paging::keep_of_prompt(const int32_t * tokens, int32_t begin, int64_t n_keep, const std::vector<int32_t> & question) {
    return hooks_->cache()->keep_of_prompt(tokens, begin, n_keep, question);
}

void paging::keep_hidden(const int32_t * tokens, const float * hidden, int32_t begin, int32_t n_kept) {
    hooks_->cache()->keep_hidden(tokens, hidden, begin, n_kept);
}

int32_t paging::recall_layer() const {
    return hooks_->cache()->recall_layer();
}

std::vector<int32_t> paging::recall_for_prompt(int32_t begin, int64_t n_keep, int64_t n_most, const std::vector<int32_t> & question) {
    return hooks_->cache()->recall_for_prompt(begin, n_keep, n_most, question);
}

void paging::recalled_hidden(int32_t position, float * to) const {
    hooks_->cache()->recalled_hidden(position, to);
}

int64_t paging::finish_recall() {
    return hooks_->cache()->finish_recall();
}

int64_t paging::n_shadow_tokens() const {
    return hooks_->cache()->n_shadow_tokens();
}

std::vector<int32_t> paging::present_of(const std::vector<int32_t> & positions) const {
    return hooks_->cache()->present_of(positions);
}

void paging::end_prompt() {
    hooks_->cache()->end_prompt();
}

int32_t paging::whole_before(int32_t position) const {
    return hooks_->cache()->whole_before(position);
}

bool paging::set_budget(uint64_t bytes) {
    return hooks_->cache()->set_budget(bytes);
}

const std::string & paging::spill_error() const {
    return hooks_->cache()->store().spill_error();
}

llama_kv_cache * paging_hooks::new_kv_cache(const kv_cache_request & request) {
    refusal_ = paged_cache::unsupported(request);
    if (!refusal_.empty()) {
        return nullptr;
    }
    try {
        cache_ = new paged_cache(request, settings_, prune_);
    } catch (...) {
        failure_ = std::current_exception();
        throw;
    }
    return cache_;
}

}  // namespace llmm
