#include "paged_cache.h"

#include "llama-hparams.h"
#include "llama-model.h"

#include "ggml-backend.h"

#include <algorithm>
#include <new>
#include <stdexcept>

namespace llmm {

namespace {

constexpr int32_t most_group_elements = 16384;         // what a tile of queries holds at least one token of
constexpr int32_t nearby = 256;                        // tokens before a cut that must be whole
constexpr uint64_t cell_bytes = 144;                   // of llama.cpp's tables and the plan, by cell

bool paged_layer(const kv_cache_request & r, uint32_t il) {
    return r.hparams.has_kv(il) && (!r.filter || r.filter((int32_t) il)) && next_context_has_layer((int32_t) il);
}

int32_t first_paged_layer(const kv_cache_request & r) {
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        if (paged_layer(r, il)) {
            return (int32_t) il;
        }
    }
    return -1;
}

int32_t n_paged_layers(const kv_cache_request & r) {
    int32_t n = 0;
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        n += paged_layer(r, il);
    }
    return n;
}

int32_t n_pages(const kv_cache_request & r, const kv_settings & settings) {
    return (int32_t) ((r.kv_size + settings.page_tokens - 1) / settings.page_tokens);
}

uint64_t pruner_bytes(const kv_cache_request & r, const kv_settings & settings) {
    return pruner::table_bytes(n_paged_layers(r), (int32_t) r.hparams.n_head_kv(first_paged_layer(r)), n_pages(r, settings));
}

}  // namespace

// ---- construction -----------------------------------------------------------------------------------------------

std::string paged_cache::unsupported(const kv_cache_request & r) {
    const int32_t first = first_paged_layer(r);
    if (first < 0) {
        return "no layer keeps keys and values for the whole context";
    }
    const uint32_t dim = r.hparams.n_embd_head_k(first), heads = r.hparams.n_head_kv(first);
    if (!r.unified && r.n_seq_max > 1) {
        return "each sequence has a cache of its own";
    }
    if (r.swa_type != LLAMA_SWA_TYPE_NONE || r.mem_other || r.reuse || r.share) {
        return "layers share keys and values or look at a window only";
    }
    if (r.hparams.is_mla() || r.hparams.use_alibi || !r.hparams.causal_attn || r.hparams.n_pos_per_embd() > 1 ||
        r.model.arch == LLM_ARCH_GROK || r.model.arch == LLM_ARCH_DFLASH) {
        return "the architecture's attention is of another kind";
    }
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        if (!paged_layer(r, il)) {
            continue;
        }
        if (r.hparams.n_embd_head_k(il) != dim || r.hparams.n_embd_head_v(il) != dim || r.hparams.n_head_kv(il) != heads) {
            return "heads differ between layers, or keys from values";
        }
        const uint32_t group = r.hparams.n_head(il) / heads;
        if (group == 0 || r.hparams.n_head(il) % heads != 0 || group * dim > most_group_elements) {
            return "the query heads do not divide among the KV heads";
        }
    }
    if (dim % 16 != 0 || dim > (uint32_t) max_head_dim) {
        return "the head dimension is " + std::to_string(dim) + "; pages need a multiple of 16 up to " + std::to_string(max_head_dim);
    }
    if (r.type_k != GGML_TYPE_F16 || r.type_v != GGML_TYPE_F16) {
        return "another type was asked for keys and values";
    }
    return "";
}

