// The most that a page's keys can score, from the range of each channel: what a page that was not read can weigh at most
// (min and max of key channels: Quest, arXiv 2406.10774). Quantised pages have the ranges in their headers.
#pragma once

#include "page_layout.h"

namespace llmm {

// At least the greatest product of q, [dim], with a key of the block; q in the block's basis.
float most_score(const head_shape & shape, page_format format, const uint8_t * block, const float * q);

}  // namespace llmm
