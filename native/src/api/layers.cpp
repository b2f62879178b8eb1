// Layers of a session: hidden states, taps, gates.
#include "guard.h"
#include "handles.h"
#include "session/json_fields.h"

using namespace llmm;

namespace {

constexpr int32_t most_dense_tokens = 1 << 16;
constexpr int32_t most_rank = 4096;

template <typename T>
std::vector<T> take_list(const T * values, int32_t n, const char * name) {
    require_array(values, n, name);
    return n > 0 ? std::vector<T>(values, values + n) : std::vector<T>();
}

// Taps of a request, and how many floats they fill.
std::vector<layer_tap> take_taps(const session & s, const std::string & request, int64_t n_tokens, float * out, int64_t n_out) {
    const auto object = parse_json_object(request, "request");
    json_fields fields(object, "");
    std::vector<layer_tap> taps;
    const model & owner = s.owner();
    const int32_t width = llama_model_n_embd(owner.get()), n_places = 2 * owner.n_layers() + 1;
    if (fields.has("places")) {
        for (const auto & place : fields.at("places")) {
            if (!place.is_number_integer() || place.get<int64_t>() < 0 || place.get<int64_t>() >= n_places) {
                fail(LLMM_ERR_RANGE, "a place is %s; it must be from 0 to %d", place.dump().c_str(), n_places - 1);
            }
            taps.push_back({ place.get<int32_t>(), "", width, nullptr, false });
        }
    }
    for (const std::string & name : fields.texts("inputs", {})) {
        taps.push_back({ -1, name, owner.input_width(name), nullptr, false });
    }
    fields.done();
    int64_t at = 0;
    for (layer_tap & tap : taps) {
        tap.to = out + at;
        at += n_tokens * tap.width;
    }
    if (at != n_out) {
        fail(LLMM_ERR_RANGE, "n_out is %lld; the request asks for %lld values", (long long) n_out, (long long) at);
    }
    return taps;
}

}  // namespace

llmm_status llmm_session_eval_hidden(llmm_session * s, const int32_t * tokens, int32_t n_tokens, const float * hidden_in, int64_t n_in,
                                     float * hidden_out, int64_t n_out) {
    return guard([&] {
        require(s, "session");
        require_array(tokens, n_tokens, "tokens");
        require_array(hidden_in, n_in, "hidden_in");
        require_array(hidden_out, n_out, "hidden_out");
        s->impl.eval_hidden({ tokens, (size_t) n_tokens }, { hidden_in, (size_t) n_in }, { hidden_out, (size_t) n_out });
    });
}

llmm_status llmm_session_taps(llmm_session * s, const int32_t * tokens, int32_t n_tokens, const char * request, size_t request_bytes,
                              float * out, int64_t n_out) {
    return guard([&] {
        require(s, "session");
        require_array(tokens, n_tokens, "tokens");
        require_array(out, n_out, "out");
        s->impl.taps({ tokens, (size_t) n_tokens }, take_taps(s->impl, take_text(request, request_bytes, "request"), n_tokens, out, n_out));
    });
}

void llmm_gate_params_init(llmm_gate_params * params) {
    if (params) {
        *params = {};
        params->struct_size = sizeof(*params);
    }
}

llmm_status llmm_session_set_gates(llmm_session * s, const llmm_gate_params * params) {
    return guard([&] {
        require(s, "session");
        const auto p = take_params(params, llmm_gate_params_init, "params");
        gate_policy policy;
        policy.order = take_list(p.order, p.n_order, "params.order");
        policy.edges = take_list(p.edges, p.n_edges, "params.edges");
        policy.levels = p.n_order == 0 ? std::vector<int32_t>(policy.edges.size() + 1, 0) : take_list(p.levels, p.n_edges + 1, "params.levels");
        if (p.dense_tokens < 0 || p.dense_tokens > most_dense_tokens) {
            fail(LLMM_ERR_RANGE, "params.dense_tokens is %d; it must be from 0 to %d", p.dense_tokens, most_dense_tokens);
        }
        policy.dense_tokens = p.dense_tokens;
        policy.batches = p.batches != 0;
        s->impl.set_gates(std::move(policy));
    });
}

llmm_status llmm_session_skippable(llmm_session * s, llmm_buffer ** out) {
    return guard([&] {
        require(s, "session");
        require(out, "out");
        *out = new_buffer(bytes_of(s->impl.skippable_parts()));
    });
}

llmm_status llmm_session_set_bypass(llmm_session * s, int32_t part, int32_t rank, const float * down, const float * up, const float * bias) {
    return guard([&] {
        require(s, "session");
        if (rank < 0 || rank > most_rank) {
            fail(LLMM_ERR_RANGE, "rank is %d; it must be from 0 to %d", rank, most_rank);
        }
        std::shared_ptr<bypass> stand_in;
        if (rank > 0) {
            require(down, "down");
            require(up, "up");
            require(bias, "bias");
            const size_t width = (size_t) llama_model_n_embd(s->impl.owner().get());
            stand_in = std::make_shared<bypass>();
            stand_in->width = (int32_t) width;
            stand_in->rank = rank;
            stand_in->down.assign(down, down + width * (size_t) rank);
            stand_in->up.assign(up, up + width * (size_t) rank);
            stand_in->bias.assign(bias, bias + width);
        }
        s->impl.set_bypass(part, std::move(stand_in));
    });
}