paged_cache::paged_cache(const kv_cache_request & r, const kv_settings & settings, const prune_settings & prune)
    : llama_kv_cache(r.model, r.hparams, r.type_k, r.type_v, r.v_trans, r.offload, r.unified, r.kv_size, r.n_seq_max, r.n_pad,
                     r.n_swa, r.swa_type, nullptr, [](int32_t) { return false; }, nullptr, nullptr),
      store_(settings, (int32_t) r.hparams.n_embd_head_k(first_paged_layer(r)), (int32_t) r.hparams.n_head_kv(first_paged_layer(r)),
             n_paged_layers(r), n_pages(r, settings), cell_bytes * r.kv_size + pruner_bytes(r, settings)),
      pruner_(prune, store_.n_layers(), store_.n_heads_kv(), store_.n_pages()), choice_(store_.n_pages()),
      shadow_((int32_t) r.hparams.n_embd, settings.page_tokens), kernels_(kernels()) {
    const float cap = r.hparams.attn_soft_cap ? r.hparams.f_attn_logit_softcapping : 0.0f;
    int32_t index = 0;
    for (uint32_t il = 0; il < r.hparams.n_layer_all; il++) {
        const bool paged = paged_layer(r, il);
        const int32_t group = paged ? (int32_t) (r.hparams.n_head(il) / r.hparams.n_head_kv(il)) : 0;
        layers_.push_back({ this, paged ? index++ : -1, group, 0.0f, cap, false });
    }
}

// ---- cells ------------------------------------------------------------------------------------------------------

void paged_cache::describe_page(int32_t page) {
    const auto & cells = v_cells[0];
    const uint32_t begin = (uint32_t) page * store_.shape().page_tokens;
    const uint32_t end = std::min(cells.size(), begin + store_.shape().page_tokens);
    int32_t n = 0, first = 0, last = -1;
    for (uint32_t i = begin; i < end; i++) {
        if (!cells.is_empty(i)) {
            const int32_t pos = cells.pos_get(i);
            first = n == 0 ? pos : std::min(first, pos);
            last = std::max(last, pos);
            n++;
        }
    }
    if (n < store_.n_used(page) && drafting_) {
        pruner_.shrink(page, n);
    } else if (n < store_.n_used(page)) {
        pruner_.forget(page, n);             // what it learned was about other tokens
    }
    store_.describe(page, n, first, last);
    if (!is_full(page)) {
        shadow_.forget(page);
    }
}

void paged_cache::describe_all() {
    for (int32_t p = 0; p < store_.n_pages(); p++) {
        describe_page(p);
    }
}

void paged_cache::clear(bool data) {
    page_mass_.clear();
    bounds_.clear();
    llama_kv_cache::clear(data);
    pruner_.forget_all();
    turn_ = {};
    pruned_end_ = 0;
    describe_all();
    store_.set_pinned_shift(0);
}

bool paged_cache::seq_rm(llama_seq_id seq_id, llama_pos p0, llama_pos p1) {
    absorb_masses();
    if (!drafting_) {
        pruner_.expect_change();
    }
    const bool done = llama_kv_cache::seq_rm(seq_id, p0, p1);
    pruned_end_ = p1 < 0 ? std::min(pruned_end_, std::max(p0, 0)) : pruned_end_;
    describe_all();
    if (v_cells[0].get_used() == 0) {
        store_.set_pinned_shift(0);
    }
    return done;
}

void paged_cache::seq_keep(llama_seq_id seq_id) {
    llama_kv_cache::seq_keep(seq_id);
    describe_all();
}

void paged_cache::seq_add(llama_seq_id, llama_pos, llama_pos, llama_pos) {
    throw std::runtime_error("a paged cache cannot shift positions");
}

void paged_cache::seq_div(llama_seq_id, llama_pos, llama_pos, int) {
    throw std::runtime_error("a paged cache cannot divide positions");
}

std::map<ggml_backend_buffer_type_t, size_t> paged_cache::memory_breakdown() const {
    return { { ggml_backend_cpu_buffer_type(), (size_t) store_.counters().bytes_total } };
}

std::vector<int32_t> paged_cache::pages_of(const std::vector<uint32_t> & cells) const {
    std::vector<int32_t> pages;
    for (const uint32_t cell : cells) {
        pages.push_back((int32_t) cell / store_.shape().page_tokens);
    }
    std::sort(pages.begin(), pages.end());
    pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
    return pages;
}

// ---- batches ----------------------------------------------------------------------------------------------------

