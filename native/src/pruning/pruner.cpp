#include "pruner.h"

#include "hash_unit.h"
#include "mass_cut.h"

#include "kv/stopwatch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace llmm {

namespace {

constexpr int32_t tests_per_turn = 4;          // at once after a batch: its end is what the next tokens are about
constexpr float average_gain = 0.25f;          // of the newest share in the moving average
constexpr float peak_decay = 0.97f;            // per test
constexpr float peak_weight = 0.3f;            // of the remembered peak, beside the average
constexpr float latest_decay = 0.85f;          // what a selection remembers of the look before
constexpr float stay_factor = 0.7f;            // hysteresis: pruned only where a smaller threshold would prune too
constexpr int32_t least_residency = 64;        // tokens that a page stays active after it was last wanted
constexpr size_t most_recalls = 8;             // pages of a head per test, but for the tests at the beginning of a turn
constexpr float least_share = 0.2f;            // of the average number of pages, for every head (after Ada-KV, arXiv 2407.11550)
constexpr size_t most_events = 65536;
constexpr float surprise = 1.5f;               // nats above the mean
constexpr float entropy_gain = 0.1f;

}  // namespace

pruner::pruner(const prune_settings & settings, int32_t n_layers, int32_t n_heads_kv, int32_t n_pages)
    : settings_(settings), n_heads_(n_heads_kv), n_pages_(n_pages), n_units_(n_layers * n_heads_kv),
      entries_((size_t) n_units_ * n_pages), flags_((size_t) n_units_ * n_pages, 0), n_dropped_((size_t) n_pages, 0),
      told_((size_t) n_pages, prune_event_kind::recalled) {
    forget_all();
}

uint64_t pruner::table_bytes(int32_t n_layers, int32_t n_heads_kv, int32_t n_pages) {
    return (uint64_t) n_layers * n_heads_kv * n_pages * (sizeof(entry) + sizeof(uint8_t) + sizeof(int32_t));
}

void pruner::set_settings(const prune_settings & settings) {
    settings_ = settings;
    if (!settings.prunes()) {
        for (uint8_t & f : flags_) {
            f &= dropped | absent;
        }
    }
    phase_.test_next = 1;
    listed_ = step::stale;
}

// ---- what a step reads ------------------------------------------------------------------------------------------

bool pruner::may_read(const page_facts & page, uint8_t flags, step kind) {
    if (flags & absent) {
        return false;
    }
    if (page.is_protected) {
        return true;
    }
    switch (kind) {
        case step::selected: return flags == 0;
        case step::active:
        case step::look:     return (flags & (pruned | dropped)) == 0;
        default:             return (flags & dropped) == 0;
    }
}

void pruner::plan(const std::vector<page_facts> & pages, int32_t position, int32_t n_tokens) {
    const stopwatch watch(totals_.time_us);
    if (listed_ != step::stale && !std::equal(pages.begin(), pages.end(), pages_.begin(), pages_.end(), [](const page_facts & a, const page_facts & b) {
            return a.page == b.page && a.is_protected == b.is_protected;
        })) {
        listed_ = step::stale;
    }
    pages_ = pages;
    position_ = position;
    kind_ = step::none;
    int32_t total = 0;
    for (const page_facts & p : pages_) {
        total += p.n_tokens;
    }
    if (n_tokens > 1) {
        expect_change();
        phase_.tests_in_turn = 0;
    } else if (settings_.prunes() && total >= settings_.min_tokens) {
        choose_step();
    }
    wants_mass_ = kind_ == step::test || kind_ == step::look;
    reads_all_ = (kind_ == step::none || kind_ == step::test) && any_dropped_ == 0;
    if (!reads_all_ && listed_ != kind_) {
        build_lists();
    }
    if (kind_ != step::none) {
        totals_.steps++;
        read_tokens_ += reads_all_ ? total : listed_tokens_;
    }
}

void pruner::choose_step() {
    phase_.since_test++;
    phase_.since_look++;
    const bool test = phase_.test_next || phase_.tests_in_turn < tests_per_turn || phase_.since_test >= settings_.test_interval;
    if (test) {
        phase_.since_test = phase_.since_look = 0;
        phase_.test_next = 0;
        phase_.tests_in_turn = std::min(phase_.tests_in_turn + 1, tests_per_turn);
    }
    if (settings_.policy != prune_policy::attention) {
        if (test) {
            decide();                          // from nothing that this step would have to find out
        }
        kind_ = step::active;
    } else if (test) {
        kind_ = step::test;
        totals_.tests++;
    } else if (settings_.select_mass >= 1) {
        kind_ = step::active;
    } else if (phase_.since_look < settings_.select_interval) {
        kind_ = step::selected;
    } else {
        kind_ = step::look;
        phase_.since_look = 0;
        totals_.looks++;
    }
}

