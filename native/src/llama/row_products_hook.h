// Has ggml multiply by our kernels where these give the same bits.
#pragma once

namespace llmm {

// Tries every format beside ggml's own code first, and leaves to ggml those that differ on this CPU. Call once, with the
// back ends loaded and before anything is computed.
void install_row_products();

}  // namespace llmm
