// The kernels of every instruction set that this machine can run, against plain double-precision arithmetic on the
// values that the pages hold, and the codecs against the layout that page_layout.h promises.
#include "attention/attend.h"

#include "kernel_support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace llmm_test {
namespace {

using namespace llmm;

struct deleter { void operator()(uint8_t * p) const { std::free(p); } };
using block_ptr = std::unique_ptr<uint8_t, deleter>;

block_ptr new_block(size_t n) {
    block_ptr p(static_cast<uint8_t *>(std::aligned_alloc(64, round_up(n, 64))));
    std::memset(p.get(), 0, n);
    return p;
}

// What this machine can run; LLMM_ISA narrows it to one.
std::vector<const kernel_table *> tables() {
    std::vector<const kernel_table *> list;
    const char * only = std::getenv("LLMM_ISA");
    for (const kernel_table * t : all_tables()) {
        if (!only || std::strcmp(only, t->name) == 0) {
            list.push_back(t);
        }
    }
    return list;
}

// H of page_layout.h by its definition: entry (i, j) of a block is (-1)^popcount(i & j) / sqrt(block).
std::vector<double> rotated(const std::vector<double> & x) {
    const int dim = (int) x.size(), block = rotation_block(dim);
    std::vector<double> y(x.size(), 0.0);
    for (int b = 0; b < dim; b += block) {
        for (int i = 0; i < block; i++) {
            for (int j = 0; j < block; j++) {
                y[b + i] += __builtin_parity(i & j) ? -x[b + j] : x[b + j];
            }
            y[b + i] /= std::sqrt((double) block);
        }
    }
    return y;
}

// The nearest f16, of two the even one.
uint16_t double_to_f16(double x) {
    const int exponent = std::max(std::ilogb(x), -14);         // of 0 and of subnormals: the least
    const double units = std::nearbyint(std::ldexp(std::fabs(x), 10 - exponent));
    // from 1024 on the leading bit adds one to the exponent, as does a carry
    return (uint16_t) ((std::signbit(x) ? 0x8000 : 0) + ((exponent + 14) << 10) + (int) units);
}

// Key (or value) of one slot, as the page holds it, in the basis of the model.
std::vector<double> stored(const head_shape & s, page_format f, const uint8_t * block, int slot, bool value) {
    std::vector<double> x((size_t) s.dim);
    if (f == page_format::f16) {
        const auto * half = reinterpret_cast<const uint16_t *>(block);
        for (int d = 0; d < s.dim; d++) {
            x[d] = f16_to_double(value ? half[s.elements() + (size_t) slot * s.dim + d]
                                       : half[(size_t) (slot / 16) * 16 * s.dim + 16 * d + slot % 16]);
        }
        return x;
    }
    quantized_header h;
    std::memcpy(&h, block, sizeof(h));
    const uint8_t * k_scale = block + sizeof(h);
    const auto * k_min = reinterpret_cast<const int8_t *>(k_scale + s.dim);
    const uint8_t * v_scale = k_scale + 2 * s.dim;
    const auto * v_min = reinterpret_cast<const int8_t *>(v_scale + s.page_tokens);
    const uint8_t * k_codes = block + quantized_codes_at(s);
    const uint8_t * v_codes = k_codes + key_code_bytes(s);
    for (int d = 0; d < s.dim; d++) {
        if (!value) {
            const uint8_t b = k_codes[(size_t) (slot / 16) * s.dim * 8 + (d / 8) * 64 + (slot % 16) * 4 + d % 4];
            x[d] = (double) k_min[d] * h.k_min + (double) (d % 8 < 4 ? b & 15 : b >> 4) * k_scale[d] * h.k_scale;
        } else if (f == page_format::q4) {
            const uint8_t b = v_codes[(size_t) (d / 16) * s.page_tokens * 8 + (slot / 8) * 64 + (d % 16) * 4 + slot % 4];
            x[d] = (double) v_min[slot] * h.v_min + (double) (slot % 8 < 4 ? b & 15 : b >> 4) * v_scale[slot] * h.v_scale;
        } else {
            const uint8_t b = v_codes[(size_t) (d / 16) * s.page_tokens * 4 + (slot / 16) * 64 + (d % 16) * 4 + slot % 4];
            x[d] = (double) v_min[slot] * h.v_min + (double) (b >> 2 * (slot % 16 / 4) & 3) * v_scale[slot] * h.v_scale;
        }
    }
    return rotated(x);
}

// A layer of random pages in random formats, queries, and what each token sees.
class scene : public page_source {
public:
    scene(const kernel_table & kernels, const attend_shape & shape, int n_pages, std::vector<page_format> formats, uint32_t seed,
          bool hide, float soft_cap = 0, bool sinks = false, float key_offset = 0)
        : kernels_(kernels), shape_(shape), soft_cap_(soft_cap), random_(seed) {
        const head_shape & s = shape.head;
        std::normal_distribution<float> normal;
        std::vector<float> k((size_t) s.dim), v((size_t) s.dim);
        for (int p = 0; p < n_pages; p++) {
            const page_format f = formats[random_() % formats.size()];
            block_ptr slab = new_block(shape.n_heads_kv * block_bytes(s, f));
            const block_ptr half = new_block(block_bytes(s, page_format::f16));
            for (int h = 0; h < shape.n_heads_kv; h++) {
                for (int t = 0; t < s.page_tokens; t++) {
                    for (int d = 0; d < s.dim; d++) {
                        k[d] = normal(random_) * (d % 7 == 0 ? 4.0f : 1.0f) + (float) (d % 5) * key_offset;
                        v[d] = normal(random_);
                    }
                    kernels.store(s, half.get(), t, k.data(), v.data());
                }
                uint8_t * to = slab.get() + h * block_bytes(s, f);
                if (f == page_format::f16) {
                    std::memcpy(to, half.get(), block_bytes(s, f));
                } else {
                    kernels.quantize(s, f, half.get(), s.page_tokens, to);
                }
            }
            views_.push_back({ slab.get(), f });
            slabs_.push_back(std::move(slab));
            words_.emplace_back();
            if (hide && p % 3 != 1) {
                for (int t = 0; t < shape.n_tokens; t++) {
                    const uint64_t some = (uint64_t) random_() << 32 | random_();
                    words_.back().push_back(random_() % 5 == 0 ? 0 : some);
                }
                if (p == 0) {
                    words_.back().assign((size_t) shape.n_tokens, 1);      // no token sees nothing
                }
            }
        }
        for (const auto & w : words_) {
            visible_.push_back(w.empty() ? nullptr : w.data());
        }
        q_.resize((size_t) shape.n_tokens * shape.n_heads() * s.dim);
        for (float & x : q_) {
            x = normal(random_);
        }
        for (int h = 0; sinks && h < shape.n_heads(); h++) {
            sinks_.push_back(normal(random_));
        }
    }

