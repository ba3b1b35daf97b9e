// Where forward leaves what backward and the host look for. Device functions alone.
#pragma once

#include "blend.cuh"

namespace splat::own {

// A tile's part of the list: first and last place + 1; the sort keeps the first inverted, so that zeros are no part.
__device__ inline uint2 list_of(const uint2 *range, uint32_t tile) {
  const uint2 r = range[tile];
  return r.y == 0 ? make_uint2(0, 0) : make_uint2(~r.x, r.y);
}

// Place in its slot of a block's pixel: backward, which has a row of a block a lane, reads column by column.
__device__ inline int kept_place(int block, int row, int column) { return column * 32 + block * BLOCK_Y + row; }

// Tells the host when a tile's list took longer than all before; called by one thread a tile.
__device__ inline void note_longest(const BlendOut &out, uint32_t segments) {
  if (out.longest && atomicMax(&out.counters->longest, segments) < segments) *out.longest = segments;
}

}  // namespace splat::own
