// See tiles.cuh. The candidates are the tiles of the rows' rectangles, numbered in depth order; each thread tests four
// of them, so that no thread waits for another whose Gaussian fills the image.
#include "tiles.cuh"

#include "candidates.cuh"
#include "launch.cuh"

namespace splat::own {
namespace {

__device__ uint32_t area(ushort4 rect) { return uint32_t(rect.z - rect.x) * (rect.w - rect.y); }

__global__ void __launch_bounds__(THREADS) scan_kernel(const EmitIn in, const Scratch scratch, Counters *counters) {
  __shared__ uint32_t ticket, warp_sums[WARPS];
  __shared__ unsigned long long base;
  const uint32_t rows = counters->visible;
  if (threadIdx.x == 0) ticket = blockIdx.x * SCAN_ROWS < rows ? atomicAdd(scratch.tickets, 1u) : ALL_LANES;
  __syncthreads();
  const uint32_t block = ticket;
  if (block == ALL_LANES) return;
  const uint32_t first = block * SCAN_ROWS + threadIdx.x * SCAN_EACH;
  __align__(16) uint32_t row[SCAN_EACH], starts[SCAN_EACH];
  __align__(16) ushort4 rect[SCAN_EACH];
  if (first + SCAN_EACH <= rows) {
    *reinterpret_cast<uint4 *>(row) = *reinterpret_cast<const uint4 *>(in.order + first);
  } else {
#pragma unroll
    for (uint32_t k = 0; k < SCAN_EACH; k++) row[k] = first + k < rows ? in.order[first + k] : 0;
  }
  uint32_t sum = 0;
#pragma unroll
  for (uint32_t k = 0; k < SCAN_EACH; k++) {
    rect[k] = first + k < rows ? in.rect[row[k]] : make_ushort4(0, 0, 0, 0);
    sum += area(rect[k]);
  }
  uint32_t total;
  const uint32_t mine = exclusive_sum(sum, warp_sums, total);
  const unsigned long long before = sum_before(scratch.scan_state, block, total, base);
  unsigned long long start = before + mine;
#pragma unroll
  for (uint32_t k = 0; k < SCAN_EACH; k++) {
    starts[k] = uint32_t(start);
    const unsigned long long end = start + area(rect[k]);
    for (unsigned long long c = (start + CHUNK - 1) / CHUNK; c * CHUNK < end && c < TABLE; c++)
      scratch.table[c] = first + k;
    start = end;
  }
  // The arrays have room for whole vectors, and nobody reads beyond the last row.
  if (first < rows) {
    *reinterpret_cast<uint4 *>(in.starts + first) = *reinterpret_cast<uint4 *>(starts);
    reinterpret_cast<uint4 *>(in.rects + first)[0] = reinterpret_cast<uint4 *>(rect)[0];
    reinterpret_cast<uint4 *>(in.rects + first)[1] = reinterpret_cast<uint4 *>(rect)[1];
  }
  if (threadIdx.x == 0 && (block + 1) * uint64_t(SCAN_ROWS) >= rows) {
    if (before + total < ALL_LANES)
      counters->candidates = uint32_t(before + total);
    else
      counters->pairs = before + total;
  }
}

__global__ void __launch_bounds__(THREADS) count_kernel(const __grid_constant__ Scene s, const EmitIn in,
                                                        const Scratch scratch, Counters *counters) {
  __shared__ Chunk chunk;
  const uint32_t all = counters->candidates, rows = counters->visible;
  unsigned long long sum = 0;
  for (uint64_t from = uint64_t(blockIdx.x) * CHUNK; from < all; from += uint64_t(gridDim.x) * CHUNK) {
    chunk.load(in, scratch, uint32_t(from), all, rows);
    for (uint32_t place = threadIdx.x; place < CHUNK && from + place < all; place += THREADS) {
      const Candidate c = locate(s, chunk, uint32_t(from), place);
      sum += hits(s, in.shape[c.row], c);
    }
  }
#pragma unroll
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, d);
  if (threadIdx.x % 32 == 0 && sum) atomicAdd(&counters->pairs, sum);
}

// A block takes one part of the candidates after the other: a chunk, or several where there are more than MOST_PARTS
// chunks; those are then tested twice, first to count them.
template <typename Key>
__global__ void __launch_bounds__(THREADS, 6) emit_kernel(const __grid_constant__ Scene s, const EmitIn in,
                                                          const Scratch scratch, unsigned long long capacity,
                                                          Digits digits, Key *tiles, uint32_t *out_rows,
                                                          uint32_t *histograms, Counters *counters, Slot *slot,
                                                          unsigned long long call) {
  __shared__ Chunk chunk;
  __shared__ uint32_t histogram[4 * SORT_RADIX];
  __shared__ uint32_t found[EACH * WARPS], warp_sums[WARPS], ticket;
  __shared__ unsigned long long base;
  const uint32_t t = threadIdx.x, lane = t % 32, warp = t / 32, before_me = (1u << lane) - 1;
  const uint32_t all = counters->candidates, rows = counters->visible;
  const uint32_t chunks = uint32_t((uint64_t(all) + CHUNK - 1) / CHUNK), each = (chunks + MOST_PARTS - 1) / MOST_PARTS;
  for (int k = t; k < digits.passes * SORT_RADIX; k += THREADS) histogram[k] = 0;
  if (all == 0 && slot && blockIdx.x == 0 && t == 0) {
    slot->pairs = counters->pairs;
    slot->rejected = counters->rejected;
    __threadfence_system();
    slot->ticket = call;
  }
  for (;;) {
    __syncthreads();
    if (t == 0) ticket = atomicAdd(scratch.tickets + 1, 1u);
    __syncthreads();
    const uint32_t part = ticket;
    const uint64_t part_first = uint64_t(part) * each * CHUNK;
    if (part_first >= all) break;
    const uint64_t part_end = part_first + uint64_t(each) * CHUNK < all ? part_first + uint64_t(each) * CHUNK : all;
    uint32_t tile[EACH], row[EACH], hit = 0, mine = 0;
    auto test_chunk = [&](uint64_t from) {
      chunk.load(in, scratch, uint32_t(from), all, rows);
      hit = 0;
#pragma unroll
      for (uint32_t e = 0; e < EACH; e++) {
        const uint32_t place = e * THREADS + t;
        if (from + place >= part_end) continue;
        const Candidate c = locate(s, chunk, uint32_t(from), place);
        row[e] = c.row, tile[e] = c.tile;
        if (hits(s, in.shape[c.row], c)) hit |= 1u << e;
      }
      mine += __popc(hit);
    };
    for (uint64_t from = part_first; from < part_end; from += CHUNK) test_chunk(from);
    uint32_t total;
    exclusive_sum(mine, warp_sums, total);
    unsigned long long at = sum_before(scratch.emit_state, part, total, base);
    if (t == 0 && part_end == all) {
      counters->pairs = at + total;
      counters->listed = uint32_t(at + total < capacity ? at + total : capacity);
      if (slot) {
        slot->pairs = at + total;
        slot->rejected = counters->rejected;
        __threadfence_system();
        slot->ticket = call;
      }
    }
    for (uint64_t from = part_first; from < part_end; from += CHUNK) {
      if (each > 1) test_chunk(from);
      // Order: by round of 256 candidates, then warp, then lane.
#pragma unroll
      for (uint32_t e = 0; e < EACH; e++) {
        const uint32_t mask = __ballot_sync(ALL_LANES, hit >> e & 1);
        if (lane == 0) found[e * WARPS + warp] = __popc(mask);
      }
      __syncthreads();
      const uint32_t count = t < EACH * WARPS ? found[t] : 0;
      uint32_t of_chunk;
      const uint32_t earlier = exclusive_sum(count, warp_sums, of_chunk);
      if (t < EACH * WARPS) found[t] = earlier;
      __syncthreads();
#pragma unroll
      for (uint32_t e = 0; e < EACH; e++) {
        const uint32_t mask = __ballot_sync(ALL_LANES, hit >> e & 1);
        const unsigned long long to = at + found[e * WARPS + warp] + __popc(mask & before_me);
        if (!(hit >> e & 1) || to >= capacity) continue;
        tiles[to] = Key(tile[e]);
        out_rows[to] = row[e];
        for (int p = 0; p < digits.passes; p++) atomicAdd(&histogram[p * SORT_RADIX + digits.of(tile[e], p)], 1u);
      }
      at += of_chunk;
      __syncthreads();
    }
  }
  for (int k = t; k < digits.passes * SORT_RADIX; k += THREADS)
    if (histogram[k]) atomicAdd(&histograms[k], histogram[k]);
}

// Blocks per multiprocessor; they share the work out among themselves.
constexpr uint32_t EACH_MULTIPROCESSOR = 6;

}  // namespace