    // The token sees nothing of the first n pages.
    void blind(int token, int n) {
        for (int p = 0; p < n; p++) {
            if (words_[p].empty()) {
                words_[p].assign((size_t) shape_.n_tokens, ~0ull);
                visible_[p] = words_[p].data();
            }
            words_[p][token] = 0;
        }
    }

    // Some pages leave memory, neighbours among them; this scene serves them.
    void spill() {
        for (size_t p = 0; p < views_.size(); p += p % 5 == 0 ? 1 : 3) {
            views_[p].block = nullptr;
        }
    }

    void fetch(int32_t head, const int32_t * pages, int32_t n, uint8_t * to) override {
        EXPECT_LE((size_t) n * shape_.head.page_tokens, 512u);
        for (int32_t i = 0; i < n; i++) {
            const page_view & page = views_[(size_t) pages[i]];
            EXPECT_TRUE(!page.block && page.format == views_[(size_t) pages[0]].format && (i == 0 || pages[i - 1] < pages[i]));
            const size_t bytes = block_bytes(shape_.head, page.format);
            std::memcpy(to + i * bytes, slabs_[(size_t) pages[i]].get() + head * bytes, bytes);
        }
    }

    std::vector<float> run(int n_threads, std::vector<float> * page_mass = nullptr, std::vector<float> * omitted_bound = nullptr) {
        std::vector<float> out(q_.size(), NAN), scratch(attend_scratch_floats(shape_), NAN);
        std::vector<float> mass_scratch(mass_scratch_floats(shape_, (int32_t) views_.size()), NAN);
        const block_ptr staging = new_block(n_threads * staging_bytes(shape_.head));
        if (page_mass) {
            page_mass->assign(shape_.n_heads_kv * views_.size(), NAN);
        }
        if (omitted_bound) {
            omitted_bound->assign((size_t) shape_.n_heads_kv, NAN);
        }
        head_strides strides{};
        for (const page_format f : { page_format::f16, page_format::q4, page_format::q42 }) {
            strides[(size_t) f] = block_bytes(shape_.head, f);
        }
        attend_job job = { shape_, q_.data(), (ptrdiff_t) shape_.n_heads() * shape_.head.dim, shape_.head.dim, scale(), soft_cap_,
                           sinks_.empty() ? nullptr : sinks_.data(), views_.data(), strides, visible_.data(),
                           (int32_t) views_.size(), chosen_.empty() ? nullptr : chosen_.data(), out.data(), scratch.data(), page_mass ? page_mass->data() : nullptr,
                           mass_scratch.data(), this, staging.get(), omitted_bound ? omitted_bound->data() : nullptr };
        attend_progress progress;
        progress.reset();
        std::vector<std::thread> threads;
        for (int i = 1; i < n_threads; i++) {
            threads.emplace_back([&, i] { attend(kernels_, job, progress, i); });
        }
        attend(kernels_, job, progress, 0);
        for (auto & t : threads) {
            t.join();
        }
        return out;
    }