// The tokens of evicted pages go from llama.cpp's cells too, which makes room for new ones.
void paged_cache::forget_evicted() {
    auto & cells = v_cells[0];
    const auto P = (uint32_t) store_.shape().page_tokens;
    for (const int32_t page : store_.take_evicted()) {
        for (uint32_t i = page * P; i < std::min(cells.size(), (page + 1) * P); i++) {
            if (!cells.is_empty(i)) {
                cells.rm(i);
            }
        }
        describe_page(page);
    }
}

// Evicts until n cells are free. False: eviction is not allowed, or would not do.
bool paged_cache::free_cells(uint32_t n) {
    auto & cells = v_cells[0];
    while (cells.size() - cells.get_used() < n) {
        if (store_.evict_one({}) < 0) {
            return false;
        }
        forget_evicted();
    }
    return true;
}

bool paged_cache::set_budget(uint64_t bytes) {
    absorb_masses();
    while (stage_ == prompt_stage::none && !shadow_.empty() && bytes > 0 && store_.counters().bytes_total > bytes) {
        shadow_.forget(shadow_.least());
        store_.lend(shadow_.bytes(), 0);
    }
    const bool done = store_.set_budget(bytes);
    forget_evicted();
    return done;
}

std::unordered_map<llama_pos, uint32_t> paged_cache::cells_by_position() const {
    const auto & cells = v_cells[0];
    std::unordered_map<llama_pos, uint32_t> by_position;
    for (uint32_t i = 0; i < cells.used_max_p1(); i++) {
        if (!cells.is_empty(i)) {
            by_position.emplace(cells.pos_get(i), i);
        }
    }
    return by_position;
}

// Where tokens are that the cache holds already. Empty if one is missing.
paged_cache::slot_info_vec_t paged_cache::cells_of(const std::vector<llama_ubatch> & ubatches) const {
    const auto by_position = cells_by_position();
    slot_info_vec_t slots;
    for (const llama_ubatch & u : ubatches) {
        slot_info s;
        s.s0 = s.s1 = 0;
        s.resize(1);
        s.strm[0] = 0;
        for (uint32_t t = 0; t < u.n_tokens; t++) {
            const auto cell = by_position.find(u.pos[t]);
            if (cell == by_position.end()) {
                return {};
            }
            s.idxs[0].push_back(cell->second);
        }
        slots.push_back(std::move(s));
    }
    return slots;
}

void paged_cache::apply_ubatch(const slot_info & sinfo, const llama_ubatch & ubatch) {
    if (stage_ != prompt_stage::again) {
        llama_kv_cache::apply_ubatch(sinfo, ubatch);
    }
}

paged_cache::slot_info_vec_t paged_cache::prepare(const std::vector<llama_ubatch> & ubatches) {
    const bool again = stage_ == prompt_stage::again;
    uint32_t n_tokens = 0;
    for (const llama_ubatch & u : ubatches) {
        n_tokens += u.n_tokens;
    }
    absorb_masses();
    if (stage_ == prompt_stage::none) {
        give_up_shadow((int32_t) n_tokens);
    }
    if (store_.settings().evict && !again && !free_cells(n_tokens)) {
        return {};
    }
    // The tokens of a prompt that come again do so at the positions that they have now.
    if (store_.settings().evict && stage_ == prompt_stage::none && !keep_pinned_near((int32_t) n_tokens)) {
        return {};
    }
    const slot_info_vec_t slots = again ? cells_of(ubatches) : llama_kv_cache::prepare(ubatches);
    std::vector<uint32_t> cells;
    for (const slot_info & s : slots) {
        cells.insert(cells.end(), s.idxs[0].begin(), s.idxs[0].end());
    }
    const bool fits = store_.make_room(pages_of(cells));
    forget_evicted();
    return fits ? slots : slot_info_vec_t{};
}

