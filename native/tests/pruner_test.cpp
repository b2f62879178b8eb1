// What is pruned, kept, recalled and dropped, without a model: masses come from here.
#include "pruning/mass_cut.h"
#include "pruning/pruner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>
#include <vector>

using namespace llmm;

namespace {

constexpr int32_t layers = 2, heads = 3, units = layers * heads, page_tokens = 16;

// A cache that grows a token at a time, its attention given by a number for each page of each head.
class world {
public:
    world(const prune_settings & settings, int32_t n_pages, uint32_t seed)
        : n_pages_(n_pages), pruner_(settings, layers, heads, n_pages), weight_((size_t) units * n_pages), random_(seed) {
        for (float & w : weight_) {
            w = std::exp(2.5f * std::normal_distribution<float>()(random_));
        }
    }

    pruner & p() { return pruner_; }
    std::vector<float> & weights() { return weight_; }
    float & weight(int32_t unit, int32_t page) { return weight_[(size_t) unit * n_pages_ + page]; }
    int32_t length() const { return length_; }
    int32_t cached() const {
        int32_t n = 0;
        for (const page_facts & f : facts()) {
            n += f.n_tokens;
        }
        return n;
    }
    void remove(int32_t page) {
        gone_.insert(page);
        pruner_.forget(page);
    }

    // Takes the newest tokens back.
    void rewind(int32_t length) {
        for (int32_t page = length / page_tokens; page * page_tokens < length_; page++) {
            pruner_.forget(page, std::max(0, length - page * page_tokens));
            if (page * page_tokens >= length) {
                gone_.erase(page);
            }
        }
        length_ = length;
        pruner_.expect_change();
    }

    // Pages of the cache; the first and the last two are protected.
    std::vector<page_facts> facts() const {
        std::vector<page_facts> list;
        const int32_t used = (length_ + page_tokens - 1) / page_tokens;
        for (int32_t i = 0; i < used; i++) {
            if (!gone_.count(i)) {
                const int32_t n = std::min(page_tokens, length_ - i * page_tokens);
                list.push_back({ i, n, i * page_tokens, i * page_tokens + n - 1, i == 0 || i + 2 >= used });
            }
        }
        return list;
    }

    // Pages that a head reads, after a step of n tokens.
    std::vector<std::set<int32_t>> step(int32_t n) {
        length_ += n;
        const std::vector<page_facts> pages = facts();
        pruner_.plan(pages, length_ - n, n);
        std::vector<std::set<int32_t>> read((size_t) units);
        std::vector<float> mass((size_t) units * pages.size(), NAN);
        for (int32_t u = 0; u < units; u++) {
            const page_list * chosen = pruner_.chosen(u / heads);
            const page_list list = chosen ? chosen[u % heads] : page_list{ nullptr, (int32_t) pages.size() };
            double total = 0;
            for (int32_t j = 0; j < list.n; j++) {
                const int32_t page = pages[(size_t) (list.index ? list.index[j] : j)].page;
                read[(size_t) u].insert(page);
                mass[(size_t) u * pages.size() + j] = weight(u, page);
                total += weight(u, page);
            }
            for (int32_t j = 0; j < list.n; j++) {
                mass[(size_t) u * pages.size() + j] *= (float) (3 / total);       // three query heads
            }
        }
        tested_ = pruner_.wants_mass() && pruner_.absorb(mass.data());
        return read;
    }

    bool tested() const { return tested_; }

    // Pages that a head would not read in any step but a test.
    std::vector<std::set<int32_t>> hidden() {
        std::vector<std::set<int32_t>> out((size_t) units);
        std::vector<uint8_t> bytes(pruner_.page_bytes());
        const size_t each = bytes.size() / units;
        for (const page_facts & f : facts()) {
            pruner_.save_page(f.page, bytes.data());
            for (int32_t u = 0; u < units; u++) {
                if (!f.is_protected && (bytes[(u + 1) * each - 1] & 5) != 0) {    // pruned or dropped
                    out[(size_t) u].insert(f.page);
                }
            }
        }
        return out;
    }

private:
    int32_t n_pages_, length_ = 0;
    pruner pruner_;
    std::vector<float> weight_;
    std::set<int32_t> gone_;
    bool tested_ = false;
    std::mt19937 random_;
};

prune_settings settings_of(float threshold) {
    prune_settings s;
    s.threshold = threshold;
    s.select_mass = 1;
    s.test_interval = 4;
    s.min_tokens = 0;
    return s;
}

prune_settings ratio_of(float keep, prune_policy policy = prune_policy::attention) {
    prune_settings s = settings_of(0);
    s.keep_ratio = keep;
    s.policy = policy;
    return s;
}

double share_kept(const world & w, const std::set<int32_t> & read, int32_t unit) {
    double all = 0, kept = 0;
    for (const page_facts & f : w.facts()) {
        const float x = const_cast<world &>(w).weight(unit, f.page);
        all += x;
        kept += read.count(f.page) ? x : 0;
    }
    return kept / all;
}

}  // namespace

