#include "lexical_match.h"

#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace llmm {

namespace {

constexpr float saturation = 1.2f;             // k1 of BM25; pages are of one length
constexpr float carry = 0.5f;                  // to the page that goes on

template <typename Visit>
void each_term(const std::vector<int32_t> & tokens, Visit && visit) {
    for (size_t i = 0; i < tokens.size(); i++) {
        visit((uint64_t) (uint32_t) tokens[i]);
        if (i > 0) {
            visit(((uint64_t) (uint32_t) tokens[i - 1] + 1) << 32 | (uint32_t) tokens[i]);
        }
    }
}

}  // namespace

std::vector<float> lexical_scores(const std::vector<int32_t> & question, const std::vector<page_text> & pages) {
    std::unordered_set<uint64_t> terms;
    each_term(question, [&](uint64_t term) { terms.insert(term); });
    std::vector<std::unordered_map<uint64_t, int32_t>> counts(pages.size());
    std::unordered_map<uint64_t, int32_t> n_with;
    for (size_t p = 0; p < pages.size(); p++) {
        each_term(pages[p].tokens, [&](uint64_t term) {
            if (terms.count(term) > 0 && counts[p][term]++ == 0) {
                n_with[term]++;
            }
        });
    }
    std::vector<float> scores(pages.size());
    float before = 0;
    for (size_t p = 0; p < pages.size(); p++) {
        float own = 0;
        for (const auto & [term, n] : counts[p]) {
            const float rarity = std::log(1 + ((float) pages.size() - (float) n_with[term] + 0.5f) / ((float) n_with[term] + 0.5f));
            own += rarity * (float) n * (saturation + 1) / ((float) n + saturation);
        }
        const bool continues = p > 0 && pages[p].first_pos == pages[p - 1].first_pos + (int32_t) pages[p - 1].tokens.size();
        scores[p] = own + (continues ? carry * before : 0);
        before = own;
    }
    return scores;
}

}  // namespace llmm
