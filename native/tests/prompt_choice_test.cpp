// What later layers see of a prompt.
#include "pruning/lexical_match.h"
#include "pruning/prompt_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace llmm_test {
namespace {

using namespace llmm;

constexpr int32_t n_pages = 40, P = 16;

std::vector<prompt_choice::page> prompt() {
    std::vector<prompt_choice::page> pages;
    for (int32_t p = 0; p < n_pages; p++) {
        pages.push_back({ p, P, p * P + P - 1, p == 0 || p >= n_pages - 3 });
    }
    return pages;
}

// Page i of all has a mass of masses[i] for each of two heads.
prompt_choice seen(const std::vector<float> & masses) {
    std::vector<int32_t> pages;
    for (int32_t p = 0; p < n_pages; p++) {
        pages.push_back(p);
    }
    prompt_choice choice(n_pages);
    choice.add(masses.data(), { nullptr, n_pages }, pages);
    choice.add(masses.data(), { nullptr, n_pages }, pages);
    return choice;
}

std::vector<int32_t> kept(const std::vector<int32_t> & out) {
    std::vector<int32_t> list;
    for (int32_t p = 0; p < n_pages; p++) {
        if (!std::binary_search(out.begin(), out.end(), p)) {
            list.push_back(p);
        }
    }
    return list;
}

std::vector<float> masses_with_peaks(const std::vector<int32_t> & peaks) {
    std::vector<float> masses(n_pages, 0.001f);
    for (size_t i = 0; i < peaks.size(); i++) {
        masses[(size_t) peaks[i]] = 1.0f - 0.01f * (float) i;
    }
    return masses;
}

}  // namespace

TEST(PromptChoice, HalfIsTheNewestAndTheRestWhatMatters) {
    const prompt_choice choice = seen(masses_with_peaks({ 20, 5, 11 }));
    // 12 pages: 6 newest of which 3 stay anyhow, the first one, 5 by mass.
    const std::vector<int32_t> list = kept(choice.leave_out(prompt(), 12 * P, prune_policy::attention));
    EXPECT_EQ(12u, list.size());
    for (const int32_t p : { 0, 5, 11, 20, 34, 35, 36, 37, 38, 39 }) {
        EXPECT_TRUE(std::count(list.begin(), list.end(), p)) << p;
    }
}

TEST(PromptChoice, PagesThatShareWordsStayUpToAQuarter) {
    prompt_choice choice = seen(masses_with_peaks({ 20, 5, 11 }));
    std::vector<int32_t> pages(n_pages);
    std::iota(pages.begin(), pages.end(), 0);
    std::vector<float> words(n_pages, 0.0f);
    words[7] = 4, words[8] = 1, words[9] = 3, words[13] = 2.5f, words[15] = 2.0f, words[17] = 2.1f;
    choice.add_words(pages, words);
    const std::vector<int32_t> list = kept(choice.leave_out(prompt(), 12 * P, prune_policy::attention));
    EXPECT_EQ(12u, list.size());
    for (const int32_t p : { 7, 9, 13 }) {
        EXPECT_TRUE(std::count(list.begin(), list.end(), p)) << p;
    }
    for (const int32_t p : { 8, 15, 17 }) {
        EXPECT_FALSE(std::count(list.begin(), list.end(), p)) << p << " has too little, or no place";
    }
    choice.add_words(pages, std::vector<float>(n_pages, 1.0f));
    EXPECT_FALSE(choice.is_better(9, 20)) << "all share as much: that says nothing";
    choice.add_words(pages, words);
    EXPECT_TRUE(choice.is_better(9, 13) && choice.is_better(15, 20) && choice.is_better(20, 8)) << "words before attention";
    EXPECT_EQ(seen(masses_with_peaks({ 20 })).leave_out(prompt(), 12 * P, prune_policy::recency), choice.leave_out(prompt(), 12 * P, prune_policy::recency));
    choice.forget();
    EXPECT_FALSE(choice.is_better(9, 13));
}

