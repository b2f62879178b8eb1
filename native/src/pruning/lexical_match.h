// Which pages share words with a question. Attention finds the place of a fact in the middle layers only, and what is left out
// of a prompt is chosen before them; a fact and a question about it have words in common (BM25, Robertson and Zaragoza 2009,
// on tokens and pairs of neighbours).
#pragma once

#include <cstdint>
#include <vector>

namespace llmm {

struct page_text {
    int32_t first_pos;
    std::vector<int32_t> tokens;
};

// A score for each page, pages in order of position. A page takes half of the score of the one whose text it continues.
std::vector<float> lexical_scores(const std::vector<int32_t> & question, const std::vector<page_text> & pages);

}  // namespace llmm