    // Every KV head gets a list of its own: each page with this probability, and always the first, which every token sees.
    void choose(double share) {
        chosen_.clear();
        indices_.assign((size_t) shape_.n_heads_kv, {});
        for (auto & list : indices_) {
            for (int p = 0; p < (int) views_.size(); p++) {
                if (p == 0 || std::uniform_real_distribution<>()(random_) < share) {
                    list.push_back(p);
                }
            }
            chosen_.push_back({ list.data(), (int32_t) list.size() });
        }
    }

    void choose_all() { chosen_.clear(); }

    // By KV head and page, what attend_job::page_mass promises in *page_mass.
    std::vector<double> reference(std::vector<double> * page_mass = nullptr) const {
        const head_shape & s = shape_.head;
        std::vector<double> out(q_.size());
        const int n = (int) views_.size() * s.page_tokens;
        if (page_mass) {
            page_mass->assign(shape_.n_heads_kv * views_.size(), 0.0);
        }
        for (int h = 0; h < shape_.n_heads_kv; h++) {
            std::vector<std::vector<double>> k, v;
            for (int i = 0; i < n; i++) {
                const page_view & page = views_[i / s.page_tokens];
                const uint8_t * block = page.block + h * block_bytes(s, page.format);
                k.push_back(stored(s, page.format, block, i % s.page_tokens, false));
                v.push_back(stored(s, page.format, block, i % s.page_tokens, true));
            }
            for (int t = 0; t < shape_.n_tokens; t++) {
                for (int g = 0; g < shape_.group; g++) {
                    const int head = h * shape_.group + g;
                    const size_t at = ((size_t) t * shape_.n_heads() + head) * s.dim;
                    std::vector<double> score(n);
                    double top = sinks_.empty() ? -INFINITY : sinks_[head], sum = 0;
                    for (int i = 0; i < n; i++) {
                        const auto & words = words_[i / s.page_tokens];
                        const bool sees = (words.empty() || words[t] >> (i % s.page_tokens) & 1) && reads(h, i / s.page_tokens);
                        double x = 0;
                        for (int d = 0; d < s.dim; d++) {
                            x += (double) q_[at + d] * k[i][d];
                        }
                        x *= scale();
                        score[i] = !sees ? -INFINITY : soft_cap_ > 0 ? soft_cap_ * std::tanh(x / soft_cap_) : x;
                        top = std::max(top, score[i]);
                    }
                    sum = sinks_.empty() ? 0 : std::exp(sinks_[head] - top);
                    for (int i = 0; i < n; i++) {
                        const double w = std::exp(score[i] - top);
                        sum += w;
                        for (int d = 0; d < s.dim; d++) {
                            out[at + d] += w * v[i][d];
                        }
                    }
                    for (int d = 0; d < s.dim; d++) {
                        out[at + d] /= sum;
                    }
                    for (int i = 0; i < n && page_mass; i++) {
                        (*page_mass)[h * views_.size() + i / s.page_tokens] += std::exp(score[i] - top) / sum;
                    }
                }
            }
        }
        return out;
    }

