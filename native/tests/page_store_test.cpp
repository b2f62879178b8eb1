// The page store against a naive model of it: every page as it was written, or close to it once it has been quantised,
// within the budget, whatever the order of operations.
#include "kv/fault.h"
#include "kv/page_store.h"

#include "ggml.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

namespace llmm_test {
namespace {

using namespace llmm;

constexpr int32_t dim = 16, heads = 2, layers = 3, pages = 40;

// What a page should hold: the floats that were written, by layer, head, slot and dimension, and how exactly.
struct expected_page {
    std::vector<float> keys, values;
    bool exact = true;
    int32_t depth = 0;               // layers at least
};

class store_under_test {
public:
    store_under_test(const kv_settings & settings, uint32_t seed)
        : settings_(settings), store_(std::make_unique<page_store>(settings, dim, heads, layers, pages, 1000)), random_(seed) {}

    page_store & store() { return *store_; }
    std::map<int32_t, expected_page> & expected() { return expected_; }
    size_t evicted() const { return evicted_; }

    // Writes a page anew from slot `from` on, as a step of tokens does, in layers [begin, end).
    void write(int32_t page, int32_t from, int32_t begin = 0, int32_t end = layers) {
        store_->set_writable_layers(begin, end);
        write_layers(page, from, begin, end);
        store_->set_writable_layers(0, layers);
    }

    // Whether only the first layers have the page.
    bool is_shallow(int32_t page) const { return store_->depth(page) > 0 && store_->depth(page) < layers; }

    void write_layers(int32_t page, int32_t from, int32_t begin, int32_t end) {
        const std::vector<int32_t> list = { page };
        newest_ += settings_.page_tokens;
        store_->maintain(newest_, settings_.page_tokens, list);
        if (const auto known = expected_.find(page); known != expected_.end()) {
            known->second.exact = known->second.exact && store_->format(page) == page_format::f16;
        }
        const bool room = store_->make_room(list);
        forget();
        if (!room || !store_->reserve(list)) {
            forget();
            refused_++;
            return;
        }
        forget();
        expected_page & e = expected_[page];
        if (e.keys.empty()) {
            e.keys.assign(floats(), 0.0f);
            e.values = e.keys;
            e.exact = true;
        }
        std::normal_distribution<float> normal;
        float k[dim], v[dim];
        e.depth = std::max(e.depth, end);
        for (int32_t l = begin; l < end; l++) {
            for (int32_t h = 0; h < heads; h++) {
                for (int32_t t = from; t < settings_.page_tokens; t++) {
                    for (int32_t d = 0; d < dim; d++) {
                        k[d] = e.keys[at(l, h, t, d)] = half(normal(random_));
                        v[d] = e.values[at(l, h, t, d)] = half(normal(random_));
                    }
                    kernels().store(store_->shape(), store_->block(l, page, h), t, k, v);
                }
            }
        }
        store_->describe(page, settings_.page_tokens, newest_, newest_ + settings_.page_tokens - 1);
        position_[page] = newest_ + settings_.page_tokens - 1;
    }

    void set_budget(uint64_t bytes) {
        store_->set_budget(bytes);
        forget();
    }

    void remove(int32_t page) {
        store_->describe(page, 0, 0, -1);
        expected_.erase(page);
        newest_ = 0;
        for (const auto & e : expected_) {
            newest_ = std::max(newest_, position_[e.first] + 1);
        }
    }

    void fork_to(store_under_test & child) {
        ASSERT_TRUE(child.store_->share_from(*store_));
        child.expected_ = expected_;
        child.position_ = position_;
        child.newest_ = newest_;
    }