TEST(MassCut, IsTheLeastOfTheFewestThatSuffice) {
    std::mt19937 random(1);
    for (int round = 0; round < 3000; round++) {
        std::vector<float> values(random() % 60);
        for (float & v : values) {
            v = random() % 3 == 0 ? (float) (random() % 4) : std::exp(std::normal_distribution<float>()(random));
        }
        std::vector<float> sorted = values;
        std::sort(sorted.begin(), sorted.end(), std::greater<float>());
        const double total = std::accumulate(sorted.begin(), sorted.end(), 0.0);
        const double wanted = total * (double) (random() % 120) / 100.0;
        const float cut = mass_cut(values.data(), values.size(), wanted);
        std::vector<float> after = values;
        std::sort(after.begin(), after.end(), std::greater<float>());
        ASSERT_EQ(sorted, after) << "it may reorder and no more";
        double sum = 0;
        float want = 0;
        for (const float v : sorted) {
            sum += v;
            if (sum >= wanted) {
                want = v;
                break;
            }
        }
        ASSERT_EQ(wanted <= 0 ? INFINITY : want, cut) << "round " << round;
    }
}

TEST(Pruner, NothingIsPrunedWithoutAWish) {
    world w(settings_of(0), 64, 1);
    w.step(500);
    for (int i = 0; i < 100; i++) {
        w.step(1);
        ASSERT_EQ(nullptr, w.p().chosen(0));
        ASSERT_FALSE(w.p().wants_mass());
    }
    EXPECT_EQ(0, w.p().counters().steps);
}

TEST(Pruner, ShortContextsAreReadWhole) {
    prune_settings s = settings_of(0.2f);
    s.min_tokens = 300;
    world w(s, 64, 1);
    w.step(200);
    while (w.length() < 299) {
        w.step(1);
        ASSERT_EQ(nullptr, w.p().chosen(0));
        ASSERT_FALSE(w.p().wants_mass());
    }
    w.step(1);
    EXPECT_TRUE(w.tested());
}

TEST(Pruner, WhatIsPrunedHoldsNoMoreThanTheThreshold) {
    for (const float threshold : { 0.001f, 0.01f, 0.1f, 0.5f, 1.0f }) {
        world w(settings_of(threshold), 128, 2);
        w.step(1500);
        for (int i = 0; i < 60; i++) {
            const auto read = w.step(1);
            for (int32_t u = 0; u < units; u++) {
                ASSERT_GE(share_kept(w, read[u], u), 1 - threshold - 1e-4) << "threshold " << threshold << " step " << i;
            }
        }
        EXPECT_GT(w.p().counters().shadow, 0) << threshold;
        EXPECT_LE(w.p().counters().omitted_most, threshold + 1e-4);
    }
}

TEST(Pruner, ALargerThresholdPrunesAtLeastAsMuch) {
    for (const int seed : { 1, 2, 3, 4 }) {
        std::vector<world> worlds;
        for (const float threshold : { 0.0f, 0.003f, 0.01f, 0.05f, 0.2f, 0.9f }) {
            worlds.emplace_back(settings_of(threshold), 160, seed);
        }
        std::mt19937 random(seed);
        for (world & w : worlds) {
            w.step(1200);
        }
        for (int i = 0; i < 400; i++) {
            const int32_t n = random() % 60 == 0 ? 1 + (int32_t) (random() % 20) : 1;
            for (int k = 0; k < 8; k++) {
                const int32_t u = (int32_t) (random() % units), page = (int32_t) (random() % 160);
                const float weight = std::exp(2.5f * std::normal_distribution<float>()(random));
                for (world & w : worlds) {
                    w.weight(u, page) = weight;
                }
            }
            std::vector<std::set<int32_t>> less;
            for (world & w : worlds) {
                w.step(n);
                const auto hidden = w.hidden();
                for (int32_t u = 0; u < units && !less.empty(); u++) {
                    ASSERT_TRUE(std::includes(hidden[u].begin(), hidden[u].end(), less[u].begin(), less[u].end())) << "step " << i;
                }
                less = hidden;
            }
        }
    }
}