void pruner::build_lists() {
    listed_ = kind_;
    lists_.resize((size_t) n_units_);
    indices_.clear();
    indices_.reserve((size_t) n_units_ * pages_.size());   // lists point into it
    double tokens = 0;
    for (int32_t u = 0; u < n_units_; u++) {
        const uint8_t * flags = flags_.data() + at(u, 0);
        const size_t begin = indices_.size();
        for (size_t i = 0; i < pages_.size(); i++) {
            const page_facts & p = pages_[i];
            if (may_read(p, flags[p.page], kind_)) {
                indices_.push_back((int32_t) i);
                tokens += p.n_tokens;
            }
        }
        lists_[(size_t) u] = { indices_.data() + begin, (int32_t) (indices_.size() - begin) };
    }
    listed_tokens_ = tokens / n_units_;
}

void pruner::observe_entropy(float entropy) {
    if (!(entropy >= 0)) {
        return;                                // logits that are no numbers
    }
    float & mean = phase_.mean_entropy;
    if (mean >= 0 && entropy > mean + surprise) {
        expect_change();
    }
    mean = mean < 0 ? entropy : mean + entropy_gain * (entropy - mean);
}

// ---- what it found out ------------------------------------------------------------------------------------------

bool pruner::absorb(const float * mass) {
    const stopwatch watch(totals_.time_us);
    wants_mass_ = false;
    const size_t n = pages_.size();
    double omitted = 0;
    for (int32_t u = 0; u < n_units_; u++) {
        const float * m = mass + (size_t) u * n;
        const page_list all = { nullptr, (int32_t) n };
        const page_list & list = reads_all_ ? all : lists_[(size_t) u];
        double total = 0;
        for (int32_t j = 0; j < list.n; j++) {
            total += m[j];
        }
        if (!(total > 0)) {
            continue;
        }
        for (int32_t j = 0; j < list.n; j++) {
            const page_facts & p = pages_[(size_t) (list.index ? list.index[j] : j)];
            const float share = (float) (m[j] / total);
            entry & e = entries_[at(u, p.page)];
            if (kind_ == step::test) {
                if (!may_read(p, flags_[at(u, p.page)], step::selected)) {
                    omitted += share;
                }
                e.peak = std::max(e.peak * peak_decay, share);
                e.average = e.average < 0 ? share : e.average + average_gain * (share - e.average);
            }
            e.latest = std::max(share, latest_decay * e.latest);
        }
    }
    if (kind_ == step::test) {
        omitted /= n_units_;
        omitted_sum_ += omitted;
        totals_.omitted_most = std::max(totals_.omitted_most, omitted);
        decide();
    }
    for (int32_t u = 0; u < n_units_ && settings_.select_mass < 1; u++) {
        select(u);
    }
    listed_ = step::stale;
    return kind_ == step::test;
}

void pruner::absorb_bounds(const std::vector<float> & bounds) {
    const double bound = std::accumulate(bounds.begin(), bounds.end(), 0.0) / n_units_;
    bound_sum_ += bound;
    bounded_steps_++;
    totals_.bound_most = std::max(totals_.bound_most, bound);
}

float pruner::importance(int32_t unit, const page_facts & p) const {
    switch (settings_.policy) {
        case prune_policy::recency: return (float) (p.last_pos + 1);
        case prune_policy::random:  return hash_unit((uint32_t) unit, (uint32_t) p.page);
        default: break;
    }
    const entry & e = entries_[at(unit, p.page)];
    return std::max(e.average, peak_weight * e.peak);
}

// Nothing is known of a page that no test has seen.
bool pruner::is_candidate(int32_t unit, const page_facts & p) const {
    return !p.is_protected && !(flags_[at(unit, p.page)] & dropped) &&
           (settings_.policy != prune_policy::attention || entries_[at(unit, p.page)].average >= 0);
}

void pruner::decide() {
    if (settings_.has_target()) {
        prune_by_target();
    } else {
        for (int32_t u = 0; u < n_units_; u++) {
            prune_by_threshold(u);
        }
    }
    enforce_shadow();
    if (settings_.record) {
        record_events();
    }
    listed_ = step::stale;
}