    // Where attend_job::page_mass has a page of a head; -1 if the head does not read it.
    ptrdiff_t mass_at(int head, int page) const {
        const auto & list = indices_[(size_t) head];
        const auto found = std::find(list.begin(), list.end(), page);
        return found == list.end() ? -1 : head * (ptrdiff_t) views_.size() + (found - list.begin());
    }

private:
    bool reads(int head, int page) const { return chosen_.empty() || mass_at(head, page) >= 0; }
    float scale() const { return 1.0f / std::sqrt((float) shape_.head.dim); }

    const kernel_table & kernels_;
    attend_shape shape_;
    float soft_cap_;
    std::mt19937 random_;
    std::vector<block_ptr> slabs_;
    std::vector<page_view> views_;
    std::vector<std::vector<int32_t>> indices_;
    std::vector<page_list> chosen_;                        // [KV heads], or empty
    std::vector<std::vector<uint64_t>> words_;
    std::vector<const uint64_t *> visible_;
    std::vector<float> q_, sinks_;
};

double relative_error(const std::vector<float> & got, const std::vector<double> & want) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < got.size(); i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    return std::sqrt(difference / size);
}

const std::vector<page_format> only_f16 = { page_format::f16 };
const std::vector<page_format> only_q4 = { page_format::q4 };
const std::vector<page_format> mixed = { page_format::f16, page_format::q4, page_format::q42 };

// What rounding queries and weights to 8 bits may add; see attend_rows_codes. Values here are noise whose mean nearly
// cancels, which is the worst case for a relative error.
constexpr double integer_bound = 0.05;

// What rounding everything to 16 bits or less may add; see attend_words_impl.h. Scores here spread over several units.
constexpr double word_bound = 6e-4;

double bound(const std::vector<page_format> & formats, int rows) {
    return rows > few_rows ? word_bound : formats == only_f16 ? 1e-5 : integer_bound;
}

TEST(Attention, F16PagesGiveTheResultOfWhatTheyHold) {
    for (const kernel_table * kernels : tables()) {
        for (const int dim : { 16, 64, 80, 96, 128, 256 }) {
            for (const int page : { 16, 32, 64 }) {
                for (const auto & [group, n_tokens] : { std::pair{ 3, 1 }, { 1, 2 }, { 7, 1 }, { 4, 5 }, { 2, 70 } }) {
                    SCOPED_TRACE(std::string(kernels->name) + " dim " + std::to_string(dim) + " page " + std::to_string(page) +
                                 " group " + std::to_string(group) + " tokens " + std::to_string(n_tokens));
                    scene s(*kernels, { { dim, page }, 2, group, n_tokens }, 7, only_f16, 1, true);
                    EXPECT_LT(relative_error(s.run(1), s.reference()), bound(only_f16, group * n_tokens));
                }
            }
        }
    }
}

TEST(Attention, QuantisedPagesGiveTheResultOfWhatTheyHold) {
    for (const kernel_table * kernels : tables()) {
        for (const int dim : { 16, 64, 80, 96, 128, 256 }) {
            for (const int page : { 16, 32, 64 }) {
                for (const auto & [group, n_tokens] : { std::pair{ 3, 1 }, { 1, 1 }, { 7, 1 }, { 4, 5 }, { 2, 30 } }) {
                    SCOPED_TRACE(std::string(kernels->name) + " dim " + std::to_string(dim) + " page " + std::to_string(page) +
                                 " group " + std::to_string(group) + " tokens " + std::to_string(n_tokens));
                    scene s(*kernels, { { dim, page }, 2, group, n_tokens }, 11, mixed, 2, true);
                    EXPECT_LT(relative_error(s.run(1), s.reference()), bound(mixed, group * n_tokens));
                }
            }
        }
    }
}

TEST(Attention, LongContextsInManyChunks) {
    for (const kernel_table * kernels : tables()) {
        SCOPED_TRACE(kernels->name);
        scene few(*kernels, { { 64, 32 }, 3, 3, 1 }, 60, mixed, 3, false);
        EXPECT_LT(relative_error(few.run(1), few.reference()), integer_bound);
        scene exact(*kernels, { { 64, 32 }, 3, 3, 2 }, 60, only_f16, 4, true);
        EXPECT_LT(relative_error(exact.run(1), exact.reference()), 1e-5);
    }
}