    void check(int32_t page) {
        const auto found = expected_.find(page);
        if (found == expected_.end()) {
            EXPECT_EQ(page_format::none, store_->format(page));
            return;
        }
        ASSERT_NE(page_format::none, store_->format(page)) << "page " << page << " is lost";
        expected_page & e = found->second;
        e.exact = e.exact && store_->format(page) == page_format::f16;
        ASSERT_GE(store_->depth(page), e.depth);
        for (int32_t l = 0; l < layers; l++) {
            ASSERT_EQ(l < store_->depth(page), store_->layer(l)[page].format != page_format::none);
        }
        const head_shape & s = store_->shape();
        std::vector<uint8_t> block(block_bytes(s, page_format::f16)), wide(block.size());
        for (int32_t l = 0; l < store_->depth(page); l++) {
            for (int32_t h = 0; h < heads; h++) {
                ASSERT_TRUE(store_->read(l, page, h, block.data()));
                const uint8_t * data = block.data();
                if (store_->format(page) != page_format::f16) {
                    kernels().dequantize(s, store_->format(page), block.data(), wide.data());
                    data = wide.data();
                }
                const auto * x = reinterpret_cast<const ggml_fp16_t *>(data);
                double error = 0, norm = 0;
                for (int32_t t = 0; t < s.page_tokens; t++) {
                    for (int32_t d = 0; d < dim; d++) {
                        const double k = ggml_fp16_to_fp32(x[(t / 16) * 16 * dim + 16 * d + t % 16]) - e.keys[at(l, h, t, d)];
                        const double v = ggml_fp16_to_fp32(x[s.elements() + (size_t) t * dim + d]) - e.values[at(l, h, t, d)];
                        error += k * k + v * v;
                        norm += 2;
                    }
                }
                // Noise does not forgive 2 bits per value, the less so when parts of a page are written anew and it is
                // quantised again; a page that is not its own would be off by sqrt(2).
                ASSERT_LE(std::sqrt(error / norm), e.exact ? 0.0 : 1.2) << "page " << page << " in format " << (int) store_->format(page)
                    << ", layer " << l << " in " << (int) store_->layer(l)[page].format << " of " << store_->depth(page);
            }
        }
    }

    void check_all() {
        for (int32_t p = 0; p < pages; p++) {
            check(p);
        }
    }

    void check_budget() {
        const kv_counters c = store_->counters();
        if (store_->settings().budget_bytes != 0) {
            ASSERT_LE(c.bytes_total, store_->settings().budget_bytes);
        }
        uint64_t sum = 0;
        int32_t n = c.pages_spilled;
        for (int f = 1; f < page_formats; f++) {
            sum += c.bytes[f];
            n += c.pages[f];
        }
        ASSERT_EQ(expected_.size(), (size_t) n);
        ASSERT_LE(sum, c.bytes_total);
    }

private:
    void forget() {
        for (const int32_t p : store_->take_evicted()) {
            ASSERT_TRUE(settings_.evict);
            ASSERT_GE(p, 0);
            ASSERT_LE(position_[p], newest_ - settings_.recent_tokens + settings_.page_tokens) << "a recent page was evicted";
            ASSERT_FALSE(expected_.find(p) == expected_.end());
            expected_.erase(p);
            store_->describe(p, 0, 0, -1);
            evicted_++;
        }
    }

    static float half(float x) { return ggml_fp16_to_fp32(ggml_fp32_to_fp16(x)); }
    size_t floats() const { return (size_t) layers * heads * settings_.page_tokens * dim; }
    size_t at(int32_t l, int32_t h, int32_t t, int32_t d) const {
        return (((size_t) l * heads + h) * settings_.page_tokens + t) * dim + d;
    }

