#include "guard.h"
#include "handles.h"

using namespace llmm;

llmm_status llmm_sampler_new(llmm_model * m, const char * options, size_t options_bytes, llmm_sampler ** out) {
    return guard([&] {
        require(m, "model");
        require(out, "out");
        require_array(options, (int64_t) options_bytes, "options");
        const auto o = options ? sampler_options::parse(take_text(options, options_bytes, "options")) : sampler_options{};
        *out = new llmm_sampler{ sampler(m->impl, o) };
    });
}

void llmm_sampler_free(llmm_sampler * s) {
    delete s;
}

uint32_t llmm_sampler_seed(const llmm_sampler * s) {
    return s ? s->impl.seed() : 0;
}
