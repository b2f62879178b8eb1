#include "guard.h"
#include "handles.h"

namespace llmm {

llmm_buffer * new_buffer(std::string bytes) {
    return new llmm_buffer{ std::move(bytes) };
}

}  // namespace llmm

const void * llmm_buffer_data(const llmm_buffer * buffer) {
    return buffer ? buffer->bytes.c_str() : "";
}

size_t llmm_buffer_size(const llmm_buffer * buffer) {
    return buffer ? buffer->bytes.size() : 0;
}

void llmm_buffer_free(llmm_buffer * buffer) {
    delete buffer;
}
