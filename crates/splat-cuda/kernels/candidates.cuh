// Candidates of stage `tiles`: the tiles of the rows' rectangles, numbered in depth order, and which row each of them
// belongs to. Device functions alone, for tiles.cu.
#pragma once

#include "block.cuh"
#include "coverage.cuh"
#include "tiles.cuh"

namespace splat::own {

constexpr int THREADS = BLOCK_THREADS, WARPS = BLOCK_WARPS;
constexpr uint32_t EACH = 4, CHUNK = THREADS * EACH;
// A row of the table for each chunk says where it begins; beyond the table it is searched for.
constexpr uint32_t TABLE = 1 << 17, MOST_PARTS = 1 << 16;
constexpr uint32_t SCAN_EACH = 4, SCAN_ROWS = THREADS * SCAN_EACH;

// The scratch: tickets and look-back words, to be zeroed, and the table.
struct Scratch {
  uint32_t *tickets;
  unsigned long long *scan_state, *emit_state;
  uint32_t *table;

  __host__ __device__ Scratch(void *base, uint32_t most_rows) {
    auto *words = static_cast<unsigned long long *>(base);
    tickets = reinterpret_cast<uint32_t *>(words);
    scan_state = words + 16;
    emit_state = scan_state + (most_rows + SCAN_ROWS - 1) / SCAN_ROWS;
    table = reinterpret_cast<uint32_t *>(emit_state + MOST_PARTS + 1);
  }
};

// The candidates of one chunk in shared memory: its rows, and which of them each candidate belongs to.
struct Chunk {
  uint32_t start[CHUNK], row[CHUNK];
  ushort4 rect[CHUNK];
  __align__(16) uint16_t owner[CHUNK];
  uint32_t warps[WARPS];

  // Called by all threads.
  __device__ void load(const EmitIn &in, const Scratch &scratch, uint32_t from, uint32_t all, uint32_t rows) {
    const uint32_t index = from / CHUNK, t = threadIdx.x;
    uint32_t low, high;
    __syncthreads();
    if (index < TABLE) {
      low = scratch.table[index];
      high = index + 1 < TABLE && from + CHUNK < all ? scratch.table[index + 1] + 1 : rows;
    } else {
      low = search(in, from, rows);
      high = rows;
    }
    const uint32_t count = min(high - low, CHUNK);
    reinterpret_cast<uint2 *>(owner)[t] = make_uint2(0, 0);
    __syncthreads();
    for (uint32_t k = t; k < count; k += THREADS) {
      const uint32_t begins = in.starts[low + k];
      start[k] = begins;
      row[k] = in.order[low + k];
      rect[k] = in.rects[low + k];
      if (k > 0 && begins - from < CHUNK) owner[begins - from] = uint16_t(k);
    }
    __syncthreads();
    // A candidate belongs to the last row that begins at or before it: a running maximum.
    __align__(8) uint16_t mine[EACH];
    *reinterpret_cast<uint2 *>(mine) = reinterpret_cast<uint2 *>(owner)[t];
#pragma unroll
    for (uint32_t k = 1; k < EACH; k++) mine[k] = max(mine[k], mine[k - 1]);
    uint32_t upto = mine[EACH - 1];
    const int lane = t % 32, warp = t / 32;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      const uint32_t other = __shfl_up_sync(ALL_LANES, upto, d);
      if (lane >= d) upto = max(upto, other);
    }
    if (lane == 31) warps[warp] = upto;
    uint32_t before = __shfl_up_sync(ALL_LANES, upto, 1);
    if (lane == 0) before = 0;
    __syncthreads();
    for (int w = 0; w < warp; w++) before = max(before, warps[w]);
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++) mine[k] = uint16_t(max(uint32_t(mine[k]), before));
    reinterpret_cast<uint2 *>(owner)[t] = *reinterpret_cast<uint2 *>(mine);
    __syncthreads();
  }

 private:
  // The last place whose candidates begin at or before `from`: 256 at a time.
  __device__ static uint32_t search(const EmitIn &in, uint32_t from, uint32_t rows) {
    uint32_t low = 0, high = rows;
    while (high - low > 1) {
      const uint32_t step = (high - low + THREADS - 1) / THREADS, at = low + threadIdx.x * step;
      const int below = __syncthreads_count(at < high && in.starts[at] <= from);
      low += (below - 1) * step;
      high = min(high, low + step);
    }
    return low;
  }
};

// Candidate `from` + place of the chunk: its row and tile, and its first pixel.
struct Candidate {
  uint32_t row, tile;
  float x, y;
};

__device__ inline Candidate locate(const Scene &s, const Chunk &chunk, uint32_t from, uint32_t place) {
  const uint32_t owner = chunk.owner[place];
  const ushort4 rect = chunk.rect[owner];
  const uint32_t j = from + place - chunk.start[owner], across = rect.z - rect.x, down = j / across;
  const uint32_t x = rect.x + (j - down * across), y = rect.y + down, row = chunk.row[owner];
  const uint32_t camera = s.cameras == 1 ? 0 : row / s.splats;
  return {row, camera * s.tiles() + y * s.tiles_x + x, float(x * TILE), float(y * TILE)};
}

__device__ inline bool hits(const Scene &s, const Shape2d &shape, const Candidate &c) {
  return reaches_pixel(shape, c.x, c.y, fminf(c.x + TILE - 1, float(s.width - 1)),
                       fminf(c.y + TILE - 1, float(s.height - 1)));
}

}  // namespace splat::own