void paged_cache::llmm_on_apply(const slot_info & sinfo, const llama_ubatch & ubatch) {
    cells_ = sinfo.idxs[0];
    const std::vector<int32_t> pages = pages_of(cells_);
    const int32_t next_pos = *std::min_element(ubatch.pos, ubatch.pos + ubatch.n_tokens);
    // Of a prompt's tokens that come again, others lie between.
    store_.maintain(next_pos, stage_ == prompt_stage::again ? next_pos : (int32_t) ubatch.n_tokens, pages);
    if (!store_.make_room(pages) || !store_.reserve(pages)) {
        throw std::bad_alloc();              // the caller cuts the tokens off again
    }
    forget_evicted();
    for (const int32_t p : pages) {
        describe_page(p);
    }
    plan_visibility(ubatch);
}

void paged_cache::plan_visibility(const llama_ubatch & ubatch) {
    const auto & cells = v_cells[0];
    const uint32_t P = (uint32_t) store_.shape().page_tokens;
    const uint32_t n_tokens = ubatch.n_tokens;
    const auto [first, last] = std::minmax_element(ubatch.pos, ubatch.pos + n_tokens);
    const llama_pos least = *first, most = *last;
    const int32_t used = (int32_t) ((cells.used_max_p1() + P - 1) / P);
    plan_pages_.clear();
    plan_visible_.clear();
    plan_spilled_ = false;
    size_t n_words = 0;
    for (int32_t p = 0; p < used; p++) {
        if (store_.format(p) == page_format::none || store_.first_pos(p) > most) {
            continue;
        }
        const uint32_t begin = (uint32_t) p * P, end = std::min(cells.size(), begin + P);
        // The common case: every cell is used, older than all tokens and of the one sequence there is.
        bool plain = end - begin == P && ubatch.n_seqs_unq == 1;
        for (uint32_t i = begin; i < end && plain; i++) {
            plain = !cells.is_empty(i) && cells.pos_get(i) <= least && cells.seq_has(i, ubatch.seq_id_unq[0]);
        }
        const uint64_t * visible = nullptr;
        if (!plain) {
            if (plan_words_.size() == n_words) {
                plan_words_.emplace_back();
            }
            std::vector<uint64_t> & words = plan_words_[n_words];
            words.assign(n_tokens, 0);
            bool any = false;
            for (uint32_t t = 0; t < n_tokens; t++) {
                uint64_t word = 0;
                for (uint32_t i = begin; i < end; i++) {
                    const bool sees = !cells.is_empty(i) && cells.pos_get(i) <= ubatch.pos[t] && cells.seq_has(i, ubatch.seq_id[t][0]);
                    word |= (uint64_t) sees << (i - begin);
                }
                words[t] = word;
                any = any || word != 0;
            }
            if (!any) {
                continue;
            }
            visible = words.data();
            n_words++;
        }
        plan_pages_.push_back(p);
        plan_visible_.push_back(visible);
        plan_spilled_ = plan_spilled_ || store_.is_spilled(p);
    }
    const size_t n_layers = (size_t) store_.n_layers();
    plan_views_.resize(n_layers * plan_pages_.size());
    for (size_t l = 0; l < n_layers; l++) {
        const page_view * views = store_.layer((int32_t) l);
        for (size_t i = 0; i < plan_pages_.size(); i++) {
            plan_views_[l * plan_pages_.size() + i] = views[plan_pages_[i]];
        }
    }

    plan_each_token((int32_t) n_tokens);
    const auto n_planned = drafting_ ? 1 : stage_ != prompt_stage::none ? std::max(2, (int32_t) n_tokens) : (int32_t) n_tokens;
    if (stage_ != prompt_stage::again) {
        follow_turn(ubatch);
    }
    plan_facts_.clear();
    for (const int32_t p : plan_pages_) {
        plan_facts_.push_back({ p, store_.n_used(p), store_.first_pos(p), store_.last_pos(p), !store_.is_prunable(p) || in_last_turn(p) });
    }
    pruner_.plan(plan_facts_, least, n_planned);
    plan_masses((int32_t) n_tokens);
}

