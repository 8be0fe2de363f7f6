// Looking up the functions of libstable-diffusion and of the ggml inside it.
#pragma once

#include "sdrest_shim.h"

namespace sdrest {

// Stand-ins for the types of ggml that are only ever handed through.
using ggml_backend = void*;
using ggml_graph = void*;
enum ggml_status : int { GGML_STATUS_ABORTED = 1, GGML_STATUS_SUCCESS = 0 };
using abort_check = bool (*)(void* data);
using abort_handler = void (*)(const char* message);

// The functions that the shim calls; null where the loaded library does not export one.
struct Functions {
    void* (*new_sd_ctx)(const void* params);
    sdrest_image* (*generate_image)(void* context, const void* params);
    sdrest_image* (*generate_video)(void* context, const void* params, int* count);
    void* (*new_upscaler_ctx)(const char* path, bool offload, bool direct, int threads, int tile_size);
    sdrest_image (*upscale)(void* upscaler, sdrest_image image, uint32_t factor);
    bool (*convert)(const char* input, const char* vae, const char* output, int type, const char* rules, bool names);
    void (*sd_set_log_callback)(sdrest_log_callback callback, void* data);
    void (*sd_set_progress_callback)(sdrest_progress_callback callback, void* data);

    ggml_status (*graph_compute)(ggml_backend backend, ggml_graph graph);
    bool (*backend_is_cpu)(ggml_backend backend);
    void (*cpu_set_abort_check)(ggml_backend backend, abort_check check, void* data);
    abort_handler (*set_abort_handler)(abort_handler handler);
};

// Fills in the functions of the library behind a handle of dlopen() or LoadLibrary(). False when it is not a libstable-diffusion.
bool resolve(void* library, Functions& functions);

// True when calls of ggml_backend_graph_compute() inside the library go through the dynamic linker and end at `ours`.
bool interposed(void* library, const void* ours);

}  // namespace sdrest
