// See tiles.cuh. The candidates are the tiles of the rows' rectangles, numbered in depth order; each thread tests eight
// of them, so that no thread waits for one with a splat that fills the image.
#include "coverage.cuh"
#include "tiles.cuh"
#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr unsigned long long AGGREGATE = 1ull << 62, INCLUSIVE = 2ull << 62, COUNT = (1ull << 62) - 1;

__device__ bool hits(const Scene &s, const Shape2d &shape, int tx, int ty) {
  const float x0 = float(tx * TILE), y0 = float(ty * TILE);
  return reaches_pixel(shape, x0, y0, fminf(x0 + TILE - 1, float(s.width - 1)),
                       fminf(y0 + TILE - 1, float(s.height - 1)));
}

// Running sum over blocks in the order of their tickets: decoupled look-back (Merrill and Garland 2016). Called by all
// threads of the block with its total; `base` is shared memory. Returns the sum of the blocks before.
__device__ unsigned long long sum_before(volatile unsigned long long *state, uint32_t block, uint32_t total,
                                         unsigned long long &base) {
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

// Exclusive sum over the threads of a block, and the total.
__device__ uint32_t exclusive_sum(uint32_t value, uint32_t *warp_sums, uint32_t &total) {
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
  for (int w = 0; w < WARPS; w++) {
    if (w < warp) before += warp_sums[w];
    total += warp_sums[w];
  }
  return before + sum - value;
}

// Words of scratch: a ticket for each kernel, then the look-back states of the two.
constexpr int TICKETS = 16;

__global__ void __launch_bounds__(THREADS) scan_kernel(const EmitIn in, unsigned long long *words, Counters *counters) {
  __shared__ uint32_t ticket, warp_sums[WARPS];
  __shared__ unsigned long long base;
  const uint32_t rows = counters->visible;
  if (threadIdx.x == 0)
    ticket = blockIdx.x * THREADS < rows ? atomicAdd(reinterpret_cast<uint32_t *>(words), 1u) : ALL_LANES;
  __syncthreads();
  const uint32_t block = ticket;
  if (block == ALL_LANES) return;
  const uint32_t place = block * THREADS + threadIdx.x;
  uint32_t count = 0;
  if (place < rows) {
    const ushort4 rect = in.rect[in.order[place]];
    count = uint32_t(rect.z - rect.x) * (rect.w - rect.y);
  }
  uint32_t total;
  const uint32_t before = exclusive_sum(count, warp_sums, total);
  const unsigned long long first = sum_before(words + TICKETS, block, total, base);
  if (place < rows) in.starts[place] = uint32_t(first + before);
  if (threadIdx.x == 0 && (block + 1) * uint64_t(THREADS) >= rows) {
    if (first + total < ALL_LANES)
      counters->candidates = uint32_t(first + total);
    else
      counters->pairs = first + total;
  }
}

constexpr uint32_t EACH = 8, CHUNK = THREADS * EACH, MOST_PARTS = 1 << 15;

// CHUNK candidates of consecutive rows, EACH a thread.
struct Chunk {
  uint32_t starts[CHUNK + 1];  // of the rows that have candidates here
};

// Tests the candidates from `from` on (up to `end`); bit e of the result says that candidate e of this thread is hit,
// tile[e] and row[e] which. Called by all threads.
__device__ uint32_t test_chunk(const Scene &s, const EmitIn &in, Chunk &chunk, uint32_t from, uint32_t end,
                               uint32_t rows, uint32_t (&tile)[EACH], uint32_t (&row)[EACH]) {
  // The last place whose candidates begin at or before `from`: a search by 256 at a time.
  uint32_t low = 0, high = rows;
  while (high - low > 1) {
    const uint32_t step = (high - low + THREADS - 1) / THREADS, at = low + threadIdx.x * step;
    const int below = __syncthreads_count(at < high && in.starts[at] <= from);
    low += (below - 1) * step;
    high = min(high, low + step);
  }
  __syncthreads();
  for (uint32_t k = threadIdx.x; k <= CHUNK; k += THREADS) chunk.starts[k] = low + k < rows ? in.starts[low + k] : ALL_LANES;
  __syncthreads();
  const uint32_t first = from + threadIdx.x * EACH;
  uint32_t mask = 0;
  if (first < end) {
    uint32_t owner = 0;
#pragma unroll
    for (uint32_t step = CHUNK / 2; step > 0; step /= 2)
      if (chunk.starts[owner + step] <= first) owner += step;
    Shape2d shape;
    ushort4 rect = make_ushort4(0, 0, 0, 0);
    uint32_t its_row = 0, x = 0, y = 0, next = 0;
#pragma unroll
    for (uint32_t e = 0; e < EACH; e++) {
      if (first + e >= end) break;
      if (e == 0 || first + e == next) {
        if (e > 0) owner++;
        its_row = in.order[low + owner];
        rect = in.rect[its_row];
        shape = in.shape[its_row];
        next = chunk.starts[owner + 1];
        const uint32_t j = first + e - chunk.starts[owner], across = rect.z - rect.x, down = j / across;
        x = rect.x + (j - down * across), y = rect.y + down;
      }
      if (hits(s, shape, int(x), int(y))) mask |= 1u << e;
      row[e] = its_row;
      tile[e] = its_row / s.splats * s.tiles() + y * s.tiles_x + x;
      if (++x == rect.z) x = rect.x, y++;
    }
  }
  return mask;
}

__global__ void __launch_bounds__(THREADS) count_kernel(const __grid_constant__ Scene s, const EmitIn in,
                                                        Counters *counters) {
  __shared__ Chunk chunk;
  const uint32_t all = counters->candidates, rows = counters->visible;
  uint32_t tile[EACH], row[EACH];
  unsigned long long sum = 0;
  for (uint64_t from = uint64_t(blockIdx.x) * CHUNK; from < all; from += uint64_t(gridDim.x) * CHUNK) {
    const uint32_t end = uint32_t(from + CHUNK < all ? from + CHUNK : all);
    sum += __popc(test_chunk(s, in, chunk, uint32_t(from), end, rows, tile, row));
  }
#pragma unroll
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, d);
  if (threadIdx.x % 32 == 0 && sum) atomicAdd(&counters->pairs, sum);
}

