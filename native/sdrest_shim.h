/* The shim between sdrest and libstable-diffusion.
 *
 * stable-diffusion.cpp has no call that stops a running generation, and it ends the process on failed assertions and on C++
 * exceptions that reach its C interface. This library adds what is missing without changing libstable-diffusion:
 *
 *   - it stands in front of ggml_backend_graph_compute(), so that a cancelled generation ends between two operations of a graph;
 *   - it calls the long-running functions inside try/catch and turns failed assertions of the calling thread into errors;
 *   - it can answer every graph without computing it (dry run), so that all buffers are allocated and logged but nothing is computed.
 *
 * Order of use: load this library with RTLD_GLOBAL, load libstable-diffusion, call sdrest_shim_attach() with its handle, install the
 * callbacks through this library, then use the guarded calls. One guarded call at a time per process (the callbacks of
 * libstable-diffusion are global as well). sdrest_shim_cancel() may be called from any thread and from a signal handler.
 */
#ifndef SDREST_SHIM_H
#define SDREST_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(SDREST_SHIM_BUILD)
#define SDREST_API __declspec(dllexport)
#else
#define SDREST_API __declspec(dllimport)
#endif
#else
#define SDREST_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Changed with every incompatible change of this header. */
#define SDREST_SHIM_ABI 1

/* Same layout as sd_image_t of stable-diffusion.h: row-major, interleaved channels, data from malloc(). */
typedef struct {
    uint32_t width;
    uint32_t height;
    uint32_t channel;
    uint8_t* data;
} sdrest_image;

/* Result of a guarded call. */
enum sdrest_status {
    SDREST_OK        = 0, /* the call gave a result */
    SDREST_FAILED    = 1, /* the library reported a failure (null result); the reason is in its log */
    SDREST_CANCELLED = 2, /* ended because of sdrest_shim_cancel(); nothing is returned */
    SDREST_EXCEPTION = 3, /* a C++ exception left the library; sdrest_shim_error() has its text */
    SDREST_ASSERTION = 4, /* GGML_ASSERT or GGML_ABORT on the calling thread; sdrest_shim_error() has file, line and text */
    SDREST_DETACHED  = 5  /* sdrest_shim_attach() was not called or the library lacks the function */
};

/* How far a generation is. Graphs may be skipped or stopped only from SDREST_PHASE_ENCODE on: before it, LoRA weights are merged
 * into the model, and a half-merged model would spoil all later pictures. */
enum sdrest_phase {
    SDREST_PHASE_IDLE    = 0, /* no guarded call has run */
    SDREST_PHASE_PREPARE = 1, /* LoRA files are read and merged: every graph is computed */
    SDREST_PHASE_ENCODE  = 2, /* pictures and prompts are encoded: the library asserts success, so skipped graphs report success */
    SDREST_PHASE_SAMPLE  = 3  /* sampling and decoding: a stopped graph reports GGML_STATUS_ABORTED */
};

/* How a cancelled call is ended. */
enum sdrest_cancel_mode {
    SDREST_CANCEL_NONE     = 0, /* not attached */
    SDREST_CANCEL_GRAPH    = 1, /* between two operations (CPU) or two graphs (other backends) */
    SDREST_CANCEL_PROGRESS = 2  /* at the next progress call: a step or a tile. Where symbols cannot be interposed */
};

typedef void (*sdrest_log_callback)(int level, const char* text, void* data);
typedef void (*sdrest_progress_callback)(int step, int steps, float seconds, void* data);

SDREST_API int sdrest_shim_abi(void);

/* Connects the shim to a loaded libstable-diffusion (handle of dlopen or LoadLibrary) and installs its callbacks. Returns the cancel
 * mode that this library allows, SDREST_CANCEL_NONE when it is not a libstable-diffusion. With interpose false the answer is at most
 * SDREST_CANCEL_PROGRESS. Assertions are caught in SDREST_CANCEL_GRAPH only: without it the shim cannot know that it is inside the
 * parallel part of a graph, which must not be unwound. */
SDREST_API int sdrest_shim_attach(void* library, bool interpose);
SDREST_API int sdrest_shim_cancel_mode(void);

/* Callbacks of the user, null for none. They are called where the library calls them: progress on the thread of the guarded call,
 * log lines on any thread of the library. */
SDREST_API void sdrest_shim_set_log_callback(sdrest_log_callback callback, void* data);
SDREST_API void sdrest_shim_set_progress_callback(sdrest_progress_callback callback, void* data);

/* Asks the running guarded call to end. The request stays until a call that it ended has returned, or sdrest_shim_arm(): a guarded
 * call that starts with a pending request returns SDREST_CANCELLED at once. */
SDREST_API void sdrest_shim_cancel(void);
/* Forgets a pending request. Call it when a new job begins, before the job becomes cancellable. */
SDREST_API void sdrest_shim_arm(void);
SDREST_API bool sdrest_shim_cancel_requested(void);

/* While on, graphs are not computed (LoRA merges excepted), pictures hold undefined bytes, buffers are allocated and logged. Needs
 * SDREST_CANCEL_GRAPH. */
SDREST_API void sdrest_shim_set_dry_run(bool on);

/* Guarded calls. Parameters are those of the function of the same name in stable-diffusion.h; results come through pointers and are
 * null or empty unless SDREST_OK is returned. Pictures belong to the caller: sdrest_shim_free_images(). */
SDREST_API int sdrest_shim_new_context(const void* params, void** context);
SDREST_API int sdrest_shim_generate_image(void* context, const void* params, int count, sdrest_image** images);
SDREST_API int sdrest_shim_generate_video(void* context, const void* params, sdrest_image** images, int* count);
SDREST_API int sdrest_shim_new_upscaler(const char* path, bool offload_params_to_cpu, bool direct, int threads, int tile_size, void** upscaler);
SDREST_API int sdrest_shim_upscale(void* upscaler, sdrest_image image, uint32_t factor, sdrest_image* result);
SDREST_API int sdrest_shim_convert(const char* input, const char* vae, const char* output, int type, const char* rules, bool convert_names);

/* Frees the data of count pictures and, when array is true, the array itself. Null is allowed. */
SDREST_API void sdrest_shim_free_images(sdrest_image* images, int count, bool array);

/* Text of the last SDREST_EXCEPTION or SDREST_ASSERTION of this thread, "" when there was none. Valid until this thread's next call. */
SDREST_API const char* sdrest_shim_error(void);

/* About the running or last guarded call. */
SDREST_API int sdrest_shim_phase(void);               /* enum sdrest_phase: the phase that it has reached */
SDREST_API uint64_t sdrest_shim_graphs_computed(void); /* graphs computed to the end since attach */
SDREST_API uint64_t sdrest_shim_graphs_skipped(void);  /* graphs skipped or stopped since attach */

#ifdef __cplusplus
}
#endif

#endif