TEST(Attention, SoftCapAndSinks) {
    for (const kernel_table * kernels : tables()) {
        SCOPED_TRACE(kernels->name);
        for (const int n_tokens : { 1, 20 }) {
            for (const auto & formats : { only_f16, only_q4 }) {
                scene capped(*kernels, { { 64, 32 }, 2, 2, n_tokens }, 9, formats, 5, true, 2.0f);
                EXPECT_LT(relative_error(capped.run(1), capped.reference()), bound(formats, 2 * n_tokens));
                scene sunk(*kernels, { { 64, 32 }, 2, 2, n_tokens }, 9, formats, 6, true, 0, true);
                EXPECT_LT(relative_error(sunk.run(1), sunk.reference()), bound(formats, 2 * n_tokens));
            }
        }
    }
}

TEST(Attention, KeysFarFromZero) {
    for (const kernel_table * kernels : tables()) {
        SCOPED_TRACE(kernels->name);
        for (const int n_tokens : { 1, 20 }) {
            scene s(*kernels, { { 64, 32 }, 2, 2, n_tokens }, 19, only_f16, 15, true, 0, false, 20.0f);
            EXPECT_LT(relative_error(s.run(1), s.reference()), n_tokens > 1 ? word_bound : 1e-4);
        }
    }
}

TEST(Attention, TokensThatSeeNothing) {
    for (const kernel_table * kernels : tables()) {
        SCOPED_TRACE(kernels->name);
        for (const auto & formats : { only_f16, only_q4, mixed }) {
            for (const int n_tokens : { 2, 20 }) {
                scene s(*kernels, { { 64, 32 }, 2, 2, n_tokens }, 40, formats, 16, true);
                s.blind(0, 39);
                EXPECT_LT(relative_error(s.run(1), s.reference()), bound(formats, 2 * n_tokens));
                s.blind(0, 40);
                const std::vector<float> out = s.run(1);
                for (int i = 0; i < 4 * 64; i++) {
                    EXPECT_EQ(0.0f, out[i]);
                }
            }
        }
    }
}

TEST(Attention, TheNumberOfThreadsChangesNothing) {
    for (const kernel_table * kernels : tables()) {
        for (const int n_tokens : { 1, 3, 130 }) {
            scene s(*kernels, { { 64, 32 }, 3, 3, n_tokens }, 40, mixed, 7, true);
            const std::vector<float> one = s.run(1);
            for (int n = 2; n <= 8; n++) {
                const std::vector<float> many = s.run(n);
                EXPECT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(float))) << kernels->name << ", " << n << " threads";
            }
        }
    }
}

TEST(Attention, PageMassesAreTheSharesOfSoftmax) {
    for (const kernel_table * kernels : tables()) {
        for (const auto & formats : { only_f16, mixed }) {
            for (const auto & [group, n_tokens, sinks] : { std::tuple{ 3, 1, false }, { 1, 8, false }, { 7, 1, true }, { 4, 2, true } }) {
                SCOPED_TRACE(std::string(kernels->name) + " group " + std::to_string(group) + " tokens " + std::to_string(n_tokens));
                scene s(*kernels, { { 64, 32 }, 3, group, n_tokens }, 53, formats, 12, true, 0, sinks);
                std::vector<float> one;
                std::vector<double> want;
                const std::vector<float> with = s.run(1, &one), without = s.run(1);
                s.reference(&want);
                EXPECT_EQ(0, std::memcmp(with.data(), without.data(), with.size() * sizeof(float)));
                EXPECT_LT(relative_error(one, want), formats.size() == 1 ? 1e-5 : 0.03);
                for (int h = 0; h < 3 && !sinks; h++) {
                    EXPECT_NEAR(group * n_tokens, std::accumulate(one.begin() + 53 * h, one.begin() + 53 * (h + 1), 0.0), 1e-3);
                }
                for (const int n : { 2, 3, 8 }) {
                    std::vector<float> many;
                    s.run(n, &many);
                    EXPECT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(float))) << n << " threads";
                }
            }
        }
        scene prefill(*kernels, { { 64, 32 }, 3, 3, 3 }, 5, mixed, 13, true);
        std::vector<float> mass;
        prefill.run(1, &mass);
        EXPECT_FALSE(has_page_mass({ { 64, 32 }, 3, 3, 3 }));
        EXPECT_TRUE(std::isnan(mass[0])) << "written although it is not known";
    }
}