// A block takes one part of the candidates after the other: a chunk, or many where there are more than MOST_PARTS
// chunks; those are then tested twice, first to count them.
template <typename Key>
__global__ void __launch_bounds__(THREADS) emit_kernel(const __grid_constant__ Scene s, const EmitIn in,
                                                       unsigned long long capacity, Key *tiles, uint32_t *out_rows,
                                                       unsigned long long *words, Counters *counters) {
  __shared__ Chunk chunk;
  __shared__ Key found_tiles[CHUNK];
  __shared__ uint32_t found_rows[CHUNK];
  __shared__ uint32_t ticket, warp_sums[WARPS];
  __shared__ unsigned long long base;
  const uint32_t all = counters->candidates, rows = counters->visible;
  const uint32_t chunks = uint32_t((uint64_t(all) + CHUNK - 1) / CHUNK), each = (chunks + MOST_PARTS - 1) / MOST_PARTS;
  uint32_t tile[EACH], row[EACH];
  for (;;) {
    __syncthreads();
    if (threadIdx.x == 0) ticket = atomicAdd(reinterpret_cast<uint32_t *>(words) + 1, 1u);
    __syncthreads();
    const uint32_t part = ticket;
    const uint64_t part_first = uint64_t(part) * each * CHUNK;
    if (part_first >= all) return;
    const uint64_t part_end = part_first + uint64_t(each) * CHUNK < all ? part_first + uint64_t(each) * CHUNK : all;
    auto end_of = [&](uint64_t from) { return uint32_t(from + CHUNK < part_end ? from + CHUNK : part_end); };
    uint32_t mask = 0, mine = 0;
    for (uint64_t from = part_first; from < part_end; from += CHUNK) {
      mask = test_chunk(s, in, chunk, uint32_t(from), end_of(from), rows, tile, row);
      mine += __popc(mask);
    }
    uint32_t total;
    exclusive_sum(mine, warp_sums, total);
    unsigned long long at = sum_before(words + TICKETS + (in.most_rows + THREADS - 1) / THREADS, part, total, base);
    if (threadIdx.x == 0 && part_end == all) {
      counters->pairs = at + total;
      counters->listed = uint32_t(at + total < capacity ? at + total : capacity);
    }
    for (uint64_t from = part_first; from < part_end; from += CHUNK) {
      if (each > 1) mask = test_chunk(s, in, chunk, uint32_t(from), end_of(from), rows, tile, row);
      uint32_t found;
      __syncthreads();
      uint32_t to = exclusive_sum(__popc(mask), warp_sums, found);
#pragma unroll
      for (uint32_t e = 0; e < EACH; e++)
        if (mask >> e & 1) found_tiles[to] = Key(tile[e]), found_rows[to++] = row[e];
      __syncthreads();
      for (uint32_t k = threadIdx.x; k < found; k += THREADS)
        if (at + k < capacity) {
          tiles[at + k] = found_tiles[k];
          out_rows[at + k] = found_rows[k];
        }
      at += found;
    }
  }
}