TEST(LexicalMatch, RareWordsAndTheirNeighboursCount) {
    // "the secret code": 3 is everywhere, 40 and 41 only where the fact is, 41 alone elsewhere.
    std::vector<page_text> pages;
    for (int32_t p = 0; p < 10; p++) {
        pages.push_back({ p * 4, { 3, 5 + p, 3, 6 + p } });
    }
    pages[4].tokens = { 7, 3, 40, 41 };
    pages[7].tokens = { 41, 3, 8, 9 };
    const std::vector<float> scores = lexical_scores({ 1, 3, 40, 41, 2 }, pages);
    EXPECT_EQ(4, std::max_element(scores.begin(), scores.end()) - scores.begin());
    EXPECT_GT(scores[7], scores[0]);
    EXPECT_GT(scores[7], scores[9]);
    EXPECT_GT(scores[5], scores[7]) << "the sentence may go on there";
    EXPECT_GT(scores[5], 2 * scores[6]);
    pages[5].first_pos = 100;
    EXPECT_LT(lexical_scores({ 1, 3, 40, 41, 2 }, pages)[5], scores[7]) << "it does not go on there";
    for (const float s : lexical_scores({ 200, 201 }, pages)) {
        EXPECT_EQ(0, s);
    }
    EXPECT_TRUE(lexical_scores({ 1 }, {}).empty());
    EXPECT_EQ(0, lexical_scores({}, pages)[4]);
}

TEST(PromptChoice, ControlsAreTheNewestAndRandom) {
    const prompt_choice choice = seen(masses_with_peaks({ 20, 5, 11 }));
    const std::vector<int32_t> newest = kept(choice.leave_out(prompt(), 12 * P, prune_policy::recency));
    EXPECT_EQ((std::vector<int32_t>{ 0, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39 }), newest);
    const std::vector<int32_t> random = kept(choice.leave_out(prompt(), 12 * P, prune_policy::random));
    EXPECT_EQ(12u, random.size());
    EXPECT_NE(newest, random);
    EXPECT_LT(random[3], 29);
}

TEST(PromptChoice, HeadsOfLittleMassCountAsMuchAsOthers) {
    std::vector<int32_t> pages(n_pages);
    for (int32_t p = 0; p < n_pages; p++) {
        pages[(size_t) p] = p;
    }
    prompt_choice choice(n_pages);
    // One head reads only some pages, in the order of its list.
    const std::vector<int32_t> index = { 3, 7, 9 };
    const std::vector<float> few = { 0.0001f, 0.0005f, 0.0001f };
    choice.add(few.data(), { index.data(), 3 }, pages);
    const std::vector<float> flat(n_pages, 1.0f);
    choice.add(flat.data(), { nullptr, n_pages }, pages);
    const std::vector<float> none(n_pages, 0.0f);
    choice.add(none.data(), { nullptr, n_pages }, pages);       // a layer whose attention was left out
    const std::vector<int32_t> list = kept(choice.leave_out(prompt(), 6 * P, prune_policy::attention));
    EXPECT_TRUE(std::count(list.begin(), list.end(), 7));
}

TEST(PromptChoice, WhatStaysStaysAndNoMoreThanAskedFor) {
    std::mt19937 random(7);
    for (int i = 0; i < 500; i++) {
        std::vector<float> masses(n_pages);
        for (float & m : masses) {
            m = (float) (random() % 1000) / 1000;
        }
        std::vector<prompt_choice::page> pages = prompt();
        int64_t stays = 0;
        for (auto & p : pages) {
            p.stays = p.stays || random() % 8 == 0;
            p.n_tokens = p.stays ? 1 + (int32_t) (random() % P) : P;
            stays += p.stays ? p.n_tokens : 0;
        }
        std::shuffle(pages.begin(), pages.end(), random);
        const auto n_keep = (int64_t) (random() % (n_pages * P + 1));
        const auto policy = (prune_policy) (random() % 3);
        const std::vector<int32_t> out = seen(masses).leave_out(pages, n_keep, policy);
        ASSERT_TRUE(std::is_sorted(out.begin(), out.end()));
        int64_t n = 0, all = 0;
        for (const auto & p : pages) {
            const bool left_out = std::binary_search(out.begin(), out.end(), p.index);
            ASSERT_FALSE(p.stays && left_out);
            n += left_out ? 0 : p.n_tokens;
            all += p.n_tokens;
        }
        ASSERT_LE(n, std::max(n_keep, stays));
        ASSERT_GT(n, std::min(n_keep, all) - P) << "and as many as whole pages allow";
    }
}

}  // namespace llmm_test