bool pruner::may_prune_now() const {
    return settings_.policy != prune_policy::attention || phase_.tests_in_turn >= tests_per_turn;
}

void pruner::prune_by_threshold(int32_t unit) {
    values_.clear();
    double total = 0, fixed = 0;
    for (const page_facts & p : pages_) {
        if (is_candidate(unit, p)) {
            values_.push_back(importance(unit, p));
            total += values_.back();
        } else if (p.is_protected) {
            fixed += std::max(0.0f, importance(unit, p));
        }
    }
    total += fixed;
    const float kept = mass_cut(values_.data(), values_.size(), (1 - settings_.threshold) * total - fixed);
    const float stays = mass_cut(values_.data(), values_.size(), (1 - stay_factor * settings_.threshold) * total - fixed);
    ranked_.clear();
    for (size_t i = 0; i < pages_.size(); i++) {
        const page_facts & p = pages_[i];
        if (!is_candidate(unit, p)) {
            continue;
        }
        entry & e = entries_[at(unit, p.page)];
        const float value = importance(unit, p);
        const bool is_pruned = flags_[at(unit, p.page)] & pruned;
        if (value >= kept) {
            if (is_pruned) {
                ranked_.push_back({ value, unit, (int32_t) i });
            } else {
                e.wanted_at = position_;
            }
        } else if (!is_pruned && value < stays && position_ - e.wanted_at >= least_residency && may_prune_now()) {
            set_pruned(unit, p, true);
        }
    }
    if (may_prune_now() && ranked_.size() > most_recalls) {
        std::nth_element(ranked_.begin(), ranked_.begin() + most_recalls, ranked_.end(), std::greater<ranked>());
        ranked_.resize(most_recalls);
    }
    for (const ranked & r : ranked_) {
        const page_facts & p = pages_[(size_t) r.index];
        entries_[at(unit, p.page)].wanted_at = position_;
        set_pruned(unit, p, false);
    }
}

// The pages of all heads compete for one number of places.
void pruner::prune_by_target() {
    if (!may_prune_now()) {
        return;
    }
    // Of the whole text: of what the cache still holds the share would shrink with every page that is dropped.
    const int64_t total = position_ + 1;
    int64_t fixed = 0, page_tokens = 1;
    for (const page_facts & p : pages_) {
        fixed += p.is_protected ? p.n_tokens : 0;
        page_tokens = std::max<int64_t>(page_tokens, p.n_tokens);
    }
    double wanted = settings_.keep_ratio * (double) total;
    if (settings_.max_active > 0) {
        wanted = std::min(wanted, (double) settings_.max_active);
    }
    const double per_unit = std::max(0.0, (wanted - (double) fixed) / (double) page_tokens);       // pages
    const auto sure = (size_t) (least_share * per_unit);
    auto places = (size_t) (per_unit * n_units_);
    ranked_.clear();
    keep_.assign(flags_.size(), 0);
    for (int32_t u = 0; u < n_units_; u++) {
        const size_t begin = ranked_.size();
        for (size_t i = 0; i < pages_.size(); i++) {
            if (is_candidate(u, pages_[i])) {
                ranked_.push_back({ importance(u, pages_[i]), u, (int32_t) i });
            }
        }
        const size_t n = std::min(sure, ranked_.size() - begin);
        std::nth_element(ranked_.begin() + (ptrdiff_t) begin, ranked_.begin() + (ptrdiff_t) (begin + n), ranked_.end(), std::greater<ranked>());
        for (size_t j = begin; j < begin + n; j++) {
            keep_[at(u, pages_[(size_t) ranked_[j].index].page)] = 1;
        }
        ranked_.erase(ranked_.begin() + (ptrdiff_t) begin, ranked_.begin() + (ptrdiff_t) (begin + n));
        places -= std::min(places, n);
    }
    places = std::min(places, ranked_.size());
    std::nth_element(ranked_.begin(), ranked_.begin() + (ptrdiff_t) places, ranked_.end(), std::greater<ranked>());
    for (size_t j = 0; j < places; j++) {
        keep_[at(ranked_[j].unit, pages_[(size_t) ranked_[j].index].page)] = 1;
    }
    for (int32_t u = 0; u < n_units_; u++) {
        for (const page_facts & p : pages_) {
            if (is_candidate(u, p)) {
                set_pruned(u, p, !keep_[at(u, p.page)]);
            }
        }
    }
}

