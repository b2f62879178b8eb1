#include "adapter.h"

#include "assert_scope.h"
#include "failure.h"
#include "log.h"

#include <nlohmann/json.hpp>

#include <stdexcept>
#include <utility>

namespace llmm {

std::shared_ptr<adapter> adapter::open(std::shared_ptr<model> owner, const std::string & path, const llmm_adapter_params & params) {
    if (owner->vocab_only()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the model was opened with its vocabulary only");
    }
    if (params.rank < 0) {
        fail(LLMM_ERR_RANGE, "rank must be at least 0, but is %d", params.rank);
    }
    if (params.exact && params.rank > 0) {
        fail(LLMM_ERR_INVALID_ARGUMENT, "an exact adapter has the rank of its file: rank must be 0, but is %d", params.rank);
    }
    std::shared_ptr<adapter> a(new adapter());
    gguf_file file;
    try {
        file = gguf_file::read(path);
    } catch (const failure & f) {
        if (f.status() == LLMM_ERR_MODEL_INVALID || f.status() == LLMM_ERR_MODEL_UNSUPPORTED) {
            throw failure(LLMM_ERR_ADAPTER_INVALID, f.what());
        }
        throw;
    }
    file.check_adapter(owner->fingerprint());
    a->base_ = file.base_fingerprint();
    a->fingerprint_ = file.fingerprint(path);
    a->exact_ = params.exact != 0;
    a->owner_ = std::move(owner);
    error_capture errors;
    const assert_scope asserts(LLMM_ERR_ADAPTER_INVALID);
    {
        std::lock_guard<std::mutex> lock(a->owner_->adapters_mutex());
        a->llama_ = llama_adapter_lora_init(a->owner_->get(), path.c_str());
    }
    if (!a->llama_) {
        fail(LLMM_ERR_ADAPTER_INVALID, "cannot use %s as an adapter of this model: %s", path.c_str(),
             errors.reason("llama.cpp gave no reason").c_str());
    }
    const int32_t offered = summary_of(*a->llama_).file_rank;
    if (params.rank > offered) {
        fail(LLMM_ERR_RANGE, "rank must be at most %d, the adapter's own, but is %d", offered, params.rank);
    }
    if (!a->exact_) {
        try {
            apply_by_own_nodes(*a->llama_, params.rank, !a->base_.empty());
        } catch (const std::domain_error & e) {
            fail(LLMM_ERR_NOT_AVAILABLE, "%s", e.what());
        } catch (const std::invalid_argument & e) {
            fail(LLMM_ERR_ADAPTER_INVALID, "%s: %s", path.c_str(), e.what());
        }
    }
    a->summary_ = summary_of(*a->llama_);
    a->digest_ = std::stoull(a->fingerprint_, nullptr, 16);
    if (a->exact_ || a->summary_.rank != a->summary_.file_rank) {
        a->digest_ = (a->digest_ ^ (a->exact_ ? UINT32_MAX : (uint32_t) a->summary_.rank)) * 1099511628211ull;
    }
    return a;
}

adapter::~adapter() {
    if (llama_) {
        std::lock_guard<std::mutex> lock(owner_->adapters_mutex());
        llama_adapter_lora_free(llama_);
    }
}

std::string adapter::info_json() const {
    nlohmann::ordered_json info;
    info["rank"] = summary_.rank;
    info["file_rank"] = summary_.file_rank;
    info["matrices"] = summary_.matrices;
    info["bytes"] = summary_.bytes;
    info["exact"] = summary_.own == 0;
    info["base"] = base_.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(base_);
    info["fingerprint"] = fingerprint_;
    return info.dump();
}

}  // namespace llmm
