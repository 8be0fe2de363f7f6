// Quantisers that are quicker than ggml's; used by sdrest.conversion.

#pragma once

#include <cstdint>

#if defined(_WIN32)
#define SDREST_QUANTIZE_API extern "C" __declspec(dllexport)
#else
#define SDREST_QUANTIZE_API extern "C" __attribute__((visibility("default")))
#endif

// `blocks` blocks of 256 finite values each as Q4_K, 144 bytes a block. Any thread; touches nothing else.
SDREST_QUANTIZE_API void sdrest_quantize_q4_k(const float* values, void* out, std::int64_t blocks);