TEST(Pruner, ATargetIsMet) {
    for (const prune_policy policy : { prune_policy::attention, prune_policy::recency, prune_policy::random }) {
        for (const float keep : { 0.25f, 0.5f, 0.75f }) {
            world w(ratio_of(keep, policy), 128, 3);
            w.step(1600);
            for (int i = 0; i < 40; i++) {
                w.step(1);
            }
            const prune_counters c = w.p().counters();
            EXPECT_NEAR(keep, c.active / w.length(), 0.03) << (int) policy;
            EXPECT_NEAR(w.length(), c.active + c.shadow, 0.01);
        }
    }
    prune_settings s = settings_of(0);
    s.max_active = 400;
    world w(s, 128, 3);
    w.step(1600);
    for (int i = 0; i < 40; i++) {
        w.step(1);
    }
    EXPECT_NEAR(400, w.p().counters().active, page_tokens * 2);
}

TEST(Pruner, RecencyKeepsTheNewest) {
    world w(ratio_of(0.5f, prune_policy::recency), 128, 4);
    w.step(1600);
    for (int i = 0; i < 5; i++) {
        w.step(1);
    }
    for (const auto & hidden : w.hidden()) {
        ASSERT_FALSE(hidden.empty());
        EXPECT_EQ(1, *hidden.begin()) << "the first page is protected";
        EXPECT_EQ((int32_t) hidden.size(), *hidden.rbegin());
    }
}

TEST(Pruner, WhatMattersAgainComesBack) {
    world w(settings_of(0.02f), 128, 5);
    w.step(1500);
    for (int i = 0; i < 40; i++) {
        w.step(1);
    }
    const int32_t page = *w.hidden()[4].begin();
    double total = 0;
    for (const page_facts & f : w.facts()) {
        total += w.weight(4, f.page);
    }
    w.weight(4, page) = (float) total;         // half of all attention
    int32_t steps = 0;
    while (w.hidden()[4].count(page)) {
        w.step(1);
        ASSERT_LE(++steps, w.p().settings().test_interval);
    }
    EXPECT_GE(w.p().counters().recalled_total, page_tokens / (double) units - 1e-9);
    for (int i = 0; i < 64; i++) {             // and stays a while, wanted or not
        w.weight(4, page) = 0;
        w.step(1);
        ASSERT_EQ(0u, w.hidden()[4].count(page)) << i;
    }
}

TEST(Pruner, ASurpriseAndATurnAreTestsAtOnce) {
    prune_settings s = settings_of(0.02f);
    s.test_interval = 1000;
    world w(s, 128, 6);
    w.step(1500);
    for (int i = 0; i < 20; i++) {
        w.step(1);
        EXPECT_EQ(i < 4, w.tested()) << "the first steps of a turn";
    }
    w.p().expect_change();
    w.step(1);
    EXPECT_TRUE(w.tested());
    for (const float entropy : { 2.0f, 2.5f, NAN, 3.0f, 0.1f }) {
        w.p().observe_entropy(entropy);
        w.step(1);
        EXPECT_FALSE(w.tested()) << entropy;
    }
    w.p().observe_entropy(3.6f);
    w.step(1);
    EXPECT_TRUE(w.tested());
    w.step(5);
    w.step(1);
    EXPECT_TRUE(w.tested());
}

