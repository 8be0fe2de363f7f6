// The stand-in for ggml_backend_graph_compute(): libstable-diffusion computes every graph through it.
#include "state.h"

namespace sdrest {
namespace {

bool stop_requested(void*) { return state.may_stop(); }

struct Computing {
    Computing() { computing = true; }
    ~Computing() { computing = false; }
};

ggml_status compute(ggml_backend backend, ggml_graph graph) {
    const Functions& f = state.functions;
    if (f.graph_compute == nullptr) {
        return GGML_STATUS_ABORTED;
    }
    if (state.mode != SDREST_CANCEL_GRAPH) {
        return f.graph_compute(backend, graph);
    }
    if (state.may_skip()) {
        ++state.skipped;
        const bool stop = state.may_stop() && state.phase.load() == SDREST_PHASE_SAMPLE;
        return stop ? GGML_STATUS_ABORTED : GGML_STATUS_SUCCESS;
    }
    if (f.backend_is_cpu != nullptr && f.cpu_set_abort_check != nullptr && f.backend_is_cpu(backend)) {
        f.cpu_set_abort_check(backend, stop_requested, nullptr);
    }
    ggml_status status;
    {
        Computing scope;
        status = f.graph_compute(backend, graph);
    }
    if (status == GGML_STATUS_ABORTED && state.may_stop()) {
        ++state.skipped;
        // Encoders assert success; their half-made output is never used, because the first sampling graph is refused.
        return state.phase.load() == SDREST_PHASE_SAMPLE ? GGML_STATUS_ABORTED : GGML_STATUS_SUCCESS;
    }
    ++state.computed;
    return status;
}

}  // namespace
}  // namespace sdrest

extern "C" SDREST_API sdrest::ggml_status ggml_backend_graph_compute(sdrest::ggml_backend backend, sdrest::ggml_graph graph) {
    return sdrest::compute(backend, graph);
}

namespace sdrest {
const void* interposer() { return reinterpret_cast<const void*>(&ggml_backend_graph_compute); }
}  // namespace sdrest
