// Turns the bytes of tokens into text that can be shown: whole characters only, and nothing that may turn out to be
// the start of a stop string.
#pragma once

#include "utf8.h"

#include <string>
#include <vector>

namespace llmm {

class text_stream {
public:
    explicit text_stream(std::vector<std::string> stops);

    // Takes the bytes of one token and appends what can be shown to `out`. Returns true when a stop string has
    // appeared; the text before it has then been given out, and nothing more will be.
    bool push(const std::string & piece, std::string & out);

    // Ends the text: gives out what was held back.
    void finish(std::string & out);

private:
    std::vector<std::string> stops_;
    utf8_assembler assembler_;
    std::string held_;          // characters that may begin a stop string
    bool stopped_ = false;
};

}  // namespace llmm
