// A LoRA adapter loaded for one model.
#pragma once

#include "model.h"

#include <memory>
#include <string>

namespace llmm {

class adapter {
public:
    // Throws ADAPTER_INVALID, or MODEL_NOT_FOUND and IO as for models.
    static std::shared_ptr<adapter> open(std::shared_ptr<model> owner, const std::string & path);

    ~adapter();
    adapter(const adapter &) = delete;
    adapter & operator=(const adapter &) = delete;

    llama_adapter_lora * get() const { return llama_; }
    const model * owner() const { return owner_.get(); }
    const std::string & fingerprint() const { return fingerprint_; }

private:
    adapter() = default;

    std::shared_ptr<model> owner_;
    llama_adapter_lora * llama_ = nullptr;
    std::string fingerprint_;
};

}  // namespace llmm