// What each token of a draft sees, in the form that a step of its own gives it.
void paged_cache::plan_each_token(int32_t n_tokens) {
    const int32_t n_jobs = drafting_ ? n_tokens : 1;
    while ((int32_t) progress_.size() < n_jobs) {
        progress_.emplace_back();
    }
    plan_visible_each_.clear();
    const int32_t P = store_.shape().page_tokens;
    const uint64_t all = P == 64 ? ~0ull : (1ull << P) - 1;
    for (int32_t t = 0; t < n_tokens && drafting_; t++) {
        for (const uint64_t * words : plan_visible_) {
            plan_visible_each_.push_back(words && words[t] != all ? words + t : nullptr);
        }
    }
}

void paged_cache::follow_turn(const llama_ubatch & ubatch) {
    const auto [first, last] = std::minmax_element(ubatch.pos, ubatch.pos + ubatch.n_tokens);
    if ((ubatch.n_tokens == 1 && stage_ == prompt_stage::none) || drafting_) {
        turn_.open = 0;
        return;
    }
    turn_.begin = turn_.open && *first >= turn_.begin ? turn_.begin : *first;
    turn_.end = *last + 1;
    turn_.open = 1;
}

// What was asked last is never pruned, unless it is the first prompt or so long that it is the context rather than a
// question about it.
bool paged_cache::in_last_turn(int32_t page) const {
    return turn_.begin > 0 && turn_.end - turn_.begin <= longest_protected_turn && store_.last_pos(page) >= turn_.begin && store_.first_pos(page) < turn_.end;
}

// Whether this step tells what its attention fell on, and the memory for it.
void paged_cache::plan_masses(int32_t n_tokens) {
    // Layers may have groups of their own, but what decides is whether this is a step of few tokens.
    attend_shape shape = { store_.shape(), store_.n_heads_kv(), 1, n_tokens };
    bool observed = (stage_ == prompt_stage::watch || pruner_.wants_mass() || (store_.settings().evict && !pruner_.settings().prunes())) && !store_.settings().exact;
    size_t scratch = 0;
    for (const layer_nodes & layer : layers_) {
        if (layer.index >= 0) {
            shape.group = layer.group;
            observed = observed && has_page_mass(shape);
            scratch = std::max(scratch, mass_scratch_floats(shape, (int32_t) plan_pages_.size()));
        }
    }
    page_mass_.assign(observed ? (size_t) store_.n_layers() * mass_floats() : 0, 0.0f);
    mass_scratch_.resize(observed ? scratch : 0);
    bounds_.assign(pruner_.wants_bounds() ? (size_t) store_.n_layers() * store_.n_heads_kv() : 0, 0.0f);
}

// visit(mass, list) for each KV head of the first n_layers layers.
template <typename Visit>
void paged_cache::each_mass(int32_t n_layers, Visit && visit) const {
    const size_t n = plan_pages_.size();
    const page_list all = { nullptr, (int32_t) n };
    const float * mass = page_mass_.data();
    for (int32_t l = 0; l < n_layers; l++) {
        const page_list * lists = pruner_.chosen(l);
        for (int32_t h = 0; h < store_.n_heads_kv(); h++, mass += n) {
            visit(mass, lists ? lists[h] : all);
        }
    }
}

// What the last step's attention fell on goes to the store, as shares of all attention.
void paged_cache::absorb_masses() {
    if (!bounds_.empty()) {
        pruner_.absorb_bounds(bounds_);
        bounds_.clear();
    }
    if (page_mass_.empty()) {
        return;
    }
    if (stage_ == prompt_stage::watch) {
        each_mass(prompt_layer_, [&](const float * mass, const page_list & list) { choice_.add(mass, list, plan_pages_); });
        page_mass_.clear();
        return;
    }
    std::vector<float> shares((size_t) store_.n_pages(), 0.0f);
    if (pruner_.wants_mass()) {
        if (pruner_.absorb(page_mass_.data()) && store_.settings().evict) {
            for (const int32_t page : plan_pages_) {
                shares[(size_t) page] = pruner_.describe(page).importance;
            }
            store_.observe(shares);
        }
    } else {
        double total = 0;
        each_mass(store_.n_layers(), [&](const float * mass, const page_list & list) {
            for (int32_t i = 0; i < list.n; i++) {
                shares[(size_t) plan_pages_[(size_t) (list.index ? list.index[i] : i)]] += mass[i];
                total += mass[i];
            }
        });
        for (float & s : shares) {
            s = total > 0 ? (float) (s / total) : 0.0f;
        }
        store_.observe(shares);
    }
    page_mass_.clear();
}