template <typename Key>
__global__ void __launch_bounds__(THREADS) ranges_kernel(const Key *tiles, uint2 *range, const Counters *counters,
                                                         Slot *slot, unsigned long long ticket) {
  const uint32_t n = counters->listed;
  if (slot && blockIdx.x == 0 && threadIdx.x == 0) {
    slot->pairs = counters->pairs;
    slot->rejected = counters->rejected;
    __threadfence_system();
    slot->ticket = ticket;
  }
  for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS) {
    const Key mine = tiles[i];
    if (i == 0 || tiles[i - 1] != mine) range[mine].x = i;
    if (i + 1 == n || tiles[i + 1] != mine) range[mine].y = i + 1;
  }
}

uint32_t blocks(uint64_t threads) { return uint32_t((threads + THREADS - 1) / THREADS); }

}  // namespace

uint64_t emit_scratch_bytes(uint32_t most_rows) {
  return 8 * (TICKETS + uint64_t(blocks(most_rows)) + MOST_PARTS + 1);
}

cudaError_t scan_candidates(const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream) {
  scan_kernel<<<blocks(in.most_rows), THREADS, 0, stream>>>(in, static_cast<unsigned long long *>(scratch), counters);
  return cudaGetLastError();
}

// Blocks that fill a large GPU; they share the work out among themselves.
constexpr uint32_t ENOUGH = 1056;

cudaError_t count_pairs(const Scene &scene, const EmitIn &in, Counters *counters, cudaStream_t stream) {
  count_kernel<<<ENOUGH, THREADS, 0, stream>>>(scene, in, counters);
  return cudaGetLastError();
}

template <typename Key>
cudaError_t emit_pairs(const Scene &scene, const EmitIn &in, uint64_t capacity, Key *tiles, uint32_t *rows,
                       void *scratch, Counters *counters, cudaStream_t stream) {
  emit_kernel<Key><<<ENOUGH, THREADS, 0, stream>>>(scene, in, capacity, tiles, rows,
                                                   static_cast<unsigned long long *>(scratch), counters);
  return cudaGetLastError();
}

template <typename Key>
cudaError_t find_ranges(const Key *tiles, uint64_t capacity, uint2 *range, const Counters *counters, Slot *slot,
                        unsigned long long ticket, cudaStream_t stream) {
  const uint32_t wanted = blocks(capacity ? capacity : 1);
  ranges_kernel<Key><<<wanted < 2112 ? wanted : 2112, THREADS, 0, stream>>>(tiles, range, counters, slot, ticket);
  return cudaGetLastError();
}

template cudaError_t emit_pairs<uint16_t>(const Scene &, const EmitIn &, uint64_t, uint16_t *, uint32_t *, void *,
                                          Counters *, cudaStream_t);
template cudaError_t emit_pairs<uint32_t>(const Scene &, const EmitIn &, uint64_t, uint32_t *, uint32_t *, void *,
                                          Counters *, cudaStream_t);
template cudaError_t find_ranges<uint16_t>(const uint16_t *, uint64_t, uint2 *, const Counters *, Slot *,
                                           unsigned long long, cudaStream_t);
template cudaError_t find_ranges<uint32_t>(const uint32_t *, uint64_t, uint2 *, const Counters *, Slot *,
                                           unsigned long long, cudaStream_t);

}  // namespace splat::own
