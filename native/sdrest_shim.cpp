// The C interface: attaching, cancelling and the guarded calls.
#include "sdrest_shim.h"

#include <cstdlib>
#include <exception>
#include <string>

#include "state.h"

namespace sdrest {
namespace {

thread_local std::string error_text;

struct Guarded {
    explicit Guarded(int phase) {
        ++guarded;
        state.loading = false;
        state.phase   = phase;
    }
    ~Guarded() {
        --guarded;
        state.reached = state.phase.exchange(SDREST_PHASE_IDLE);
    }
};

void release(sdrest_image* images, int count, bool array) {
    if (images == nullptr) {
        return;
    }
    for (int i = 0; i < count; ++i) {
        std::free(images[i].data);
        images[i].data = nullptr;
    }
    if (array) {
        std::free(images);
    }
}

// Runs `call` (true: it has a result) and translates every way to leave it. `drop` frees a result that is not handed on.
template <typename Call, typename Drop>
int guard(int phase, Call call, Drop drop) noexcept {
    error_text.clear();
    if (state.mode.load() == SDREST_CANCEL_NONE) {
        return SDREST_DETACHED;
    }
    const std::uint64_t skipped_before = state.skipped.load();
    int status                         = SDREST_CANCELLED;
    if (!state.cancelled) {
        Guarded scope(phase);
        try {
            status = call() ? SDREST_OK : SDREST_FAILED;
        } catch (const Unwind&) {
            status = SDREST_CANCELLED;
        } catch (const AssertionFailed& failure) {
            status     = SDREST_ASSERTION;
            error_text = failure.message;
        } catch (const std::exception& exception) {
            status     = SDREST_EXCEPTION;
            error_text = exception.what();
        } catch (...) {
            status     = SDREST_EXCEPTION;
            error_text = "exception of an unknown type";
        }
    }
    if (state.cancelled) {
        // A request that came after the last graph changes nothing: the result is whole, a failure has its own reason.
        if (state.skipped.load() != skipped_before) {
            if (status == SDREST_OK) {
                drop();
            }
            status = SDREST_CANCELLED;
        }
        if (status == SDREST_CANCELLED) {
            state.cancelled = false;
        }
    }
    return status;
}

}  // namespace
}  // namespace sdrest

using namespace sdrest;

extern "C" {

int sdrest_shim_abi(void) { return SDREST_SHIM_ABI; }

int sdrest_shim_attach(void* library, bool interpose) {
    Functions& f = state.functions;
    if (library == nullptr || !resolve(library, f)) {
        state.mode = SDREST_CANCEL_NONE;
        return SDREST_CANCEL_NONE;
    }
    f.sd_set_log_callback(on_log, nullptr);
    f.sd_set_progress_callback(on_progress, nullptr);
    const bool graphs = interpose && f.graph_compute != nullptr && interposed(library, interposer());
    if (f.set_abort_handler != nullptr) {
        f.set_abort_handler(graphs ? on_ggml_abort : nullptr);
    }
    state.mode = graphs ? SDREST_CANCEL_GRAPH : SDREST_CANCEL_PROGRESS;
    return state.mode;
}

int sdrest_shim_cancel_mode(void) { return state.mode; }

void sdrest_shim_set_log_callback(sdrest_log_callback callback, void* data) {
    state.log      = nullptr;
    state.log_data = data;
    state.log      = callback;
}

void sdrest_shim_set_progress_callback(sdrest_progress_callback callback, void* data) {
    state.progress      = nullptr;
    state.progress_data = data;
    state.progress      = callback;
}

void sdrest_shim_cancel(void) { state.cancelled = true; }
void sdrest_shim_arm(void) { state.cancelled = false; }
bool sdrest_shim_cancel_requested(void) { return state.cancelled; }
void sdrest_shim_set_dry_run(bool on) { state.dry_run = on; }

int sdrest_shim_new_context(const void* params, void** context) {
    *context = nullptr;
    // Loading cannot be cut short: its reader threads must be joined by the library itself.
    return guard(SDREST_PHASE_PREPARE, [&] { return (*context = state.functions.new_sd_ctx(params)) != nullptr; }, [] {});
}

int sdrest_shim_generate_image(void* context, const void* params, int count, sdrest_image** images) {
    *images = nullptr;
    return guard(
        SDREST_PHASE_PREPARE, [&] { return (*images = state.functions.generate_image(context, params)) != nullptr; },
        [&] {
            release(*images, count, true);
            *images = nullptr;
        });
}

int sdrest_shim_generate_video(void* context, const void* params, sdrest_image** images, int* count) {
    *images = nullptr;
    *count  = 0;
    if (state.functions.generate_video == nullptr) {
        return SDREST_DETACHED;
    }
    return guard(
        SDREST_PHASE_PREPARE, [&] { return (*images = state.functions.generate_video(context, params, count)) != nullptr; },
        [&] {
            release(*images, *count, true);
            *images = nullptr;
            *count  = 0;
        });
}

int sdrest_shim_new_upscaler(const char* path, bool offload_params_to_cpu, bool direct, int threads, int tile_size, void** upscaler) {
    *upscaler = nullptr;
    if (state.functions.new_upscaler_ctx == nullptr) {
        return SDREST_DETACHED;
    }
    return guard(
        SDREST_PHASE_PREPARE,
        [&] { return (*upscaler = state.functions.new_upscaler_ctx(path, offload_params_to_cpu, direct, threads, tile_size)) != nullptr; },
        [] {});
}

int sdrest_shim_upscale(void* upscaler, sdrest_image image, uint32_t factor, sdrest_image* result) {
    *result = sdrest_image{};
    if (state.functions.upscale == nullptr) {
        return SDREST_DETACHED;
    }
    return guard(
        SDREST_PHASE_SAMPLE,
        [&] {
            *result = state.functions.upscale(upscaler, image, factor);
            return result->data != nullptr;
        },
        [&] {
            release(result, 1, false);
            *result = sdrest_image{};
        });
}

int sdrest_shim_convert(const char* input, const char* vae, const char* output, int type, const char* rules, bool convert_names) {
    if (state.functions.convert == nullptr) {
        return SDREST_DETACHED;
    }
    return guard(
        SDREST_PHASE_PREPARE, [&] { return state.functions.convert(input, vae, output, type, rules, convert_names); }, [] {});
}

void sdrest_shim_free_images(sdrest_image* images, int count, bool array) { release(images, count, array); }

const char* sdrest_shim_error(void) { return error_text.c_str(); }
int sdrest_shim_phase(void) {
    const int running = state.phase;
    return running == SDREST_PHASE_IDLE ? state.reached.load() : running;
}
uint64_t sdrest_shim_graphs_computed(void) { return state.computed; }
uint64_t sdrest_shim_graphs_skipped(void) { return state.skipped; }

}  // extern "C"