TEST(Attention, ChosenPagesGiveTheResultOfThoseAlone) {
    for (const kernel_table * kernels : tables()) {
        for (const auto & formats : { only_f16, mixed }) {
            for (const int n_tokens : { 1, 30 }) {
                for (const double share : { 0.0, 0.3, 1.0 }) {
                    SCOPED_TRACE(std::string(kernels->name) + " tokens " + std::to_string(n_tokens) + " share " + std::to_string(share));
                    constexpr int n_pages = 37;
                    scene s(*kernels, { { 64, 32 }, 3, 3, n_tokens }, n_pages, formats, 21, true);
                    std::vector<float> all_mass, mass;
                    const std::vector<float> all = s.run(1, &all_mass);
                    s.choose(share);
                    std::vector<double> want_mass;
                    const std::vector<double> want = s.reference(&want_mass);
                    const std::vector<float> one = s.run(1, &mass);
                    EXPECT_LT(relative_error(one, want), formats.size() == 1 ? 1e-3 : 0.06);
                    if (share == 1.0) {
                        EXPECT_EQ(0, std::memcmp(one.data(), all.data(), one.size() * sizeof(float))) << "a list of all pages";
                        EXPECT_EQ(0, std::memcmp(mass.data(), all_mass.data(), mass.size() * sizeof(float)));
                    }
                    for (int h = 0; n_tokens <= 2 && h < 3; h++) {
                        for (int p = 0; p < n_pages; p++) {
                            const ptrdiff_t at = s.mass_at(h, p);
                            if (at >= 0) {
                                EXPECT_NEAR(want_mass[h * n_pages + p], mass[at], formats.size() == 1 ? 1e-4 : 0.05);
                            }
                        }
                    }
                    for (const int n : { 2, 3 }) {
                        const std::vector<float> many = s.run(n);
                        EXPECT_EQ(0, std::memcmp(one.data(), many.data(), one.size() * sizeof(float))) << n << " threads";
                    }
                    s.spill();
                    const std::vector<float> spilled = s.run(2);
                    EXPECT_EQ(0, std::memcmp(one.data(), spilled.data(), one.size() * sizeof(float))) << "spilled";
                }
            }
        }
    }
}

TEST(Attention, WhatIsOmittedIsBounded) {
    double tightest = 1;
    for (const kernel_table * kernels : tables()) {
        for (const auto & formats : { only_f16, only_q4, mixed }) {
            for (const auto & [dim, page, soft_cap, sinks, offset] :
                 { std::tuple{ 64, 32, 0.0f, false, 0.0f }, { 64, 16, 0.0f, true, 2.0f }, { 80, 64, 5.0f, false, 0.0f }, { 128, 32, 0.0f, false, -3.0f } }) {
                for (const double share : { 0.0, 0.4, 0.9 }) {
                    SCOPED_TRACE(std::string(kernels->name) + " dim " + std::to_string(dim) + " share " + std::to_string(share));
                    constexpr int n_pages = 11, group = 3;
                    scene s(*kernels, { { dim, page }, 3, group, 1 }, n_pages, formats, 31, true, soft_cap, sinks, offset);
                    std::vector<double> mass;
                    s.reference(&mass);
                    s.choose(share);
                    std::vector<float> bound;
                    const std::vector<float> with = s.run(1, nullptr, &bound), without = s.run(1);
                    EXPECT_EQ(0, std::memcmp(with.data(), without.data(), with.size() * sizeof(float)));
                    for (int h = 0; h < 3; h++) {
                        double omitted = 0;
                        for (int p = 0; p < n_pages; p++) {
                            omitted += s.mass_at(h, p) < 0 ? mass[(size_t) (h * n_pages + p)] / group : 0;
                        }
                        // Of quantised pages the kernels round queries to 8 bits, so what they have read is known to a few per cent.
                        EXPECT_GE(bound[(size_t) h], omitted * (formats == only_f16 ? 1 - 1e-4 : 0.95));
                        EXPECT_LE(bound[(size_t) h], 1);
                        tightest = std::min(tightest, (double) bound[(size_t) h]);
                    }
                    std::vector<float> again;
                    s.run(3, nullptr, &again);
                    EXPECT_EQ(bound, again) << "threads";
                    s.spill();
                    s.run(2, nullptr, &again);
                    EXPECT_EQ(bound, again) << "spilled";
                }
            }
        }
        scene s(*kernels, { { 64, 32 }, 3, 3, 1 }, 20, mixed, 32, false);
        s.choose(1);
        std::vector<float> bound;
        s.run(1, nullptr, &bound);
        EXPECT_EQ(std::vector<float>(3, 0.0f), bound) << "nothing is left out";
        s.choose_all();
        s.run(1, nullptr, &bound);
        EXPECT_EQ(std::vector<float>(3, 0.0f), bound);
    }
    EXPECT_LT(tightest, 0.9) << "a bound that says nothing";
}

