// Where forward leaves what backward and the host look for. Device functions alone.
#pragma once

#include "blend.cuh"

namespace splat::own {

// A tile's part of the list: first and last place + 1; the sort keeps the first inverted, so that zeros are no part.
__device__ inline uint2 list_of(const uint2 *range, uint32_t tile) {
  const uint2 r = range[tile];
  return r.y == 0 ? make_uint2(0, 0) : make_uint2(~r.x, r.y);
}

// Place in its slot of a block's pixel: backward, where each lane has a row of a block, reads column by column.
__device__ inline int kept_place(int block, int row, int column) { return column * 32 + block * BLOCK_Y + row; }

// The end of both blend kernels, called by all threads of a tile's block once `alive` (shared memory) says how many
// segments each block of pixels needed: the tile's work items for backward, and a word to the host if the tile's list
// took longer than all before.
template <int THREADS, bool TRAIN>
__device__ inline void leave_work(const BlendOut &out, uint32_t tile, const uint32_t (&alive)[BLOCKS],
                                  uint32_t &work_base) {
  const int t = threadIdx.x;
  __syncthreads();
  uint32_t most = 0;
#pragma unroll
  for (int k = 0; k < BLOCKS; k++) most = max(most, alive[k]);
  if (TRAIN && out.work) {
    if (t < BLOCKS) out.alive[uint64_t(tile) * BLOCKS + t] = alive[t];
    if (t == 0) work_base = most ? atomicAdd(&out.counters->items, most) : 0;
    __syncthreads();
    for (uint32_t k = t; k < most; k += THREADS) out.work[work_base + k] = {tile, k};
  }
  if (t == 0 && out.longest && atomicMax(&out.counters->longest, most) < most) *out.longest = most;
}

}  // namespace splat::own