void pruner::set_pruned(int32_t unit, const page_facts & p, bool prune) {
    uint8_t & f = flags_[at(unit, p.page)];
    if (prune == ((f & pruned) != 0)) {
        return;
    }
    f ^= pruned;
    (prune ? totals_.pruned_total : totals_.recalled_total) += (double) p.n_tokens / n_units_;
}

// What the shadow set may not hold is gone for good, the least important first.
void pruner::enforce_shadow() {
    if (settings_.max_shadow < 0) {
        return;
    }
    ranked_.clear();
    int64_t held = 0;
    for (int32_t u = 0; u < n_units_; u++) {
        for (size_t i = 0; i < pages_.size(); i++) {
            const page_facts & p = pages_[i];
            if ((flags_[at(u, p.page)] & (pruned | dropped)) == pruned && !p.is_protected) {
                ranked_.push_back({ importance(u, p), u, (int32_t) i });
                held += p.n_tokens;
            }
        }
    }
    const int64_t most = (int64_t) settings_.max_shadow * n_units_;
    if (held <= most) {
        return;
    }
    std::sort(ranked_.begin(), ranked_.end(), std::less<ranked>());
    for (const ranked & r : ranked_) {
        if (held <= most) {
            break;
        }
        const page_facts & p = pages_[(size_t) r.index];
        flags_[at(r.unit, p.page)] |= dropped;
        n_dropped_[(size_t) p.page]++;
        any_dropped_++;
        held -= p.n_tokens;
    }
}

void pruner::select(int32_t unit) {
    values_.clear();
    double total = 0, fixed = 0;
    for (const page_facts & p : pages_) {
        const float latest = entries_[at(unit, p.page)].latest;
        if (p.is_protected) {
            fixed += latest;
        } else if ((flags_[at(unit, p.page)] & (pruned | dropped)) == 0) {
            values_.push_back(latest);
            total += latest;
        }
    }
    total += fixed;
    const float cut = mass_cut(values_.data(), values_.size(), settings_.select_mass * total - fixed);
    for (const page_facts & p : pages_) {
        uint8_t & f = flags_[at(unit, p.page)];
        const entry & e = entries_[at(unit, p.page)];
        f = (uint8_t) (e.average >= 0 && e.latest < cut ? f | unselected : f & ~unselected);
    }
}

// ---- pages that come and go -------------------------------------------------------------------------------------

void pruner::shrink(int32_t page, int32_t n_left) {
    const auto known = std::find_if(pages_.begin(), pages_.end(), [&](const page_facts & f) { return f.page == page; });
    if (known != pages_.end() && n_left > 0) {
        known->n_tokens = n_left;
    } else if (known != pages_.end()) {
        pages_.erase(known);
    }
    listed_ = step::stale;
}

void pruner::forget(int32_t page, int32_t n_left) {
    shrink(page, n_left);
    for (int32_t u = 0; u < n_units_; u++) {
        entries_[at(u, page)] = {};
        flags_[at(u, page)] = 0;
    }
    any_dropped_ -= n_dropped_[(size_t) page];
    n_dropped_[(size_t) page] = 0;
    told_[(size_t) page] = prune_event_kind::recalled;
}

void pruner::forget_all() {
    std::fill(entries_.begin(), entries_.end(), entry{});
    std::fill(flags_.begin(), flags_.end(), uint8_t{ 0 });
    std::fill(n_dropped_.begin(), n_dropped_.end(), 0);
    std::fill(told_.begin(), told_.end(), prune_event_kind::recalled);
    any_dropped_ = 0;
    pages_.clear();
    phase_ = {};
    wants_mass_ = false;
    listed_ = step::stale;
}

void pruner::leave_out(const std::vector<int32_t> & pages, int32_t first_layer) {
    for (const int32_t page : pages) {
        for (int32_t u = first_layer * n_heads_; u < n_units_; u++) {
            uint8_t & f = flags_[at(u, page)];
            const bool counts = !(f & dropped);
            f |= dropped | absent;
            n_dropped_[(size_t) page] += counts;
            any_dropped_ += counts;
        }
    }
    listed_ = step::stale;
}

void pruner::bring_back(const std::vector<int32_t> & pages, int32_t first_layer) {
    for (const int32_t page : pages) {
        for (int32_t u = first_layer * n_heads_; u < n_units_; u++) {
            const bool counted = flags_[at(u, page)] & dropped;
            flags_[at(u, page)] = 0;
            entries_[at(u, page)] = {};
            n_dropped_[(size_t) page] -= counted;
            any_dropped_ -= counted;
        }
    }
    listed_ = step::stale;
}

