// The fewest values that make up a given sum, without sorting them all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace llmm {

// The greatest v for which those of n values (none negative) that are at least v add up to `wanted` or more; 0 if all of
// them do not, infinity if nothing is wanted. Reorders the values; linear in n on average.
inline float mass_cut(float * values, size_t n, double wanted) {
    if (wanted <= 0) {
        return std::numeric_limits<float>::infinity();
    }
    // Invariant: the values before begin are greater than the cut and add up to `above`, those from end on are less.
    size_t begin = 0, end = n;
    double above = 0;
    float cut = 0;
    while (begin < end) {
        const float a = values[begin], b = values[begin + (end - begin) / 2], c = values[end - 1];
        const float pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
        size_t i = begin, less = end;                      // [begin, i): not less than the pivot; [less, end): less
        double sum = 0;
        float least = std::numeric_limits<float>::infinity();
        while (i < less) {
            if (values[i] >= pivot) {
                sum += values[i];
                least = std::min(least, values[i]);
                i++;
            } else {
                std::swap(values[i], values[--less]);
            }
        }
        if (above + sum < wanted) {
            above += sum;
            begin = i;
            continue;
        }
        cut = least;                                       // the pivot itself: these suffice, perhaps fewer do
        // Those equal to the pivot go to the end, and the search goes on among the greater ones.
        size_t greater = begin;
        for (size_t j = begin; j < i; j++) {
            if (values[j] > pivot) {
                std::swap(values[j], values[greater++]);
            }
        }
        end = greater;
    }
    return cut;
}

}  // namespace llmm
