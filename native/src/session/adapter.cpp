#include "adapter.h"

#include "assert_scope.h"
#include "failure.h"
#include "log.h"

#include <utility>

namespace llmm {

std::shared_ptr<adapter> adapter::open(std::shared_ptr<model> owner, const std::string & path) {
    if (owner->vocab_only()) {
        fail(LLMM_ERR_NOT_AVAILABLE, "the model was opened with its vocabulary only");
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
    a->fingerprint_ = file.fingerprint(path);
    error_capture errors;
    const assert_scope asserts(LLMM_ERR_ADAPTER_INVALID);
    {
        std::lock_guard<std::mutex> lock(owner->adapters_mutex());
        a->llama_ = llama_adapter_lora_init(owner->get(), path.c_str());
    }
    if (!a->llama_) {
        fail(LLMM_ERR_ADAPTER_INVALID, "cannot use %s as an adapter of this model: %s", path.c_str(),
             errors.reason("llama.cpp gave no reason").c_str());
    }
    a->owner_ = std::move(owner);
    return a;
}

adapter::~adapter() {
    if (llama_) {
        std::lock_guard<std::mutex> lock(owner_->adapters_mutex());
        llama_adapter_lora_free(llama_);
    }
}

}  // namespace llmm