// ---- prompts of which later layers see only a part ---------------------------------------------------------------

std::string paged_cache::refuses_partial_prompts() const {
    if (std::any_of(layers_.begin(), layers_.end(), [](const layer_nodes & layer) { return layer.index < 0; })) {
        return "some of its layers look at a window only, or are not there";
    }
    if (store_.settings().exact) {
        return "exact attention reads everything";
    }
    return tells_masses() ? "" : "attention in groups of more than 8 query heads does not tell what falls on a page";
}

bool paged_cache::begin_prompt(int32_t layer, int32_t n_tokens, uint64_t hidden_bytes) {
    if (!store_.lend(hidden_bytes + shadow_.bytes(), n_tokens)) {
        store_.lend(shadow_.bytes(), 0);
        return false;
    }
    prompt_bytes_ = hidden_bytes;
    prompt_layer_ = layer;
    choice_.forget();
    stage_ = prompt_stage::read;
    store_.set_writable_layers(0, layer);
    return true;
}

int32_t paged_cache::watch_tokens() const {
    int32_t n = 1;
    while (std::all_of(layers_.begin(), layers_.end(), [&](const layer_nodes & layer) {
        return has_page_mass({ store_.shape(), store_.n_heads_kv(), layer.group, n + 1 });
    })) {
        n++;
    }
    return n;
}

// Pages with tokens from a position on.
std::vector<prompt_choice::page> paged_cache::pages_from(llama_pos begin) const {
    std::vector<prompt_choice::page> pages;
    for (int32_t p = 0; p < store_.n_pages(); p++) {
        if (store_.n_used(p) > 0 && store_.last_pos(p) >= begin) {
            pages.push_back({ p, store_.n_used(p), store_.last_pos(p), !store_.is_prunable(p) || in_last_turn(p) });
        }
    }
    return pages;
}

// token_at(page, slot)
template <typename TokenAt>
void paged_cache::match_words(std::vector<int32_t> pages, const std::vector<int32_t> & question, TokenAt && token_at) {
    std::sort(pages.begin(), pages.end(), [&](int32_t a, int32_t b) { return store_.first_pos(a) < store_.first_pos(b); });
    std::vector<page_text> texts;
    for (const int32_t page : pages) {
        texts.push_back({ store_.first_pos(page), {} });
        for (int32_t i = 0; i < store_.shape().page_tokens; i++) {
            texts.back().tokens.push_back(token_at(page, i));
        }
    }
    choice_.add_words(pages, lexical_scores(question, texts));
}

std::vector<llama_pos> paged_cache::keep_of_prompt(const int32_t * tokens, llama_pos begin, int64_t n_keep, const std::vector<int32_t> & question) {
    std::vector<prompt_choice::page> pages = pages_from(begin);
    std::vector<int32_t> readable;
    for (auto & p : pages) {
        p.stays = p.stays || store_.depth(p.index) > prompt_layer_;
        if (!p.stays && store_.first_pos(p.index) >= begin) {
            readable.push_back(p.index);
        }
    }
    match_words(readable, question, [&](int32_t page, int32_t slot) { return tokens[position_of(page, slot) - begin]; });
    left_out_ = choice_.leave_out(pages, n_keep, pruner_.settings().policy);
    pruner_.leave_out(left_out_, prompt_layer_);
    go_on_from(prompt_layer_);
    pruned_end_ = left_out_.empty() ? pruned_end_ : store_.newest_pos() + 1;
    return positions_to_go_on(begin);
}