uint64_t emit_scratch_bytes(uint32_t most_rows) {
  const Scratch at(nullptr, most_rows);
  return reinterpret_cast<uintptr_t>(at.table) + 4 * TABLE;
}

cudaError_t scan_candidates(const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream) {
  scan_kernel<<<(in.most_rows + SCAN_ROWS - 1) / SCAN_ROWS, THREADS, 0, stream>>>(in, {scratch, in.most_rows}, counters);
  return cudaGetLastError();
}

cudaError_t count_pairs(const Scene &scene, const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream) {
  count_kernel<<<enough_blocks(EACH_MULTIPROCESSOR), THREADS, 0, stream>>>(scene, in, {scratch, in.most_rows}, counters);
  return cudaGetLastError();
}

template <typename Key>
cudaError_t emit_pairs(const Scene &scene, const EmitIn &in, uint64_t capacity, const Digits &digits, Key *tiles,
                       uint32_t *rows, void *scratch, uint32_t *histograms, Counters *counters, Slot *slot,
                       unsigned long long ticket, cudaStream_t stream) {
  emit_kernel<Key><<<enough_blocks(EACH_MULTIPROCESSOR), THREADS, 0, stream>>>(scene, in, {scratch, in.most_rows}, capacity, digits, tiles, rows,
                                                   histograms, counters, slot, ticket);
  return cudaGetLastError();
}

template cudaError_t emit_pairs<uint16_t>(const Scene &, const EmitIn &, uint64_t, const Digits &, uint16_t *,
                                          uint32_t *, void *, uint32_t *, Counters *, Slot *, unsigned long long,
                                          cudaStream_t);
template cudaError_t emit_pairs<uint32_t>(const Scene &, const EmitIn &, uint64_t, const Digits &, uint32_t *,
                                          uint32_t *, void *, uint32_t *, Counters *, Slot *, unsigned long long,
                                          cudaStream_t);

}  // namespace splat::own