TEST(Attention, EntropyOfLogits) {
    std::mt19937 random(5);
    for (const kernel_table * kernels : tables()) {
        for (const int n : { 1, 7, 16, 49152, 1003 }) {
            for (const float spread : { 0.0f, 1.0f, 30.0f }) {
                std::vector<float> logits((size_t) n);
                for (float & x : logits) {
                    x = std::normal_distribution<float>()(random) * spread - 20;
                }
                const double top = *std::max_element(logits.begin(), logits.end());
                double z = 0, sum = 0;
                for (const float x : logits) {
                    z += std::exp(x - top);
                    sum += std::exp(x - top) * (x - top);
                }
                EXPECT_NEAR(std::log(z) - sum / z, kernels->entropy(logits.data(), n), 1e-3) << kernels->name << " " << n;
            }
        }
    }
}

TEST(Attention, SpilledPagesGiveTheSameBits) {
    for (const kernel_table * kernels : tables()) {
        for (const auto & formats : { only_f16, only_q4, mixed }) {
            for (const int n_tokens : { 1, 2, 40 }) {
                for (const int page : { 16, 32, 64 }) {
                    SCOPED_TRACE(std::string(kernels->name) + " tokens " + std::to_string(n_tokens) + " page " + std::to_string(page));
                    scene s(*kernels, { { 64, page }, 2, 3, n_tokens }, 5000 / page, formats, 14, true);
                    std::vector<float> resident_mass, mass;
                    const std::vector<float> resident = s.run(1, &resident_mass);
                    s.spill();
                    for (const int n : { 1, 2, 3, 4 }) {
                        const std::vector<float> spilled = s.run(n, &mass);
                        EXPECT_EQ(0, std::memcmp(resident.data(), spilled.data(), spilled.size() * sizeof(float))) << n << " threads";
                        EXPECT_EQ(0, std::memcmp(resident_mass.data(), mass.data(), mass.size() * sizeof(float))) << n << " threads";
                    }
                }
            }
        }
    }
}

TEST(Attention, ScratchSufficesForEveryNumberOfPages) {
    for (const int heads : { 1, 3, 8, 40 }) {
        for (const int tokens : { 1, 7, 64, 512 }) {
            const attend_shape shape = { { 64, 32 }, heads, 3, tokens };
            for (int pages = 1; pages < 3000; pages += 7) {
                const attend_grid grid = make_grid(shape, pages);
                EXPECT_GE(grid.n_chunks * grid.chunk_pages, pages);
                EXPECT_LT((grid.n_chunks - 1) * grid.chunk_pages, pages) << "a chunk without pages";
                if (grid.n_chunks > 1) {
                    EXPECT_LE((size_t) tokens * shape.n_heads() * grid.n_chunks * partial_floats(64), attend_scratch_floats(shape));
                    EXPECT_LE(heads * grid.n_tiles, max_chunked_tiles);
                }
            }
        }
    }
}

