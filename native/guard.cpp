// What the library calls back: log lines (they tell the phase), progress (a place to unwind from) and failed assertions.
#include <cstdio>
#include <cstring>

#include "state.h"

namespace sdrest {

State state;
thread_local int guarded    = 0;
thread_local bool computing = false;

namespace {

// "file.cpp:123  - text" → "text". Only the start of the text is compared below: lines may quote prompts.
const char* message_of(const char* line) {
    const char* separator = std::strstr(line, " - ");
    return separator == nullptr ? line : separator + 3;
}

bool starts_with(const char* text, const char* prefix) { return std::strncmp(text, prefix, std::strlen(prefix)) == 0; }

void advance(int phase) {
    if (state.phase.load() != SDREST_PHASE_IDLE && state.phase.load() < phase) {
        state.phase.store(phase);
    }
}

void follow(const char* message) {
    if (starts_with(message, "loading tensors from")) {
        state.loading = true;
    } else if (starts_with(message, "loading tensors completed")) {
        state.loading = false;
    } else if (starts_with(message, "sampling using")) {  // after the LoRAs, before pictures and prompts are encoded
        state.loading = false;
        advance(SDREST_PHASE_ENCODE);
    } else if (starts_with(message, "get_learned_condition completed")) {
        state.loading = false;
        advance(SDREST_PHASE_SAMPLE);
    }
}

}  // namespace

void on_log(int level, const char* text, void*) {
    if (text == nullptr) {
        return;
    }
    follow(message_of(text));
    if (const auto callback = state.log.load()) {
        callback(level, text, state.log_data.load());
    }
}

void on_progress(int step, int steps, float seconds, void*) {
    if (const auto callback = state.progress.load()) {
        callback(step, steps, seconds, state.progress_data.load());
    }
    if (state.mode.load() == SDREST_CANCEL_PROGRESS && guarded > 0 && !state.loading && state.may_stop()) {
        throw Unwind{};
    }
}

void on_ggml_abort(const char* message) {
    if (guarded > 0 && !computing) {
        throw AssertionFailed{message};
    }
    // Another thread, or inside a parallel region: ggml calls abort() when this returns.
    std::fprintf(stderr, "%s\n", message);
    std::fflush(stderr);
}

}  // namespace sdrest
