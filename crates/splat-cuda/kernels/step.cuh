// What a fused backward pass ends in: Adam for the rows of a warp, in whichever form they are stored. splat-core's `step`
// and `compact`, function for function; roundings of intermediate numbers are this engine's own.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "splat_engine.h"

namespace splat::own {

struct StepGroup {
  void *param, *exp_avg, *exp_avg_sq;  // param is null if the group stays as it is
  float *units;
  uint32_t storage;
  bool aligned;        // everything can be moved 16 bytes at a time
  uint32_t low, high;  // the key of this step's draws
  float step_size;     // lr / (1 - beta1^step)
  float beta1, beta2, eps;
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
  float pull;
};

struct StepGroups {
  StepGroup group[SPLAT_STEP_TARGETS];
  bool visible_only;
};

#ifdef __CUDACC__

__device__ inline uint32_t draw(const StepGroup &g, uint32_t row, uint32_t column) {
  uint32_t x = (row * 0x9e3779b1u + column * 0x85ebca77u) ^ g.low;
  x = (x ^ x >> 16) * 0x7feb352du;
  x = ((x ^ x >> 15) + g.high) * 0x846ca68bu;
  return x ^ x >> 16;
}

__device__ inline float from_bfloat(uint16_t bits) { return __uint_as_float(uint32_t(bits) << 16); }

__device__ inline uint16_t to_bfloat(float x, uint32_t random) {
  const uint32_t bits = __float_as_uint(x);
  return uint16_t((bits + ((bits & 0x7fffffffu) >= 0x7f7f0000u ? 0u : random & 0xffffu)) >> 16);
}

// At 2^23 a float's unit is 1: what is added to it and rounded down is whole, and stands in the low bits.
constexpr float WHOLE = 8388608.f;

__device__ inline float from_half(uint32_t bits) { return __half2float(__ushort_as_half(uint16_t(bits))); }

__device__ inline uint32_t to_half(float x, uint32_t random) {
  random &= 0x1fffu;
  const uint32_t sign = __float_as_uint(x) >> 16 & 0x8000u, magnitude = __float_as_uint(x) & 0x7fffffffu;
  uint32_t rounded = min(((magnitude + random) >> 13) - (112u << 10), 0x7bffu);
  if (magnitude < 0x38800000u) {
    const float share = __uint_as_float(0x3f800000u | random << 10) - 1.f;
    rounded = __float_as_uint(__fadd_rd(__fadd_rn(__uint_as_float(magnitude) * 16777216.f, share), WHOLE)) & 0x7ffu;
  }
  if (magnitude > 0x7f800000u) rounded = 0x7e00u;
  return sign | rounded;
}

// Byte k of a word as a number from 0 to 255, without the slow conversion: 2^23 with the byte in its low bits.
__device__ inline float from_byte(uint32_t word, int k) {
  return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440u + k)) - WHOLE;
}