// Those from `begin` on but for what is left out, and those of what is recalled; ascending.
std::vector<llama_pos> paged_cache::positions_to_go_on(llama_pos begin) const {
    const auto & cells = v_cells[0];
    std::vector<llama_pos> kept;
    for (uint32_t i = 0; i < cells.used_max_p1(); i++) {
        const int32_t page = (int32_t) i / store_.shape().page_tokens;
        if (cells.is_empty(i)) {
            continue;
        }
        const bool is_new = cells.pos_get(i) >= begin && !std::binary_search(left_out_.begin(), left_out_.end(), page);
        if (is_new || std::count(recalling_.begin(), recalling_.end(), page) > 0) {
            kept.push_back(cells.pos_get(i));
        }
    }
    std::sort(kept.begin(), kept.end());
    return kept;
}

void paged_cache::go_on_from(int32_t layer) {
    stage_ = prompt_stage::again;
    store_.set_writable_layers(layer, store_.n_layers());
}

// ---- what a question brings back ----------------------------------------------------------------------------------

void paged_cache::keep_hidden(const int32_t * tokens, const float * hidden, llama_pos begin, int32_t n_kept) {
    const auto & settings = pruner_.settings();
    const auto P = (size_t) store_.shape().page_tokens;
    const auto most = settings.max_shadow < 0 ? INT64_MAX : (int64_t) settings.max_shadow;
    std::vector<int32_t> pages = left_out_;
    std::stable_sort(pages.begin(), pages.end(), [&](int32_t a, int32_t b) { return choice_.is_better(a, b); });
    std::vector<const float *> rows(P);
    std::vector<int32_t> text(P);
    for (const int32_t page : pages) {
        if (shadow_.n_tokens() + (int64_t) P > most || !store_.lend(prompt_bytes_ + shadow_.bytes() + shadow_.page_bytes(), n_kept)) {
            break;
        }
        for (size_t i = 0; i < P; i++) {
            const auto row = (size_t) (position_of(page, (int32_t) i) - begin);
            rows[i] = hidden + row * shadow_.width();
            text[i] = tokens[row];
        }
        shadow_.put(page, choice_.score(page), text, rows);
    }
    store_.lend(prompt_bytes_ + shadow_.bytes(), 0);
}

// Hidden states are the first to go when the budget has no room for what comes.
void paged_cache::give_up_shadow(int32_t n_tokens) {
    while (!shadow_.empty() && !store_.lend(shadow_.bytes(), n_tokens)) {
        shadow_.forget(shadow_.least());
    }
}

void paged_cache::limit_shadow() {
    const int32_t most = pruner_.settings().max_shadow;
    while (!shadow_.empty() && most >= 0 && shadow_.n_tokens() > most) {
        shadow_.forget(shadow_.least());
    }
    give_up_shadow(0);
}

void paged_cache::set_pruning(const prune_settings & settings) {
    pruner_.set_settings(settings);
    limit_shadow();
}

int32_t paged_cache::recall_layer() const {
    return shadow_.empty() || pruner_.settings().policy != prune_policy::attention ? -1 : store_.depth(shadow_.least());
}

std::vector<llama_pos> paged_cache::recall_for_prompt(llama_pos begin, int64_t n_keep, int64_t n_most, const std::vector<int32_t> & question) {
    const std::vector<prompt_choice::page> pages = pages_from(0);
    std::vector<int32_t> candidates;
    for (const auto & p : pages) {
        if (shadow_.has(p.index) && store_.depth(p.index) == prompt_layer_) {
            candidates.push_back(p.index);
        }
    }
    match_words(candidates, question, [&](int32_t page, int32_t slot) { return shadow_.of(page).tokens[(size_t) slot]; });
    const std::vector<int32_t> out = choice_.leave_out(pages, n_keep, prune_policy::attention);
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(recalling_),
                 [&](int32_t page) { return !std::binary_search(out.begin(), out.end(), page); });
    std::stable_sort(recalling_.begin(), recalling_.end(), [&](int32_t a, int32_t b) { return choice_.is_better(a, b); });
    recalling_.resize(std::min(recalling_.size(), (size_t) (n_most / store_.shape().page_tokens)));
    pruner_.bring_back(recalling_, prompt_layer_);
    go_on_from(prompt_layer_);
    return positions_to_go_on(begin);
}

