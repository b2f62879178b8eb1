#include "draft_pacer.h"

#include <algorithm>
#include <cmath>

namespace llmm {

namespace {

constexpr int32_t least_plain = 4;             // plain steps before the first draft: without them nothing is known
constexpr int32_t most_without_plain = 64;     // then one plain step tells what it takes by now
constexpr double first_account = 1.0;
constexpr double income = 0.015;               // per plain step
constexpr double most_account = 8, least_account = -4;
constexpr double first_slope = 0.4;
constexpr int32_t longest_first = 2;           // while nothing is known of the cost
constexpr double time_gain = 0.1, cost_gain = 0.2, right_gain = 0.15;
constexpr double outlier = 3;                  // a step that takes so many times what it should was disturbed
constexpr double least_profit = 1.03;          // tokens per time of a plain step
constexpr int32_t first_patience = 16, most_patience = 256;
constexpr double first_right[draft_strengths] = { 0.4, 0.55, 0.7 };

}  // namespace

draft_pacer::draft_pacer() : slope_(first_slope), account_(first_account), patience_(first_patience) {
    cost_.fill(0);
    for (size_t s = 0; s < right_.size(); s++) {
        right_[s].fill(first_right[s]);
    }
}

double draft_pacer::cost(int32_t n_drafted) const {
    const double known = cost_[(size_t) n_drafted];
    return known > 0 ? known : 1 + slope_ * n_drafted;
}

int32_t draft_pacer::choose(int32_t strength, int32_t length) {
    if (n_plain_ < least_plain || since_plain_ >= most_without_plain) {
        return 0;
    }
    const auto & right = right_[(size_t) strength];
    double expected = 1, chance = 1, best_rate = 0;
    int32_t best = 0;
    const int32_t most = is_costed_ ? most_draft_tokens : longest_first;
    for (int32_t n = 1; n <= std::min(length, most); n++) {
        chance *= right[(size_t) n - 1];
        expected += chance;
        const double rate = expected / cost(n);
        if (rate > best_rate && cost(n) - 1 <= account_) {    // even if all of it is wrong
            best_rate = rate;
            best = n;
        }
    }
    return best_rate >= least_profit || since_draft_ >= patience_ ? best : 0;
}

void draft_pacer::note_plain(int64_t us) {
    const double seen = plain_us_ > 0 ? std::min((double) us, outlier * plain_us_) : (double) us;
    n_plain_ = std::min(n_plain_ + 1, 1 << 20);
    plain_us_ += std::max(time_gain, 1.0 / n_plain_) * (seen - plain_us_);
    since_plain_ = 0;
    since_draft_++;
    account_ = std::min(most_account, account_ + income);
}

void draft_pacer::note_drafted(int32_t strength, int32_t n_drafted, int32_t n_accepted, int64_t us) {
    const double taken = std::min((double) us / std::max(1.0, plain_us_), outlier * cost(n_drafted));
    is_costed_ = true;
    double & known = cost_[(size_t) n_drafted];
    known = known > 0 ? known + cost_gain * (taken - known) : taken;
    slope_ += cost_gain * (std::max(0.0, (taken - 1) / n_drafted) - slope_);

    auto & right = right_[(size_t) strength];
    for (int32_t i = 0; i < std::min(n_accepted + 1, n_drafted); i++) {
        right[(size_t) i] += right_gain * ((i < n_accepted ? 1.0 : 0.0) - right[(size_t) i]);
    }
    const double gain = 1 + n_accepted - taken;
    account_ = std::clamp(account_ + gain, least_account, most_account);
    if (gain > 0) {
        patience_ = first_patience;
    } else if (since_draft_ >= patience_) {
        patience_ = std::min(2 * patience_, most_patience);
    }
    since_plain_++;
    since_draft_ = 0;
}

}  // namespace llmm
