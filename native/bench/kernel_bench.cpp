// How fast the kernels of each instruction set are, on one thread, beside a plain read of the same bytes: decoding cannot
// be faster than that.
#include "attention/attend.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace llmm;

constexpr size_t layer_bytes = 64 << 20;        // more than most caches hold
constexpr int32_t page_tokens = 64;
constexpr int32_t n_heads_kv = 4;
constexpr int32_t group = 4;
constexpr int32_t prefill_tokens = 128;
constexpr int32_t prefill_keys = 1024;

const char * name_of(page_format f) {
    return f == page_format::f16 ? "f16" : f == page_format::q4 ? "q4" : "q42";
}

struct deleter { void operator()(uint8_t * p) const { std::free(p); } };
using bytes_ptr = std::unique_ptr<uint8_t, deleter>;

bytes_ptr new_bytes(size_t n) {
    return bytes_ptr(static_cast<uint8_t *>(std::aligned_alloc(64, round_up(n, 64))));
}

double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void read_all(const uint8_t * p, size_t n) {
    uint64_t sum = 0, x;
    for (size_t i = 0; i + sizeof(x) <= n; i += sizeof(x)) {
        std::memcpy(&x, p + i, sizeof(x));
        sum += x;
    }
    benchmark::DoNotOptimize(sum);
}

// As many pages as layer_bytes holds, and how fast a plain read of them is. Few of them differ: the kernels' work does not
// depend on the values.
class layer {
public:
    layer(int32_t dim, page_format format)
        : shape({ dim, page_tokens }), format(format), block(block_bytes(shape, format)),
          n_pages((int32_t) (layer_bytes / (n_heads_kv * block))), data_(new_bytes(bytes())) {
        constexpr size_t distinct = 16;
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> k((size_t) dim), v((size_t) dim);
        const bytes_ptr half = new_bytes(block_bytes(shape, page_format::f16));
        for (size_t b = 0; b < n_blocks(); b++) {
            if (b >= distinct) {
                std::memcpy(data_.get() + b * block, data_.get() + b % distinct * block, block);
                continue;
            }
            for (int32_t t = 0; t < page_tokens; t++) {
                std::generate(k.begin(), k.end(), [&] { return normal(random); });
                std::generate(v.begin(), v.end(), [&] { return normal(random); });
                kernels().store(shape, half.get(), t, k.data(), v.data());
            }
            if (format == page_format::f16) {
                std::memcpy(data_.get() + b * block, half.get(), block);
            } else {
                kernels().quantize(shape, format, half.get(), page_tokens, data_.get() + b * block);
            }
        }
        double best = 1e9;
        for (int i = 0; i < 5; i++) {
            const double begin = seconds();
            read_all(data_.get(), bytes());
            best = std::min(best, seconds() - begin);
        }
        bytes_per_second = (double) bytes() / best;
    }

    // The layer asked for last is kept: neighbouring benchmarks want the same.
    static const layer & of(int32_t dim, page_format format) {
        static std::unique_ptr<layer> last;
        if (!last || last->shape.dim != dim || last->format != format) {
            last.reset();
            last = std::make_unique<layer>(dim, format);
        }
        return *last;
    }

    size_t n_blocks() const { return (size_t) n_pages * n_heads_kv; }
    size_t bytes() const { return n_blocks() * block; }
    const uint8_t * at(size_t b) const { return data_.get() + b * block; }

    const head_shape shape;
    const page_format format;
    const size_t block;
    const int32_t n_pages;
    double bytes_per_second;                    // of a plain read

private:
    bytes_ptr data_;
};

// bytes: read by one iteration. products: rows x KV heads x keys of one iteration; 0 = there are none.
void report(benchmark::State & state, const layer & from, double elapsed, double bytes, double products) {
    const double each = elapsed / (double) state.iterations();
    state.counters["GB/s"] = bytes / each / 1e9;
    state.counters["%bound"] = 100 * bytes / each / from.bytes_per_second;
    if (products > 0) {
        state.counters["ns/row-head-key"] = 1e9 * each / products;
    }
}

void bench_attend(benchmark::State & state, const kernel_table & table, int32_t dim, page_format format, int32_t n_tokens) {
    const layer & from = layer::of(dim, format);
    const int32_t n_pages = n_tokens == 1 ? from.n_pages : std::min(from.n_pages, prefill_keys / page_tokens);
    const attend_shape shape = { from.shape, n_heads_kv, group, n_tokens };
    std::vector<page_view> pages;
    for (int32_t p = 0; p < n_pages; p++) {
        pages.push_back({ from.at((size_t) p * n_heads_kv), format });
    }
    const std::vector<const uint64_t *> visible((size_t) n_pages, nullptr);
    std::vector<float> q((size_t) n_tokens * shape.n_heads() * dim), out(q.size()), scratch(attend_scratch_floats(shape));
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::generate(q.begin(), q.end(), [&] { return normal(random); });

    attend_job job{};
    job.shape = shape;
    job.q = q.data();
    job.q_token = (ptrdiff_t) shape.n_heads() * dim;
    job.q_head = dim;
    job.scale = 0.1f;
    job.pages = pages.data();
    job.strides.fill(from.block);
    job.visible = visible.data();
    job.n_pages = n_pages;
    job.out = out.data();
    job.scratch = scratch.data();

    attend_progress progress;
    const double begin = seconds();
    for (auto _ : state) {
        progress.reset();
        attend(table, job, progress, 0);
        benchmark::ClobberMemory();
    }
    const double blocks = (double) n_pages * n_heads_kv;
    report(state, from, seconds() - begin, blocks * (double) from.block, blocks * page_tokens * n_tokens * group);
}

