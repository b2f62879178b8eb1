// What the opaque handles of the C API hold.
#pragma once

#include "llm_mobile.h"
#include "session/adapter.h"
#include "session/model.h"
#include "session/sampler.h"
#include "session/session.h"

#include <memory>
#include <string>

struct llmm_buffer {
    std::string bytes;
};

struct llmm_model {
    std::shared_ptr<llmm::model> impl;
};

struct llmm_adapter {
    std::shared_ptr<llmm::adapter> impl;
};

struct llmm_sampler {
    llmm::sampler impl;
};

struct llmm_session {
    llmm::session impl;
};