std::vector<int32_t> pruner::all_dropped() const {
    std::vector<int32_t> pages;
    for (int32_t p = 0; p < n_pages_ && any_dropped_ >= n_units_; p++) {
        if (n_dropped_[(size_t) p] == n_units_) {
            pages.push_back(p);
        }
    }
    return pages;
}

// ---- for people -------------------------------------------------------------------------------------------------

prune_counters pruner::counters() const {
    prune_counters c = totals_;
    for (const page_facts & p : pages_) {
        for (int32_t u = 0; u < n_units_; u++) {
            const uint8_t f = p.is_protected ? flags_[at(u, p.page)] & dropped : flags_[at(u, p.page)];
            (f & dropped ? c.dropped : f & pruned ? c.shadow : c.active) += (double) p.n_tokens / n_units_;
        }
    }
    c.read = c.steps > 0 ? read_tokens_ / (double) c.steps : 0;
    c.bound_mean = bounded_steps_ > 0 ? bound_sum_ / (double) bounded_steps_ : 0;
    c.omitted_mean = c.tests > 0 ? omitted_sum_ / (double) c.tests : 0;
    return c;
}

page_summary pruner::describe(int32_t page) const {
    page_summary s{};
    for (int32_t u = 0; u < n_units_; u++) {
        const uint8_t f = flags_[at(u, page)];
        s.importance += std::max(0.0f, entries_[at(u, page)].average) / (float) n_units_;
        s.active_share += (f & (pruned | dropped)) == 0 ? 1.0f / (float) n_units_ : 0.0f;
        s.dropped_share += f & dropped ? 1.0f / (float) n_units_ : 0.0f;
    }
    return s;
}

void pruner::record_events() {
    for (const page_facts & p : pages_) {
        const page_summary s = describe(p.page);
        const prune_event_kind now = p.is_protected || s.active_share > 0.5f ? prune_event_kind::recalled
                                     : s.dropped_share > 0.5f                ? prune_event_kind::dropped
                                                                             : prune_event_kind::pruned;
        if (now != told_[(size_t) p.page] && events_.size() < most_events) {
            told_[(size_t) p.page] = now;
            events_.push_back({ position_, p.first_pos, p.last_pos, s.active_share, now });
        }
    }
}

// ---- saved sessions ---------------------------------------------------------------------------------------------

size_t pruner::page_bytes() const {
    return (size_t) n_units_ * (sizeof(entry) + 1);
}

void pruner::save_page(int32_t page, uint8_t * out) const {
    for (int32_t u = 0; u < n_units_; u++, out += sizeof(entry) + 1) {
        std::memcpy(out, &entries_[at(u, page)], sizeof(entry));
        out[sizeof(entry)] = flags_[at(u, page)];
    }
}

void pruner::restore_page(int32_t page, const uint8_t * data) {
    any_dropped_ -= n_dropped_[(size_t) page];
    n_dropped_[(size_t) page] = 0;
    listed_ = step::stale;
    for (int32_t u = 0; u < n_units_; u++, data += sizeof(entry) + 1) {
        entry & e = entries_[at(u, page)];
        std::memcpy(&e, data, sizeof(entry));
        if (!(e.average <= 1 && e.peak >= 0 && e.peak <= 1 && e.latest >= 0 && e.latest <= 1)) {
            e = {};                            // what no run can have written
        }
        const auto f = (uint8_t) (data[sizeof(entry)] & (pruned | unselected | dropped));
        flags_[at(u, page)] = f;
        n_dropped_[(size_t) page] += (f & dropped) != 0;
    }
    any_dropped_ += n_dropped_[(size_t) page];
}

void pruner::restore_phase(const phase & p) {
    phase_ = { p.test_next != 0, std::clamp(p.tests_in_turn, 0, tests_per_turn), std::clamp(p.since_test, 0, 1 << 20), std::clamp(p.since_look, 0, 1 << 20),
               p.mean_entropy >= 0 && p.mean_entropy < 100 ? p.mean_entropy : -1.0f };
}

void pruner::copy_from(const pruner & other) {
    entries_ = other.entries_;
    flags_ = other.flags_;
    n_dropped_ = other.n_dropped_;
    any_dropped_ = other.any_dropped_;
    phase_ = other.phase_;
    listed_ = step::stale;
}

}  // namespace llmm
