// Sums over the threads of a block of 256, and over blocks in the order of their tickets.
#pragma once

#include "warp.cuh"

namespace splat::own {

constexpr int BLOCK_THREADS = 256, BLOCK_WARPS = BLOCK_THREADS / 32;

// Exclusive sum over the threads of a block, and the total. `warp_sums` is shared memory; synchronises once.
__device__ inline uint32_t exclusive_sum(uint32_t value, uint32_t *warp_sums, uint32_t &total) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t sum = value;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const uint32_t other = __shfl_up_sync(ALL_LANES, sum, d);
    if (lane >= d) sum += other;
  }
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  uint32_t before = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < BLOCK_WARPS; w++) {
    if (w < warp) before += warp_sums[w];
    total += warp_sums[w];
  }
  return before + sum - value;
}

// Sum of the totals of the blocks before: decoupled look-back (Merrill and Garland 2016). Called by all threads of a
// block with its total; `state` has a zeroed word for each block, `base` is shared memory.
__device__ inline unsigned long long sum_before(volatile unsigned long long *state, uint32_t block, uint32_t total,
                                                unsigned long long &base) {
  constexpr unsigned long long AGGREGATE = 1ull << 62, INCLUSIVE = 2ull << 62, COUNT = (1ull << 62) - 1;
  if (threadIdx.x < 32) {
    const int lane = threadIdx.x;
    if (lane == 0) state[block] = (block == 0 ? INCLUSIVE : AGGREGATE) | total;
    // 32 blocks back at a time, up to the nearest that knows its own sum.
    unsigned long long behind = 0;
    for (int64_t last = int64_t(block) - 1; last >= 0; last -= 32) {
      const int64_t b = last - lane;
      unsigned long long word = INCLUSIVE;
      if (b >= 0)
        while ((word = state[b]) == 0) {
        }
      const uint32_t known = __ballot_sync(ALL_LANES, (word & INCLUSIVE) != 0);
      const int nearest = known ? __ffs(known) - 1 : 31;
      unsigned long long part = lane <= nearest ? word & COUNT : 0;
#pragma unroll
      for (int d = 16; d > 0; d /= 2) part += __shfl_xor_sync(ALL_LANES, part, d);
      behind += part;
      if (known) break;
    }
    if (lane == 0) {
      if (block != 0) state[block] = INCLUSIVE | (behind + total);
      base = behind;
    }
  }
  __syncthreads();
  return base;
}

}  // namespace splat::own