TEST(Codec, StoringRoundsToNearestAndTiesToEven) {
    std::mt19937 random(8);
    const head_shape s = { 64, 32 };
    for (const kernel_table * kernels : tables()) {
        const block_ptr block = new_block(block_bytes(s, page_format::f16));
        std::vector<float> k(64), v(64);
        for (int round = 0; round < 200; round++) {
            for (int d = 0; d < 64; d++) {
                k[d] = std::ldexp((float) (int32_t) random() / 2147483648.0f, (int) (random() % 44) - 27);
                v[d] = d == 0 ? 65504.0f : d == 1 ? 0.0f : -k[d];
            }
            const int slot = (int) (random() % 32);
            kernels->store(s, block.get(), slot, k.data(), v.data());
            const auto * half = reinterpret_cast<const uint16_t *>(block.get());
            for (int d = 0; d < 64; d++) {
                EXPECT_EQ(double_to_f16(k[d]), half[(slot / 16) * 1024 + 16 * d + slot % 16]) << kernels->name << " " << k[d];
                EXPECT_EQ(double_to_f16(v[d]), half[s.elements() + slot * 64 + d]) << kernels->name << " " << v[d];
            }
        }
    }
}

TEST(Codec, ErrorsStayWithinHalfAStep) {
    std::mt19937 random(9);
    std::normal_distribution<float> normal;
    for (const kernel_table * kernels : tables()) {
        for (const int dim : { 16, 64, 80, 256 }) {
            for (const int page : { 16, 32, 64 }) {
                for (const page_format f : { page_format::q4, page_format::q42 }) {
                    const head_shape s = { dim, page };
                    const block_ptr half = new_block(block_bytes(s, page_format::f16)), block = new_block(block_bytes(s, f));
                    std::vector<float> k((size_t) dim), v((size_t) dim);
                    for (int t = 0; t < page; t++) {
                        for (int d = 0; d < dim; d++) {
                            k[d] = normal(random) + 3.0f * (float) (d % 3);
                            v[d] = t == 0 ? 0.01f * normal(random) : normal(random);
                        }
                        kernels->store(s, half.get(), t, k.data(), v.data());
                    }
                    kernels->quantize(s, f, half.get(), page, block.get());
                    quantized_header h;
                    std::memcpy(&h, block.get(), sizeof(h));
                    const uint8_t * k_scale = block.get() + sizeof(h);
                    const uint8_t * v_scale = k_scale + 2 * dim;
                    for (int t = 0; t < page; t++) {
                        for (const bool value : { false, true }) {
                            // in the rotated basis, where the codes are
                            const auto want = rotated(stored(s, page_format::f16, half.get(), t, value));
                            const auto got = rotated(stored(s, f, block.get(), t, value));
                            for (int d = 0; d < dim; d++) {
                                const double step = value ? v_scale[t] * h.v_scale : k_scale[d] * h.k_scale;
                                EXPECT_LE(std::fabs(want[d] - got[d]), 0.5001 * step + 1e-5) << kernels->name << " dim " << dim << " page " << page;
                            }
                        }
                    }
                    const block_ptr back = new_block(block_bytes(s, page_format::f16));
                    kernels->dequantize(s, f, block.get(), back.get());
                    for (const bool value : { false, true }) {
                        const auto want = stored(s, f, block.get(), page - 1, value);
                        const auto got = stored(s, page_format::f16, back.get(), page - 1, value);
                        for (int d = 0; d < dim; d++) {
                            EXPECT_NEAR(want[d], got[d], 0.02);
                        }
                    }
                }
            }
        }
    }
}

TEST(Codec, AConstantPageIsExact) {
    for (const kernel_table * kernels : tables()) {
        const head_shape s = { 64, 32 };
        const block_ptr half = new_block(block_bytes(s, page_format::f16)), block = new_block(block_bytes(s, page_format::q4));
        kernels->quantize(s, page_format::q4, half.get(), 32, block.get());
        for (const double x : stored(s, page_format::q4, block.get(), 5, false)) {
            EXPECT_EQ(0.0, x);
        }
    }
}

TEST(Dispatch, ATableOfEachNameIsItself) {
    EXPECT_NE(nullptr, kernels_named("generic"));
    EXPECT_EQ(nullptr, kernels_named("abacus"));
    EXPECT_FALSE(tables().empty()) << "this machine cannot run LLMM_ISA, so nothing has been tested";
    for (const kernel_table * t : tables()) {
        EXPECT_EQ(t, kernels_named(t->name));
    }
}

}  // namespace
}  // namespace llmm_test