void paged_cache::recalled_hidden(llama_pos position, float * to) const {
    for (const int32_t page : recalling_) {
        if (store_.first_pos(page) <= position && position <= store_.last_pos(page)) {
            for (int32_t i = 0; i < store_.shape().page_tokens; i++) {
                if (position_of(page, i) == position) {
                    return shadow_.get(page, i, to);
                }
            }
        }
    }
}

int64_t paged_cache::finish_recall() {
    const auto n = (int64_t) recalling_.size() * store_.shape().page_tokens;
    for (const int32_t page : std::exchange(recalling_, {})) {
        shadow_.forget(page);
    }
    return n;
}

std::vector<llama_pos> paged_cache::present_of(const std::vector<llama_pos> & positions) const {
    const auto cells = cells_by_position();
    std::vector<llama_pos> present;
    std::copy_if(positions.begin(), positions.end(), std::back_inserter(present), [&](llama_pos p) { return cells.count(p) > 0; });
    return present;
}

void paged_cache::end_prompt() {
    for (const int32_t page : std::exchange(recalling_, {})) {
        if (store_.depth(page) > prompt_layer_) {
            store_.shallow(page, prompt_layer_);
        }
        if (store_.depth(page) == prompt_layer_) {
            pruner_.leave_out({ page }, prompt_layer_);
        }
    }
    forget_evicted();
    stage_ = prompt_stage::none;
    left_out_.clear();
    store_.set_writable_layers(0, store_.n_layers());
    prompt_bytes_ = 0;
    store_.lend(shadow_.bytes(), 0);
}

bool paged_cache::leaves_any_out() const {
    for (int32_t p = 0; p < store_.n_pages(); p++) {
        if (is_left_out(p)) {
            return true;
        }
    }
    return false;
}

llama_pos paged_cache::whole_before(llama_pos position) const {
    if (position >= pruned_end_) {
        return position;
    }
    for (int32_t p = 0; p < store_.n_pages();) {
        const bool is_near = is_left_out(p) && store_.first_pos(p) < position && store_.last_pos(p) >= position - nearby;
        position = is_near ? store_.first_pos(p) : position;
        p = is_near ? 0 : p + 1;
    }
    return position;
}

bool paged_cache::tells_masses() const {
    return !store_.settings().exact && std::all_of(layers_.begin(), layers_.end(), [&](const layer_nodes & layer) {
        return layer.index < 0 || has_page_mass({ store_.shape(), store_.n_heads_kv(), layer.group, 1 });
    });
}

std::vector<prune_page> paged_cache::prune_pages() const {
    std::vector<prune_page> list;
    for (int32_t p = 0; p < store_.n_pages(); p++) {
        if (store_.n_used(p) > 0) {
            list.push_back({ store_.first_pos(p), store_.last_pos(p), pruner_.describe(p) });
        }
    }
    std::sort(list.begin(), list.end(), [](const auto & a, const auto & b) { return a.first_pos < b.first_pos; });
    return list;
}

llama_pos paged_cache::finish_step() {
    absorb_masses();
    for (const int32_t page : pruner_.all_dropped()) {
        store_.evict(page);
    }
    forget_evicted();
    const int32_t page = store_.take_damaged();
    if (page < 0) {
        return -1;
    }
    const auto & cells = v_cells[0];
    const auto P = (uint32_t) store_.shape().page_tokens;
    llama_pos first = 0;
    bool any = false;
    for (uint32_t i = page * P; i < std::min(cells.size(), (page + 1) * P); i++) {
        if (!cells.is_empty(i)) {
            first = any ? std::min(first, cells.pos_get(i)) : cells.pos_get(i);
            any = true;
        }
    }
    return first;
}

}  // namespace llmm
