// Low-rank factors: every table of kernels against sums in f64, and the same bits however the work is cut.
#include "layers/low_rank.h"

#include "kernel_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace llmm;

// Numbers with few digits, which f16 holds exactly, or any.
std::vector<float> numbers(size_t n, uint32_t seed, bool short_ones = false) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(n);
    for (float & v : x) {
        v = short_ones ? std::round(normal(random) * 64) / 256 : normal(random);
    }
    return x;
}

struct product {
    int32_t n_in, n_out, rank, all;
    std::vector<float> a, b;

    product(int32_t n_in, int32_t n_out, int32_t rank, int32_t all, bool short_ones = true)
        : n_in(n_in), n_out(n_out), rank(rank), all(all), a(numbers((size_t) all * n_in, 1, short_ones)),
          b(numbers((size_t) all * n_out, 2, short_ones)) {}

    std::unique_ptr<low_rank> pack(low_rank_type type = low_rank_type::f16) const {
        return std::make_unique<low_rank>(type, n_in, n_out, rank, a.data(), b.data(), all);
    }

    // What is added to each output, and the size of what it is made of.
    void add_to(const float * x, double scale, std::vector<double> & y, std::vector<double> & size) const {
        for (int32_t j = 0; j < rank; j++) {
            double code = 0, code_size = 0;
            for (int32_t i = 0; i < n_in; i++) {
                code += (double) a[(size_t) j * n_in + i] * x[i];
                code_size += std::fabs((double) a[(size_t) j * n_in + i] * x[i]);
            }
            for (int32_t o = 0; o < n_out; o++) {
                const double w = b[(size_t) o * all + j] * scale;
                y[(size_t) o] += w * code;
                size[(size_t) o] += std::fabs(w) * code_size;
            }
        }
    }
};

std::vector<float> run(const kernel_table & table, const low_rank & factors, const std::vector<float> & x, std::vector<float> y, float scale,
                       int32_t rows) {
    table.add_low_rank(factors.view(), scale, x.data(), factors.view().n_in, y.data(), factors.view().n_out, rows, 0, factors.n_blocks());
    return y;
}

bool same_bits(const std::vector<float> & a, const std::vector<float> & b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_sums(const product & p, const low_rank & factors, double tolerance) {
    for (const kernel_table * table : all_tables()) {
        for (const int32_t rows : { 1, 2, 3, 8, 9 }) {
            SCOPED_TRACE(std::string(table->name) + ", " + std::to_string(p.n_in) + " -> " + std::to_string(p.n_out) + ", rank " +
                         std::to_string(p.rank) + ", rows " + std::to_string(rows));
            const auto x = numbers((size_t) rows * p.n_in, 3), y = numbers((size_t) rows * p.n_out, 4);
            const auto out = run(*table, factors, x, y, 0.75f, rows);
            for (int32_t r = 0; r < rows; r++) {
                const std::vector<float> before(y.begin() + r * p.n_out, y.begin() + (r + 1) * p.n_out);
                std::vector<double> wanted(before.begin(), before.end()), size((size_t) p.n_out, 1.0);
                p.add_to(x.data() + r * p.n_in, 0.75, wanted, size);
                for (int32_t o = 0; o < p.n_out; o++) {
                    ASSERT_NEAR(wanted[(size_t) o], out[(size_t) (r * p.n_out + o)], tolerance * size[(size_t) o]) << "row " << r << ", output " << o;
                }
            }
        }
    }
}

TEST(LowRank, AddsTheProductOfAnyShape) {
    for (const auto & [n_in, n_out] : { std::pair{ 576, 192 }, { 576, 1536 }, { 64, 64 }, { 1, 1 }, { 7, 31 }, { 33, 33 }, { 100, 65 } }) {
        for (const int32_t rank : { 1, 2, 3, 4, 7, 8, 13, 64 }) {
            const product p(n_in, n_out, rank, rank);
            expect_sums(p, *p.pack(), 1e-6);
        }
    }
    const product widest(48, 40, max_low_rank, max_low_rank);
    expect_sums(widest, *widest.pack(), 1e-6);
}

TEST(LowRank, RoundsNumbersOfAnySizeToElevenBits) {
    for (const float size : { 1.0f, 1e-6f, 1e6f, 1e-12f }) {
        product p(96, 80, 5, 5, false);
        for (float & v : p.a) {
            v *= size;
        }
        for (float & v : p.b) {
            v /= size;
        }
        expect_sums(p, *p.pack(), 1e-3);
    }
}

// Components are rounded to 127 steps up to their greatest number.
void round_to_steps(float * x, size_t n, size_t stride) {
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        most = std::max(most, std::fabs(x[i * stride]));
    }
    for (size_t i = 0; i < n; i++) {
        x[i * stride] = std::nearbyint(x[i * stride] * (127 / most)) / (127 / most);
    }
}

