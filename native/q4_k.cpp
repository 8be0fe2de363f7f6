// Q4_K, eight sub-blocks at a time.
//
// ggml's reference quantiser (quantize_row_q4_K_ref in ggml-quants.c) looks for the scale and the minimum of each sub-block of
// 32 values in 21 steps, value after value. Here each of eight vector lanes does the same arithmetic in the same order for one of
// the eight sub-blocks of a block of 256. Nothing is contracted into fused multiply-adds, so every processor gives the same bytes.

#include "quantize.h"

#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SDREST_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define SDREST_CLONES
#endif
#define SDREST_INLINE inline __attribute__((always_inline))

namespace {

constexpr int kLanes = 8;    // sub-blocks in a block
constexpr int kValues = 32;  // values in a sub-block
constexpr int kBlock = kLanes * kValues;
constexpr int kSteps = 20;
constexpr float kLevels = 15.0F;
constexpr float kScaleLevels = 63.0F;

using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

struct Block {  // block_q4_K
    std::uint16_t d;
    std::uint16_t dmin;
    std::uint8_t scales[12];
    std::uint8_t qs[kBlock / 2];
};
static_assert(sizeof(Block) == 144, "block_q4_K has 144 bytes");

SDREST_INLINE Floats all(float value) { return Floats{} + value; }

SDREST_INLINE Floats least(Floats a, Floats b) { return a < b ? a : b; }

SDREST_INLINE Floats greatest(Floats a, Floats b) { return a > b ? a : b; }

// Nearest whole number, ties to even, for magnitudes below 2^22: as nearest_int in ggml.
SDREST_INLINE Floats rounded(Floats value) {
    const Floats magic = all(12582912.0F);
    return (value + magic) - magic;
}

SDREST_INLINE float half_to_float(std::uint16_t half) {
    const std::uint32_t magnitude = half & 0x7fffU;
    std::uint32_t bits;
    if (magnitude < 0x400U) {  // zero or subnormal: a multiple of 2^-24
        const float value = static_cast<float>(magnitude) * 5.9604644775390625e-8F;
        std::memcpy(&bits, &value, sizeof bits);
    } else {
        bits = (magnitude << 13U) + (112U << 23U);
    }
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// A float that is not negative as a half, to nearest, ties to even; what is too large becomes infinite.
SDREST_INLINE std::uint16_t float_to_half(float value) {
    if (value >= 65520.0F) return 0x7c00U;
    if (value < 6.103515625e-5F) {  // below the smallest normal half: count in steps of 2^-24
        const float steps = value * 16777216.0F + 8388608.0F;
        std::uint32_t bits;
        std::memcpy(&bits, &steps, sizeof bits);
        return static_cast<std::uint16_t>(bits & 0x7ffU);
    }
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t odd = (bits >> 13U) & 1U;
    return static_cast<std::uint16_t>((bits - (112U << 23U) + 0xfffU + odd) >> 13U);
}

struct Found {
    Floats scale;
    Floats offset;  // the negated minimum
};

// make_qkx2_quants(32, 15, x, weights, …, -1, 0.1, 20, false) for eight sub-blocks.
SDREST_INLINE Found search(const Floats (&x)[kValues]) {
    Floats sum_x2 = all(0.0F);
    for (const Floats value : x) sum_x2 += value * value;
    Floats average = sum_x2 / 32.0F;
    for (int lane = 0; lane < kLanes; ++lane) average[lane] = __builtin_sqrtf(average[lane]);

    Floats weights[kValues];
    Floats low = x[0], high = x[0], sum_w = all(0.0F), sum_x = all(0.0F);
    for (int i = 0; i < kValues; ++i) {
        weights[i] = average + (x[i] < 0.0F ? -x[i] : x[i]);
        low = least(low, x[i]);
        high = greatest(high, x[i]);
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    low = least(low, all(0.0F));
    const Ints is_flat = high == low;
    Floats best_scale, best_error = all(0.0F);
    {
        const Floats inverse = kLevels / (is_flat ? all(1.0F) : high - low);
        best_scale = 1.0F / inverse;
        for (int i = 0; i < kValues; ++i) {
            const Floats level = greatest(all(0.0F), least(all(kLevels), rounded(inverse * (x[i] - low))));
            const Floats difference = best_scale * level + low - x[i];
            best_error += weights[i] * (difference * difference);
        }
    }
    for (int step = 0; step <= kSteps; ++step) {
        // The best minimum so far is where the next step counts from.
        const Floats inverse =
            (-1.0F + 0.1F * static_cast<float>(step) + kLevels) / (is_flat ? all(1.0F) : high - low);
        Floats levels[kValues];
        Floats sum_l = all(0.0F), sum_l2 = all(0.0F), sum_xl = all(0.0F);
        for (int i = 0; i < kValues; ++i) {
            const Floats level = greatest(all(0.0F), least(all(kLevels), rounded(inverse * (x[i] - low))));
            const Floats weighted = weights[i] * level;
            levels[i] = level;
            sum_l += weighted;
            sum_l2 += weighted * level;
            sum_xl += weighted * x[i];
        }
        const Floats determinant = sum_w * sum_l2 - sum_l * sum_l;
        const Ints is_solvable = determinant > 0.0F;
        const Floats divisor = is_solvable ? determinant : all(1.0F);
        Floats scale = (sum_w * sum_xl - sum_x * sum_l) / divisor;
        Floats offset = (sum_l2 * sum_x - sum_l * sum_xl) / divisor;
        const Ints is_above = offset > 0.0F;
        const Floats squares = sum_l2 > 0.0F ? sum_l2 : all(1.0F);
        scale = is_above ? sum_xl / squares : scale;
        offset = is_above ? all(0.0F) : offset;
        Floats error = all(0.0F);
        for (int i = 0; i < kValues; ++i) {
            const Floats difference = scale * levels[i] + offset - x[i];
            error += weights[i] * (difference * difference);
        }
        const Ints is_better = is_solvable & (error < best_error);
        best_error = is_better ? error : best_error;
        best_scale = is_better ? scale : best_scale;
        low = is_better ? offset : low;
    }
    return {is_flat ? all(0.0F) : best_scale, -low};
}

SDREST_INLINE float largest(Floats values) {
    float found = 0.0F;
    for (int lane = 0; lane < kLanes; ++lane) found = values[lane] > found ? values[lane] : found;
    return found;
}

SDREST_INLINE void quantize_block(const float* values, Block* block) {
    Floats x[kValues];
    for (int i = 0; i < kValues; ++i)
        for (int lane = 0; lane < kLanes; ++lane) x[i][lane] = values[lane * kValues + i];
    const Found found = search(x);

    const float max_scale = largest(found.scale), max_offset = largest(found.offset);
    const float inverse_scale = max_scale > 0.0F ? kScaleLevels / max_scale : 0.0F;
    const float inverse_offset = max_offset > 0.0F ? kScaleLevels / max_offset : 0.0F;
    block->d = float_to_half(max_scale / kScaleLevels);
    block->dmin = float_to_half(max_offset / kScaleLevels);
    // ggml takes the low byte of what it rounded, then at most 63.
    const Floats rounded_scales = rounded(inverse_scale * found.scale);
    const Floats rounded_offsets = rounded(inverse_offset * found.offset);
    Floats scales, offsets;
    std::uint8_t ls[kLanes], lm[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
        const auto scale = static_cast<std::uint8_t>(static_cast<int>(rounded_scales[lane]));
        const auto offset = static_cast<std::uint8_t>(static_cast<int>(rounded_offsets[lane]));
        ls[lane] = scale < 63 ? scale : std::uint8_t{63};
        lm[lane] = offset < 63 ? offset : std::uint8_t{63};
        scales[lane] = half_to_float(block->d) * static_cast<float>(ls[lane]);
        offsets[lane] = half_to_float(block->dmin) * static_cast<float>(lm[lane]);
    }
    for (int j = 0; j < 4; ++j) {
        block->scales[j] = static_cast<std::uint8_t>(ls[j] | ((ls[j + 4] >> 4) << 6));
        block->scales[j + 4] = static_cast<std::uint8_t>(lm[j] | ((lm[j + 4] >> 4) << 6));
        block->scales[j + 8] = static_cast<std::uint8_t>((ls[j + 4] & 0xF) | ((lm[j + 4] & 0xF) << 4));
    }

    const Ints is_zero = scales == 0.0F;
    const Floats divisor = is_zero ? all(1.0F) : scales;
    for (int i = 0; i < kValues; ++i) {
        Floats level = greatest(all(0.0F), least(all(kLevels), rounded((x[i] + offsets) / divisor)));
        level = is_zero ? all(0.0F) : level;
        const Ints whole = __builtin_convertvector(level, Ints);
        for (int pair = 0; pair < kLanes / 2; ++pair)
            block->qs[pair * kValues + i] = static_cast<std::uint8_t>(whole[2 * pair] | (whole[2 * pair + 1] << 4));
    }
}

}  // namespace

SDREST_CLONES void sdrest_quantize_q4_k(const float* values, void* out, std::int64_t blocks) {
    auto* block = static_cast<Block*>(out);
    for (std::int64_t i = 0; i < blocks; ++i) quantize_block(values + i * kBlock, block + i);
}
