# The parts of llama.cpp's common/ that render chat templates and compile JSON schemas, by name: the whole library
# would bring HTTP, subprocesses and command-line parsing along. common_glue.cpp has the helpers they need.
set(_common ${LLMM_LLAMA_DIR}/common)
file(GLOB _parsers ${_common}/parsers/*.cpp)
add_library(llmm_chat STATIC EXCLUDE_FROM_ALL
    ${_common}/chat.cpp
    ${_common}/chat-auto-parser-generator.cpp
    ${_common}/chat-auto-parser-helpers.cpp
    ${_common}/chat-diff-analyzer.cpp
    ${_common}/chat-peg-parser.cpp
    ${_common}/json.cpp
    ${_common}/json-schema.cpp
    ${_common}/json-schema-to-grammar.cpp
    ${_common}/jinja/caps.cpp
    ${_common}/jinja/lexer.cpp
    ${_common}/jinja/parser.cpp
    ${_common}/jinja/runtime.cpp
    ${_common}/jinja/string.cpp
    ${_common}/jinja/value.cpp
    ${_common}/peg-parser.cpp
    ${_common}/trie.cpp
    ${_common}/unicode.cpp
    ${_parsers}
    src/api/common_glue.cpp)
target_include_directories(llmm_chat SYSTEM PUBLIC ${_common})
target_link_libraries(llmm_chat PUBLIC llama vendor::nlohmann)
# Template code off the token path: small and quick to build before fast.
if(LLMM_SANITIZE)
    target_compile_options(llmm_chat PRIVATE -O0)
else()
    target_compile_options(llmm_chat PRIVATE -Os)
endif()
llmm_not_ours(llmm_chat ${CMAKE_CURRENT_SOURCE_DIR}/src/api/common_glue.cpp)
