#include "new_context.h"

#include "llmm-hooks.h"

#include "llama.h"

namespace llmm {

llama_context * new_context(llama_model * model, const llama_context_params & params, std::vector<std::shared_ptr<context_hooks>> hooks) {
    const hooks_scope scope(std::make_shared<hook_chain>(std::move(hooks)));
    return llama_init_from_model(model, params);
}

}  // namespace llmm
