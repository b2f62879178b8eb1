// A LoRA adapter loaded for one model.
#pragma once

#include "model.h"

#include "llama/low_rank_adapter.h"

#include <memory>
#include <string>

namespace llmm {

class adapter {
public:
    // Throws what llmm_adapter_open documents.
    static std::shared_ptr<adapter> open(std::shared_ptr<model> owner, const std::string & path, const llmm_adapter_params & params);

    ~adapter();
    adapter(const adapter &) = delete;
    adapter & operator=(const adapter &) = delete;

    llama_adapter_lora * get() const { return llama_; }
    const model * owner() const { return owner_.get(); }
    // Differs with what changes the results: the file, and how it is applied.
    uint64_t digest() const { return digest_; }

    // Facts as llmm_adapter_info gives them.
    std::string info_json() const;

private:
    adapter() = default;

    std::shared_ptr<model> owner_;
    llama_adapter_lora * llama_ = nullptr;
    std::string fingerprint_;
    std::string base_;                    // fingerprint of the only model that it fits; "" if it names none
    uint64_t digest_ = 0;
    low_rank_summary summary_;
    bool exact_ = false;
};

}  // namespace llmm
