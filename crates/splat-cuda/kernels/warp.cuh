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

// Sums N numbers of every lane over the warp. Each step halves how many numbers a lane keeps and sends the other half
// to its partner: N + 2 exchanges or so instead of 5 N. The sum of number k is left in lane `sum_lane(k)`.
template <int N>
__device__ inline float transposed_sum(float (&v)[N]) {
  const int lane = threadIdx.x % 32;
  int n = N;
#pragma unroll
  for (int step = 16; step > 1; step /= 2) {
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
  return v[0] + __shfl_xor_sync(ALL_LANES, v[0], 1);
}

// Which number a lane holds after `transposed_sum`; at N or above: none of its own. Even lanes hold each once.
__device__ inline int summed_number(int lane) {
  return (lane >> 4 & 1) | (lane >> 3 & 1) << 1 | (lane >> 2 & 1) << 2 | (lane >> 1 & 1) << 3;
}

}  // namespace splat::own