// To `format`, or back from it. The blocks written stay in the cache.
void bench_codec(benchmark::State & state, const kernel_table & table, int32_t dim, page_format format, bool back) {
    const layer & from = layer::of(dim, back ? format : page_format::f16);
    const bytes_ptr to = new_bytes(block_bytes(from.shape, page_format::f16));
    const double begin = seconds();
    for (auto _ : state) {
        for (size_t b = 0; b < from.n_blocks(); b++) {
            if (back) {
                table.dequantize(from.shape, format, from.at(b), to.get());
            } else {
                table.quantize(from.shape, format, from.at(b), page_tokens, to.get());
            }
        }
        benchmark::ClobberMemory();
    }
    report(state, from, seconds() - begin, (double) from.bytes(), (double) from.n_blocks() * page_tokens);
}

void bench_read(benchmark::State & state) {
    const layer & from = layer::of(128, page_format::f16);
    const double begin = seconds();
    for (auto _ : state) {
        read_all(from.at(0), from.bytes());
    }
    report(state, from, seconds() - begin, (double) from.bytes(), 0);
}

// Weights of layer_bytes, rows of 576, in the pieces that ggml hands to a thread.
void bench_products(benchmark::State & state, const kernel_table & table, weight_format format, int32_t columns) {
    constexpr int32_t n_blocks = 18;
    const int32_t x_row = n_blocks * (format == weight_format::q4_1 ? 20 : 34), y_row = n_blocks * (format == weight_format::q4_1 ? 36 : 34);
    const int32_t piece = columns == 1 ? 64 : 16;
    const int32_t rows = (int32_t) (layer_bytes / x_row) / piece * piece;
    const std::vector<uint8_t> x((size_t) rows * x_row, 0x21), y((size_t) columns * y_row, 0x21);
    std::vector<float> out((size_t) rows * columns);
    const double begin = seconds();
    for (auto _ : state) {
        for (int32_t i = 0; i < rows; i += piece) {
            table.multiply_rows(format, { n_blocks, x.data() + (size_t) i * x_row, x_row, piece, y.data(), y_row, columns, out.data() + i, rows });
        }
        benchmark::ClobberMemory();
    }
    const double each = (seconds() - begin) / (double) state.iterations();
    state.counters["GB/s"] = (double) x.size() / each / 1e9;
    state.counters["ns/block-column"] = 1e9 * each / ((double) rows * n_blocks * columns);
}

template <typename F>
void add(const std::string & name, F && f) {
    benchmark::RegisterBenchmark(name.c_str(), f)->Unit(benchmark::kMillisecond)->UseRealTime();
}

void add_products() {
    for (const auto & [format, name] : { std::make_pair(weight_format::q4_1, "q4_1"), std::make_pair(weight_format::q8_0, "q8_0") }) {
        for (const char * isa : { "avx2", "avx512" }) {
            const kernel_table * t = kernels_named(isa);
            for (const int32_t columns : { 1, 2, 4, 8 }) {
                if (t) {
                    const weight_format f = format;
                    add(std::string("products/") + isa + "/" + name + "/" + std::to_string(columns),
                        [=](benchmark::State & s) { bench_products(s, *t, f, columns); });
                }
            }
        }
    }
}

void add_all() {
    add("read", bench_read);
    add_products();
    for (const int32_t dim : { 64, 128, 256 }) {
        for (const page_format f : { page_format::f16, page_format::q4, page_format::q42 }) {
            for (const char * isa : { "generic", "avx2", "avx512", "neon" }) {
                const kernel_table * t = kernels_named(isa);
                if (!t) {
                    continue;
                }
                const std::string rest = std::string("/") + isa + "/" + name_of(f) + "/" + std::to_string(dim);
                add("decode" + rest, [=](benchmark::State & s) { bench_attend(s, *t, dim, f, 1); });
                add("prefill" + rest, [=](benchmark::State & s) { bench_attend(s, *t, dim, f, prefill_tokens); });
                if (f != page_format::f16) {
                    add("dequantize" + rest, [=](benchmark::State & s) { bench_codec(s, *t, dim, f, true); });
                    add("quantize" + rest, [=](benchmark::State & s) { bench_codec(s, *t, dim, f, false); });
                }
            }
        }
    }
}

}  // namespace

int main(int argc, char ** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    add_all();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