TEST(Pruner, ASelectionReadsLess) {
    prune_settings s = settings_of(0.01f);
    s.select_mass = 0.9f;
    s.test_interval = 1000;
    world w(s, 128, 7);
    w.step(1500);
    for (int i = 0; i < 5; i++) {
        w.step(1);
    }
    for (int i = 0; i < 20; i++) {
        const auto read = w.step(1);
        const auto hidden = w.hidden();
        for (int32_t u = 0; u < units; u++) {
            ASSERT_GE(share_kept(w, read[u], u), 0.9 * 0.99 - 1e-3);
        }
    }
    EXPECT_LT(w.p().counters().read, w.p().counters().active);
    EXPECT_GT(w.p().counters().looks, 3);
}

TEST(Pruner, RandomLifeLosesNothing) {
    for (const int32_t shadow : { -1, 0, 100 }) {
        prune_settings s = settings_of(0.05f);
        s.max_shadow = shadow;
        s.record = true;
        world w(s, 140, 8);
        std::mt19937 random(8);
        w.step(900);
        for (int i = 0; i < 34000; i++) {
            const uint32_t dice = random() % 1000;
            if (w.length() > 2100 || dice < 2) {
                w.rewind(random() % 8 == 0 ? 0 : (int32_t) (random() % (uint32_t) w.length()));
            } else if (dice < 8) {
                w.step(1 + (int32_t) (random() % 100));
            } else if (dice < 12) {
                w.p().expect_change();
            } else if (dice < 15) {
                s.threshold = (float) (random() % 100) / 1000;
                w.p().set_settings(s);
            } else {
                for (int k = 0; k < 4; k++) {
                    w.weight((int32_t) (random() % units), (int32_t) (random() % 140)) = std::exp(2.5f * std::normal_distribution<float>()(random));
                }
                const auto read = w.step(1);
                for (const page_facts & f : w.facts()) {
                    for (int32_t u = 0; u < units && f.is_protected; u++) {
                        ASSERT_TRUE(read[u].count(f.page)) << "protected";
                    }
                }
            }
            const prune_counters c = w.p().counters();
            ASSERT_NEAR(w.cached(), c.active + c.shadow + c.dropped, 0.01) << "operation " << i;
            if (shadow >= 0 && w.tested()) {
                ASSERT_LE(c.shadow, shadow + 1e-6);
            }
            if (shadow < 0) {
                ASSERT_EQ(0, c.dropped);
            }
            for (const int32_t page : w.p().all_dropped()) {
                w.remove(page);
            }
        }
        EXPECT_FALSE(w.p().take_events().empty());
        EXPECT_TRUE(w.p().take_events().empty());
    }
}

TEST(Pruner, ARestoredOneDecidesTheSame) {
    prune_settings s = settings_of(0.03f);
    s.select_mass = 0.95f;
    s.max_shadow = 600;
    world a(s, 128, 9), b(s, 128, 9);
    a.step(1500);
    b.step(1500);
    for (int i = 0; i < 37; i++) {
        a.step(1);
    }
    std::vector<uint8_t> bytes(a.p().page_bytes());
    while (b.length() < a.length()) {
        b.step(a.length() - b.length());
    }
    b.p().forget_all();
    for (int32_t p = 0; p < 128; p++) {
        a.p().save_page(p, bytes.data());
        b.p().restore_page(p, bytes.data());
    }
    b.p().restore_phase(a.p().current_phase());
    world c(s, 128, 9);
    c.step(1537);
    c.p().copy_from(a.p());
    for (int i = 0; i < 60; i++) {
        const auto expected = a.step(1);
        ASSERT_EQ(expected, b.step(1)) << "step " << i;
        ASSERT_EQ(expected, c.step(1)) << "step " << i;
    }
}

TEST(Pruner, AnyBytesAreAState) {
    world w(settings_of(0.03f), 128, 10);
    w.step(900);
    std::mt19937 random(10);
    std::vector<uint8_t> bytes(w.p().page_bytes());
    for (int round = 0; round < 200; round++) {
        for (uint8_t & b : bytes) {
            b = (uint8_t) random();
        }
        w.p().restore_page((int32_t) (random() % 57), bytes.data());
        w.p().restore_phase({ (int32_t) random(), (int32_t) random(), (int32_t) random(), (int32_t) random(), NAN });
        w.step(1);
        const prune_counters c = w.p().counters();
        ASSERT_NEAR(w.cached(), c.active + c.shadow + c.dropped, 0.01);
    }
}