    kv_settings settings_;
    std::unique_ptr<page_store> store_;
    std::mt19937 random_;
    std::map<int32_t, expected_page> expected_;
    std::map<int32_t, int32_t> position_;
    int32_t newest_ = 0;
    size_t evicted_ = 0;
    size_t refused_ = 0;
};

kv_settings settings(kv_quantize quantize, bool evict, bool spill) {
    kv_settings s;
    s.page_tokens = 16;
    s.quantize = quantize;
    s.evict = evict;
    s.recent_tokens = 48;
    s.pinned_tokens = 16;
    if (spill) {
        s.spill_dir = std::filesystem::temp_directory_path() / ("llmm-store-" + std::to_string(getpid()));
    }
    s.budget_bytes = 0;
    return s;
}

uint64_t budget_for(kv_settings s, int32_t n_pages) {
    s.budget_bytes = 1 << 24;
    const page_store empty(s, dim, heads, layers, pages, 1000);
    return empty.counters().bytes_total + (uint64_t) (n_pages + 1) * layers * heads * block_bytes({ dim, s.page_tokens }, page_format::f16);
}

struct variant {
    kv_quantize quantize;
    bool evict;
    bool spill;
    int32_t budget_pages;            // 0: none
};

class Store : public ::testing::TestWithParam<variant> {};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int operations = 1500;
#else
constexpr int operations = 12500;                // by eight variants: 100,000
#endif

TEST_P(Store, RandomOperationsLoseNothing) {
    const variant & v = GetParam();
    kv_settings s = settings(v.quantize, v.evict, v.spill);
    s.budget_bytes = v.budget_pages > 0 ? budget_for(s, v.budget_pages) : 0;
    std::mt19937 random(7);
    std::vector<std::unique_ptr<store_under_test>> stores;
    stores.push_back(std::make_unique<store_under_test>(s, 1));
    for (int i = 0; i < operations; i++) {
        store_under_test & one = *stores[random() % stores.size()];
        const auto page = (int32_t) (random() % pages);
        switch (random() % 16) {
            case 0: case 1: one.remove(page); break;
            case 2: one.set_budget(v.budget_pages > 0 ? budget_for(s, (int32_t) (v.budget_pages - 2 + random() % 5)) : 0); break;
            case 3: {
                std::vector<float> shares(pages);
                shares[(size_t) page] = 1.0f;
                one.store().observe(shares);
                break;
            }
            case 4:
                if (stores.size() < 4 && random() % 8 == 0) {
                    kv_settings same = s;
                    same.budget_bytes = one.store().settings().budget_bytes;
                    auto child = std::make_unique<store_under_test>(same, (uint32_t) i);
                    one.fork_to(*child);
                    stores.push_back(std::move(child));
                } else if (stores.size() > 1 && random() % 8 == 0) {
                    stores.erase(stores.begin() + (std::ptrdiff_t) (random() % stores.size()));
                }
                break;
            case 5: one.check(page); break;
            case 6: case 7:
                // Pages that only the first layers have, which others may get later.
                if (one.expected().count(page) == 0) {
                    one.write(page, 0, 0, 1 + (int32_t) (random() % 2));
                } else if (one.is_shallow(page)) {
                    one.write(page, 0, one.store().depth(page), layers);
                }
                break;
            default: one.write(page, one.expected().count(page) ? (int32_t) (random() % 16) : 0); break;
        }
        if (HasFatalFailure()) {
            FAIL() << "after " << i << " operations";
        }
        if (i % 50 == 0) {
            for (const auto & each : stores) {
                each->check_all();
                each->check_budget();
                if (HasFatalFailure()) {
                    FAIL() << "after " << i << " operations";
                }
            }
        }
    }
}

// Any allocation, write or read may fail, every k-th of them does: pages stay what they were, and the counters agree.
TEST_P(Store, FailuresLoseNothing) {
    const variant & v = GetParam();
    kv_settings s = settings(v.quantize, v.evict, v.spill);
    s.budget_bytes = v.budget_pages > 0 ? budget_for(s, v.budget_pages) : 0;
    for (const auto point : { fault::point::allocate, fault::point::write, fault::point::read }) {
        for (const uint32_t every : { 2u, 7u, 40u }) {
            store_under_test one(s, every);
            std::mt19937 random(every);
            for (int i = 0; i < 200; i++) {
                const auto page = (int32_t) (random() % pages);
                {
                    const fault::scope fails(point, every);
                    if (one.expected().count(page) == 0) {
                        one.write(page, 0, 0, 1 + (int32_t) (random() % layers));
                    } else if (one.is_shallow(page)) {
                        one.write(page, 0, one.store().depth(page), layers);
                    } else {
                        one.write(page, (int32_t) (random() % 16));
                    }
                }
                if (random() % 6 == 0) {
                    one.remove(page);
                }
                one.check_all();
                one.check_budget();
                if (HasFatalFailure()) {
                    FAIL() << "point " << (int) point << ", every " << every << ", after " << i;
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, Store, ::testing::Values(
    variant{ kv_quantize::f16, false, false, 0 }, variant{ kv_quantize::q4, false, false, 0 },
    variant{ kv_quantize::adaptive, false, false, 16 }, variant{ kv_quantize::smallest, true, false, 12 },
    variant{ kv_quantize::f16, true, false, 10 }, variant{ kv_quantize::f16, false, true, 10 },
    variant{ kv_quantize::adaptive, false, true, 10 }, variant{ kv_quantize::adaptive, true, true, 8 }));

TEST(StoreDepth, PagesOfTheFirstLayersTakeTheirMemoryOnly) {
    store_under_test one(settings(kv_quantize::q4, false, false), 1), other(settings(kv_quantize::q4, false, false), 1);
    for (int32_t p = 0; p < 12; p++) {
        one.write(p, 0, 0, 1);
        other.write(p, 0);
    }
    const auto bytes = [](store_under_test & s, page_format f) { return s.store().counters().bytes[(int) f]; };
    ASSERT_GT(bytes(other, page_format::q4), 0u);
    EXPECT_EQ(bytes(other, page_format::q4), 3 * bytes(one, page_format::q4));
    EXPECT_EQ(bytes(other, page_format::f16), 3 * bytes(one, page_format::f16));
    // A page that goes on keeps what it has in the first layers as it is.
    ASSERT_EQ(page_format::q4, one.store().format(2));
    one.write(2, 0, 1, layers);
    EXPECT_EQ(page_format::q4, one.store().layer(0)[2].format);
    EXPECT_EQ(page_format::f16, one.store().layer(1)[2].format);
    one.check_all();
    for (int32_t p = 12; p < 20; p++) {
        one.write(p, 0);                         // in time all of it is quantised
    }
    for (int32_t l = 0; l < layers; l++) {
        EXPECT_EQ(page_format::q4, one.store().layer(l)[2].format);
    }
    one.check_all();
}

TEST(StoreDepth, WhatIsLentCountsInTheBudget) {
    kv_settings s = settings(kv_quantize::f16, false, false);
    s.budget_bytes = budget_for(s, 10);
    store_under_test one(s, 1);
    const uint64_t page = (uint64_t) layers * heads * block_bytes({ dim, s.page_tokens }, page_format::f16);
    EXPECT_FALSE(one.store().lend(9 * page, 4 * s.page_tokens));
    ASSERT_TRUE(one.store().lend(3 * page, 4 * s.page_tokens));
    const uint64_t before = one.store().counters().bytes_total;
    for (int32_t p = 0; p < 12; p++) {
        one.write(p, 0);
    }
    one.check_budget();
    EXPECT_GE(one.store().counters().bytes_total, before + 5 * page);
    EXPECT_LT(one.expected().size(), 9u) << "the others were refused";
    ASSERT_TRUE(one.store().lend(0, 0));
    one.write(20, 0);
    one.check(20);
    EXPECT_TRUE(one.expected().count(20));
}

TEST(StoreEviction, TakesThePageThatAttentionUsesLeast) {
    kv_settings s = settings(kv_quantize::f16, true, false);
    s.budget_bytes = budget_for(s, 12);
    store_under_test one(s, 1);
    for (int32_t p = 0; p < 10; p++) {
        one.write(p, 0);
    }
    std::vector<float> shares(pages, 0.1f);
    shares[5] = 0.0f;
    for (int i = 0; i < 5; i++) {
        one.store().observe(shares);
    }
    EXPECT_EQ(5, one.store().evict_one({}));
    shares[0] = shares[3] = 0.0f;                // no page here has positions that are pinned
    for (int i = 0; i < 200; i++) {
        one.store().observe(shares);
    }
    const int32_t next = one.store().evict_one({});
    EXPECT_TRUE(next == 0 || next == 3) << next;
}

}  // namespace
}  // namespace llmm_test
