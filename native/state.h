// What the parts of the shim share: one running call per process, seen by the library's threads and by the cancelling thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "library.h"

namespace sdrest {

struct State {
    Functions functions{};
    std::atomic<int> mode{SDREST_CANCEL_NONE};
    std::atomic<bool> cancelled{false};
    std::atomic<bool> dry_run{false};
    std::atomic<int> phase{SDREST_PHASE_IDLE};    // of the running guarded call
    std::atomic<int> reached{SDREST_PHASE_IDLE};  // by the last one
    std::atomic<bool> loading{false};  // reader threads of the library are alive: no exception may pass their owner
    std::atomic<std::uint64_t> computed{0};
    std::atomic<std::uint64_t> skipped{0};

    std::atomic<sdrest_log_callback> log{nullptr};
    std::atomic<void*> log_data{nullptr};
    std::atomic<sdrest_progress_callback> progress{nullptr};
    std::atomic<void*> progress_data{nullptr};

    // Before the encoders nothing may be left out: see sdrest_phase.
    bool may_stop() const { return cancelled && phase >= SDREST_PHASE_ENCODE; }
    bool may_skip() const { return (cancelled || dry_run) && phase >= SDREST_PHASE_ENCODE; }
};

extern State state;

// Thrown through the library to leave a guarded call.
struct Unwind {};
struct AssertionFailed {
    std::string message;
};

// On this thread: inside a guarded call; inside the computation of a graph (OpenMP regions must not be unwound).
extern thread_local int guarded;
extern thread_local bool computing;

const void* interposer();

// The callbacks that the shim installs in the library.
void on_log(int level, const char* text, void* data);
void on_progress(int step, int steps, float seconds, void* data);
void on_ggml_abort(const char* message);

}  // namespace sdrest
