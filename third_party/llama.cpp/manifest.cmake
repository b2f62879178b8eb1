# The llama.cpp that LLM Mobile is built on. README.md says how to move to another release.
set(LLAMA_CPP_VERSION v0.5.0)
set(LLAMA_CPP_TREE fd570ef54b10ec5fecb739e7e04c8ce44a6f415a)

# Where it is fetched from: a git bundle inside an npm package. No script of the package runs.
set(NPM_PACKAGE node-llama-cpp)
set(NPM_VERSION 3.22.1)
set(NPM_SHA512 6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f)
set(NPM_BUNDLE package/llama/gitRelease.bundle)
set(NPM_BUNDLE_SHA256 5f5d1105d5df040738d87b8290e5d17e7362131cdcfdb0831618e0ea528b4a51)
