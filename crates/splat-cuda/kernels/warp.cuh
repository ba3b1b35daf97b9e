// Sums over the lanes of a warp.
#pragma once

#include <cstdint>

namespace splat::own {

constexpr uint32_t ALL_LANES = 0xffffffffu;

__device__ inline uint32_t warp_sum(uint32_t x) {
#if __CUDA_ARCH__ >= 800
  return __reduce_add_sync(ALL_LANES, x);
#else
#pragma unroll
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(ALL_LANES, x, d);
  return x;
#endif
}

__device__ inline int warp_max(int x) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(ALL_LANES, x);
#else
#pragma unroll
  for (int d = 16; d > 0; d /= 2) x = max(x, __shfl_xor_sync(ALL_LANES, x, d));
  return x;
#endif
}

// Sum over the warp, in every lane; always in the same order.
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(ALL_LANES, x, d);
  return x;
}

// Sums N numbers over lanes that differ in the bits FROM down to TO. Each step halves how many numbers a lane keeps and
// sends the other half to its partner. Over two bits, number 4 s + 2 b0 + b1 of lane bits b1 b0 is left in slot s; a
// last slot without partners has its number in every lane.
template <int FROM, int TO, int N>
__device__ inline void exchange_sums(float (&v)[N]) {
  const int lane = threadIdx.x % 32;
  int n = N;
#pragma unroll
  for (int step = FROM; step >= TO; step /= 2) {
    const bool upper = lane & step;
#pragma unroll
    for (int k = 0; k < N / 2; k++) {
      if (2 * k + 1 >= n) break;
      const float kept = upper ? v[2 * k + 1] : v[2 * k], sent = upper ? v[2 * k] : v[2 * k + 1];
      v[k] = kept + __shfl_xor_sync(ALL_LANES, sent, step);
    }
    if (n % 2) v[n / 2] = v[n - 1] + __shfl_xor_sync(ALL_LANES, v[n - 1], step);
    n = (n + 1) / 2;
  }
}

// Sums N <= 16 numbers over the warp in N + 2 exchanges or so instead of 5 N; `summed_number` says which of them the
// lane has.
template <int N>
__device__ inline float transposed_sum(float (&v)[N]) {
  exchange_sums<16, 2>(v);
  return v[0] + __shfl_xor_sync(ALL_LANES, v[0], 1);
}

// Which number a lane holds after `transposed_sum`; at N or above: none of its own. Even lanes hold each once.
__device__ inline int summed_number(int lane) {
  return (lane >> 4 & 1) | (lane >> 3 & 1) << 1 | (lane >> 2 & 1) << 2 | (lane >> 1 & 1) << 3;
}

}  // namespace splat::own