__device__ inline float root_of(float x) {
  float y;
  asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline void moments(const StepGroup &g, float grad, float &m, float &v) {
  m = fmaf(g.beta1, m, (1.f - g.beta1) * grad);
  v = fmaf(g.beta2, v, (1.f - g.beta2) * grad * grad);
}

template <int TARGET>
__device__ inline float pulled(const StepGroup &g, float grad, float param) {
  if constexpr (TARGET == SPLAT_STEP_OPACITIES) {
    if (g.pull != 0.f) {
      const float o = 1.f / (1.f + expf(-param));
      grad = fmaf(g.pull, o * (1.f - o), grad);
    }
  } else if constexpr (TARGET == SPLAT_STEP_SCALES) {
    if (g.pull != 0.f) grad = fmaf(g.pull, expf(param), grad);
  }
  return grad;
}

// The rows [first, first + rows) of a warp, `grad` being N numbers of each lane's; bit k of `live` says whether row k is
// updated. Goes by way of the warp's shared memory, so that neighbouring lanes touch neighbouring numbers.
template <int TARGET, int N>
__device__ inline void step_vectors(const StepGroup &g, uint32_t first, uint32_t rows, uint32_t live, float *shared,
                                    const float (&grad)[N]) {
  if (!g.param) return;
  const int lane = threadIdx.x % 32;
  __syncwarp();
#pragma unroll
  for (int k = 0; k < N; k++) shared[N * lane + k] = grad[k];
  __syncwarp();
  const size_t base = size_t(N) * first;
  float *param = static_cast<float *>(g.param) + base;
  float p[N], m[N], v[N];
  bool on[N];
#pragma unroll
  for (int k = 0; k < N; k++) {
    const uint32_t at = 32 * k + lane;
    on[k] = at < rows * N && (live >> at / N & 1);
    if (!on[k]) continue;
    p[k] = param[at];
    if (g.storage == SPLAT_STORE_FULL) {
      m[k] = static_cast<const float *>(g.exp_avg)[base + at], v[k] = static_cast<const float *>(g.exp_avg_sq)[base + at];
    } else {
      m[k] = from_bfloat(static_cast<const uint16_t *>(g.exp_avg)[base + at]);
      const float root = from_bfloat(static_cast<const uint16_t *>(g.exp_avg_sq)[base + at]);
      v[k] = root * root;
    }
  }
#pragma unroll
  for (int k = 0; k < N; k++) {
    if (!on[k]) continue;
    const uint32_t at = 32 * k + lane;
    moments(g, pulled<TARGET>(g, shared[at], p[k]), m[k], v[k]);
    const float root = sqrtf(v[k]);
    param[at] = p[k] - g.step_size * m[k] / fmaf(root, g.inverse_root, g.eps);
    if (g.storage == SPLAT_STORE_FULL) {
      static_cast<float *>(g.exp_avg)[base + at] = m[k], static_cast<float *>(g.exp_avg_sq)[base + at] = v[k];
    } else {
      const uint32_t random = draw(g, first + at / N, at % N);
      static_cast<uint16_t *>(g.exp_avg)[base + at] = to_bfloat(m[k], random);
      static_cast<uint16_t *>(g.exp_avg_sq)[base + at] = to_bfloat(root, random >> 16);
    }
  }
}

// One number of a row of SH that is stored as step_vectors stores.
template <bool FULL>
__device__ inline void step_number(const StepGroup &g, float grad, size_t at, uint32_t row, uint32_t column) {
  float *param = static_cast<float *>(g.param) + at;
  float m, v;
  if (FULL) {
    m = static_cast<const float *>(g.exp_avg)[at], v = static_cast<const float *>(g.exp_avg_sq)[at];
  } else {
    m = from_bfloat(static_cast<const uint16_t *>(g.exp_avg)[at]);
    const float root = from_bfloat(static_cast<const uint16_t *>(g.exp_avg_sq)[at]);
    v = root * root;
  }
  moments(g, grad, m, v);
  const float root = sqrtf(v);
  *param -= g.step_size * m / fmaf(root, g.inverse_root, g.eps);
  if (FULL) {
    static_cast<float *>(g.exp_avg)[at] = m, static_cast<float *>(g.exp_avg_sq)[at] = v;
  } else {
    const uint32_t random = draw(g, row, column);
    static_cast<uint16_t *>(g.exp_avg)[at] = to_bfloat(m, random);
    static_cast<uint16_t *>(g.exp_avg_sq)[at] = to_bfloat(root, random >> 16);
  }
}

// SH after the constant term: rows of `width` numbers whose gradients are in columns [3, 3 + width) of rows of ROW
// numbers of shared memory.
template <int ROW>
__device__ inline void step_rest(const StepGroup &g, uint32_t first, uint32_t rows, uint32_t live, const float *shared,
                                 uint32_t width) {
  const int lane = threadIdx.x % 32;
  const size_t base = size_t(width) * first;
  const uint32_t count = rows * width;
  uint32_t done = 0;
  if (g.storage == SPLAT_STORE_FULL && g.aligned && live == 0xffffffffu && base % 4 == 0) {
    float4 *param = reinterpret_cast<float4 *>(static_cast<float *>(g.param) + base);
    float4 *exp_avg = reinterpret_cast<float4 *>(static_cast<float *>(g.exp_avg) + base);
    float4 *exp_avg_sq = reinterpret_cast<float4 *>(static_cast<float *>(g.exp_avg_sq) + base);
    done = count / 4 * 4;
#pragma unroll 2
    for (uint32_t k = lane; k < count / 4; k += 32) {
      float4 p = param[k], m = exp_avg[k], v = exp_avg_sq[k];
      uint32_t row = 4 * k / width, column = 4 * k % width;
      const auto update = [&](float &p, float &m, float &v) {
        moments(g, shared[row * ROW + 3 + column], m, v);
        p -= g.step_size * m / fmaf(sqrtf(v), g.inverse_root, g.eps);
        if (++column == width) column = 0, row++;
      };
      update(p.x, m.x, v.x), update(p.y, m.y, v.y), update(p.z, m.z, v.z), update(p.w, m.w, v.w);
      param[k] = p, exp_avg[k] = m, exp_avg_sq[k] = v;
    }
  }
  for (uint32_t at = done + lane; at < count; at += 32) {
    const uint32_t row = at / width, column = at % width;
    if (!(live >> row & 1)) continue;
    const float grad = shared[row * ROW + 3 + column];
    if (g.storage == SPLAT_STORE_FULL)
      step_number<true>(g, grad, base + at, first + row, column);
    else
      step_number<false>(g, grad, base + at, first + row, column);
  }
}

// The same in 16 and 8 bits, a row per lane. Without a gradient the codes of the moments stay what they are: only their
// units decay.
template <int WIDTH>
__device__ inline void step_compact(const StepGroup &g, size_t row, bool seen, const float *grad) {
  constexpr int COLUMNS = (WIDTH + 15) / 16 * 16, WORDS = COLUMNS / 4;
  uint4 *firsts = reinterpret_cast<uint4 *>(static_cast<uint8_t *>(g.exp_avg) + COLUMNS * row);
  uint4 *roots = reinterpret_cast<uint4 *>(static_cast<uint8_t *>(g.exp_avg_sq) + COLUMNS * row);
  uint4 *params = reinterpret_cast<uint4 *>(static_cast<uint16_t *>(g.param) + COLUMNS * row);
  float2 *units = reinterpret_cast<float2 *>(g.units) + row;
  const float2 unit = *units;
  // Neither moves nor decays.
  if (!seen && unit.x == 0.f && unit.y == 0.f) return;
  uint32_t first[WORDS], root[WORDS];
#pragma unroll
  for (int k = 0; k < WORDS / 4; k++) {
    const uint4 a = firsts[k], b = roots[k];
    first[4 * k] = a.x, first[4 * k + 1] = a.y, first[4 * k + 2] = a.z, first[4 * k + 3] = a.w;
    root[4 * k] = b.x, root[4 * k + 1] = b.y, root[4 * k + 2] = b.z, root[4 * k + 3] = b.w;
  }
  // Signed bytes with their sign bit turned are 128 more than their value.
#pragma unroll
  for (int k = 0; k < WORDS; k++) first[k] ^= 0x80808080u;
  const auto after = [&](int k, float &m, float &v) {
    m = (from_byte(first[k / 4], k % 4) - 128.f) * unit.x;
    const float r = from_byte(root[k / 4], k % 4) * unit.y;
    v = r * r;
    moments(g, seen ? grad[k] : 0.f, m, v);
  };
  float2 largest = {0.f, 0.f};
#pragma unroll
  for (int k = 0; k < WIDTH; k++) {
    float m, v;
    after(k, m, v);
    largest.x = fmaxf(largest.x, fabsf(m)), largest.y = fmaxf(largest.y, v);
  }
  largest.y = root_of(largest.y);
  const float2 fresh = {largest.x >= 1e-30f ? largest.x * (1.f / 127.f) : 0.f,
                        largest.y >= 1e-30f ? largest.y * (1.f / 255.f) : 0.f};
  const float2 inverse = {fresh.x > 0.f ? 1.f / fresh.x : 0.f, fresh.y > 0.f ? 1.f / fresh.y : 0.f};
#pragma unroll
  for (int eight = 0; eight < COLUMNS / 8; eight++) {
    const uint4 given = params[eight];
    uint32_t half[4] = {given.x, given.y, given.z, given.w};
#pragma unroll
    for (int j = 0; j < 8; j++) {
      const int k = 8 * eight + j;
      if (k >= WIDTH) continue;
      float m, v;
      after(k, m, v);
      const float r = root_of(v);
      const float p = from_half(half[j / 2] >> 16 * (j % 2)) -
                      __fdividef(g.step_size * m, fmaf(r, g.inverse_root, g.eps));
      const uint32_t random = draw(g, uint32_t(row), k);
      half[j / 2] = __byte_perm(half[j / 2], to_half(p, random), j % 2 ? 0x5410 : 0x3254);
      // 10 and 9 random bits behind the point of 1, then half a unit of them.
      const float draw_m = __uint_as_float(0x3f800000u | (random & 0x7fe000u)) - (1.f - 0.5f / 1024.f);
      const float draw_v = __uint_as_float(0x3f800000u | (random >> 9 & 0x7fc000u)) - (1.f - 0.5f / 512.f);
      const float code_m = fminf(fmaxf(fmaf(m, inverse.x, draw_m), -127.f), 127.5f);
      const float code_v = fminf(fmaxf(fmaf(r, inverse.y, draw_v), v > 0.f && fresh.y > 0.f ? 1.f : 0.f), 255.5f);
      const uint32_t low_m = __float_as_uint(__fadd_rd(code_m, WHOLE + 128.f)),
                     low_v = __float_as_uint(__fadd_rd(code_v, WHOLE));
      const uint32_t place = k % 4 == 0 ? 0x3214u : k % 4 == 1 ? 0x3240u : k % 4 == 2 ? 0x3410u : 0x4210u;
      first[k / 4] = __byte_perm(first[k / 4], low_m, place);
      root[k / 4] = __byte_perm(root[k / 4], low_v, place);
    }
    params[eight] = make_uint4(half[0], half[1], half[2], half[3]);
  }
  *units = fresh;
  if (!seen) return;
#pragma unroll
  for (int k = 0; k < WORDS; k++) first[k] ^= 0x80808080u;
#pragma unroll
  for (int k = 0; k < WORDS / 4; k++) {
    firsts[k] = make_uint4(first[4 * k], first[4 * k + 1], first[4 * k + 2], first[4 * k + 3]);
    roots[k] = make_uint4(root[4 * k], root[4 * k + 1], root[4 * k + 2], root[4 * k + 3]);
  }
}

#endif

}  // namespace splat::own
