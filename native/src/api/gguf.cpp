#include "guard.h"
#include "session/gguf_file.h"
#include "session/log.h"

llmm_status llmm_gguf_inspect(const char * path, llmm_buffer ** out) {
    return llmm::guard([&] {
        llmm::require(out, "out");
        const std::string name = llmm::take_path(path, "path");
        llmm::start_engine();
        *out = llmm::new_buffer(llmm::gguf_file::read(name).to_json().dump());
    });
}