TEST(LowRank, RoundsToEightBits) {
    for (const auto & [n_in, n_out] : { std::pair{ 576, 192 }, { 7, 31 }, { 100, 65 } }) {
        for (const int32_t rank : { 1, 3, 8, 13 }) {
            product p(n_in, n_out, rank, rank, false);
            const auto factors = p.pack(low_rank_type::i8);
            EXPECT_LT(factors->bytes(), p.pack()->bytes());
            for (int32_t j = 0; j < rank; j++) {
                round_to_steps(p.a.data() + (size_t) j * n_in, (size_t) n_in, 1);
                round_to_steps(p.b.data() + j, (size_t) n_out, (size_t) rank);
            }
            expect_sums(p, *factors, 1e-6);
        }
    }
}

TEST(LowRank, KeepsNumbersInF32) {
    for (const int32_t rank : { 1, 8, 13 }) {
        const product p(100, 65, rank, rank, false);
        expect_sums(p, *p.pack(low_rank_type::f32), 1e-6);
    }
}

TEST(LowRank, TakesTheFirstComponents) {
    const product p(96, 80, 4, 11);
    expect_sums(p, *p.pack(), 1e-6);
    // The same bits as of a product that has no more.
    product own(96, 80, 4, 4);
    std::copy(p.a.begin(), p.a.begin() + 4 * 96, own.a.begin());
    for (int32_t o = 0; o < 80; o++) {
        std::copy_n(p.b.begin() + o * 11, 4, own.b.begin() + o * 4);
    }
    const auto x = numbers(96, 3), y = numbers(80, 4);
    for (const kernel_table * table : all_tables()) {
        EXPECT_TRUE(same_bits(run(*table, *p.pack(), x, y, 1, 1), run(*table, *own.pack(), x, y, 1, 1))) << table->name;
    }
}

TEST(LowRank, OfZerosAddsNothing) {
    product p(40, 50, 3, 3);
    std::fill(p.a.begin(), p.a.end(), 0.0f);
    std::fill(p.b.begin(), p.b.end(), 0.0f);
    const auto x = numbers(40, 3), y = numbers(50, 4);
    for (const kernel_table * table : all_tables()) {
        EXPECT_TRUE(same_bits(y, run(*table, *p.pack(), x, y, 1, 1))) << table->name;
    }
}

// Threads cut the work by outputs or by rows.
void expect_same_bits_however_cut(low_rank_type type) {
    const int32_t rows = 11;
    const product p(100, 200, 13, 13);
    const auto factors = p.pack(type);
    const auto x = numbers((size_t) rows * p.n_in, 3), y = numbers((size_t) rows * p.n_out, 4);
    for (const kernel_table * table : all_tables()) {
        const auto whole = run(*table, *factors, x, y, 1.5f, rows);
        for (int32_t cut = 1; cut < rows; cut++) {
            auto parts = y;
            table->add_low_rank(factors->view(), 1.5f, x.data(), p.n_in, parts.data(), p.n_out, cut, 0, factors->n_blocks());
            table->add_low_rank(factors->view(), 1.5f, x.data() + cut * p.n_in, p.n_in, parts.data() + cut * p.n_out, p.n_out, rows - cut, 0,
                                factors->n_blocks());
            ASSERT_TRUE(same_bits(whole, parts)) << table->name << ", rows from " << cut;
        }
        for (int32_t cut = 0; cut <= factors->n_blocks(); cut++) {
            auto parts = y;
            table->add_low_rank(factors->view(), 1.5f, x.data(), p.n_in, parts.data(), p.n_out, rows, 0, cut);
            table->add_low_rank(factors->view(), 1.5f, x.data(), p.n_in, parts.data(), p.n_out, rows, cut, factors->n_blocks());
            ASSERT_TRUE(same_bits(whole, parts)) << table->name << ", blocks from " << cut;
        }
    }
}

TEST(LowRank, GivesTheSameBitsHoweverItIsCut) {
    for (const low_rank_type type : { low_rank_type::f32, low_rank_type::f16, low_rank_type::i8 }) {
        expect_same_bits_however_cut(type);
    }
}

}  // namespace
