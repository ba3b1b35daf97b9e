// See sort.cuh. 12 bytes read and written per pair and pass with 32-bit keys, 8 to 12 with 16-bit ones.
//
// Not CUB's radix sort, because that takes the count from the host, which would have to wait for it: here it lives on
// the device. This one also drops culled keys in its first pass and leaves the tiles' ranges in its last.
#include "sort.cuh"

#include "block.cuh"
#include "launch.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = BLOCK_THREADS, WARPS = BLOCK_WARPS, ITEMS = 16, BLOCK_ITEMS = THREADS * ITEMS;
constexpr uint32_t AGGREGATE = 1u << 30, INCLUSIVE = 2u << 30, COUNT = (1u << 30) - 1;

// Per sort: passes histograms, then for each pass a ticket and its blocks' look-back words.
__host__ __device__ constexpr uint64_t pass_words(uint64_t blocks) { return 32 + blocks * SORT_RADIX; }

template <typename Key>
__global__ void __launch_bounds__(THREADS) histogram_kernel(const Key *keys, const uint32_t *count, uint32_t capacity,
                                                            Digits digits,
                                                            bool has_drop, Key drop, uint32_t *histograms,
                                                            uint32_t *kept) {
  __shared__ uint32_t local[4 * SORT_RADIX];
  for (int k = threadIdx.x; k < digits.passes * SORT_RADIX; k += THREADS) local[k] = 0;
  __syncthreads();
  const uint32_t n = count ? *count : capacity;
  uint32_t mine = 0;
  for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS) {
    const Key key = keys[i];
    if (has_drop && key == drop) continue;
    mine++;
    for (int p = 0; p < digits.passes; p++) atomicAdd(&local[p * SORT_RADIX + digits.of(key, p)], 1u);
  }
  __syncthreads();
  for (int k = threadIdx.x; k < digits.passes * SORT_RADIX; k += THREADS)
    if (local[k]) atomicAdd(&histograms[k], local[k]);
  if (kept) {
    mine = warp_sum(mine);
    if (threadIdx.x % 32 == 0 && mine) atomicAdd(kept, mine);
  }
}

template <typename Key>
struct Shared {
  uint32_t warp_counts[WARPS][SORT_RADIX];
  uint32_t base[SORT_RADIX];  // where a digit's pairs go, less their place in this block
  uint32_t warp_sums[WARPS], ticket;
  Key keys[BLOCK_ITEMS];
  uint32_t values[BLOCK_ITEMS];
};

template <typename Key, bool FIRST, bool LAST>
__global__ void __launch_bounds__(THREADS, 3) pass_kernel(const Key *keys_in, const uint32_t *values_in, Key *keys_out,
                                                       uint32_t *values_out, const uint32_t *count,
                                                       uint32_t capacity, Digits digits, int pass,
                                                       bool values_are_places, bool has_drop, Key drop,
                                                       const uint32_t *histogram, uint32_t *words, uint2 *ranges) {
  __shared__ Shared<Key> sh;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const uint32_t n = count ? *count : capacity;
  // Blocks take their part in the order in which they start, so that whom they wait for is running.
  if (t == 0) sh.ticket = blockIdx.x * uint64_t(BLOCK_ITEMS) < n ? atomicAdd(words, 1u) : 0xffffffffu;
  for (int w = 0; w < WARPS; w++) sh.warp_counts[w][t] = 0;
  __syncthreads();
  const uint32_t block = sh.ticket;
  if (block == 0xffffffffu) return;
  uint32_t *state = words + 32;

  // Item k of a warp's lane l is pair 32 k + l of the warp's part: order is kept by k, then lane.
  const uint32_t first = block * BLOCK_ITEMS + warp * 32 * ITEMS + lane;
  Key key[ITEMS];
  uint32_t rank[ITEMS];
  bool live[ITEMS];
#pragma unroll
  for (int k = 0; k < ITEMS; k++) {
    const uint32_t i = first + 32 * k;
    live[k] = i < n;
    key[k] = live[k] ? keys_in[i] : Key(0);
    if (FIRST && has_drop && key[k] == drop) live[k] = false;
  }
#pragma unroll
  for (int k = 0; k < ITEMS; k++) {
    const uint32_t d = digits.of(key[k], pass);
    uint32_t same = __ballot_sync(0xffffffffu, live[k]);
#pragma unroll
    for (int bit = 0; bit < 8; bit++) {
      if (bit >= digits.width) break;
      const bool set = d >> bit & 1;
      const uint32_t with = __ballot_sync(0xffffffffu, set);
      same &= set ? with : ~with;
    }
    const uint32_t before = same & ((1u << lane) - 1);
    uint32_t start = 0;
    if (live[k] && before == 0) {
      start = sh.warp_counts[warp][d];
      sh.warp_counts[warp][d] = start + __popc(same);
    }
    __syncwarp();
    const int leader = live[k] ? __ffs(same) - 1 : lane;
    rank[k] = __shfl_sync(0xffffffffu, start, leader) + __popc(before);
  }
  __syncthreads();

  // Thread t has digit t: places of the warps' pairs in the block, and the block's place among all.
  uint32_t total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) {
    const uint32_t c = sh.warp_counts[w][t];
    sh.warp_counts[w][t] = total;
    total += c;
  }
  const bool active = t < 1 << digits.width;
  volatile uint32_t *mine = state + uint64_t(block) * SORT_RADIX + t;
  if (active) *mine = (block == 0 ? INCLUSIVE : AGGREGATE) | total;
  uint32_t all;
  const uint32_t in_block = exclusive_sum(total, sh.warp_sums, all);
  __syncthreads();
  const uint32_t in_all = exclusive_sum(histogram[t], sh.warp_sums, all);
  uint32_t before = 0;
  if (active) {
    for (uint32_t b = block; b-- > 0;) {
      const volatile uint32_t *other = state + uint64_t(b) * SORT_RADIX + t;
      uint32_t word;
      while ((word = *other) == 0) {
      }
      before += word & COUNT;
      if (word & INCLUSIVE) break;
    }
    if (block != 0) *mine = INCLUSIVE | (before + total);
  }
  sh.base[t] = in_all + before - in_block;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sh.warp_counts[w][t] += in_block;
  if (t == THREADS - 1) sh.ticket = in_block + total;
  __syncthreads();

#pragma unroll
  for (int k = 0; k < ITEMS; k++) {
    if (!live[k]) continue;
    const uint32_t at = sh.warp_counts[warp][digits.of(key[k], pass)] + rank[k];
    sh.keys[at] = key[k];
    // Read late: until here it would only take registers.
    const uint32_t i = first + 32 * k;
    sh.values[at] = FIRST && values_are_places ? i : values_in[i];
  }
  __syncthreads();
  const uint32_t m = sh.ticket;
#pragma unroll 4
  for (uint32_t at = t; at < m; at += THREADS) {
    const Key k = sh.keys[at];
    const uint32_t to = sh.base[digits.of(k, pass)] + at;
    values_out[to] = sh.values[at];
    if (LAST && ranges) {
      // Equal keys of a block are neighbours by now; nobody reads the keys again.
      if (at == 0 || sh.keys[at - 1] != k) atomicMax(&ranges[k].x, ~to);
      if (at + 1 == m || sh.keys[at + 1] != k) atomicMax(&ranges[k].y, to + 1);
    } else {
      keys_out[to] = k;
    }
  }
}

uint64_t blocks_of(uint64_t capacity) { return (capacity + BLOCK_ITEMS - 1) / BLOCK_ITEMS; }

}  // namespace

uint64_t sort_scratch_bytes(uint64_t capacity, const Digits &digits) {
  return 4 * digits.passes * (SORT_RADIX + pass_words(blocks_of(capacity)));
}

template <typename Key>
cudaError_t sort(const Sort<Key> &s, cudaStream_t stream) {
  const uint64_t blocks = blocks_of(s.capacity);
  if (blocks == 0) return cudaSuccess;
  auto *histograms = static_cast<uint32_t *>(s.scratch);
  uint32_t *words = histograms + s.digits.passes * SORT_RADIX;
  if (!s.counted) {
    const uint32_t few = enough_blocks(4, blocks);
    histogram_kernel<Key><<<few, THREADS, 0, stream>>>(s.keys[0], s.count, uint32_t(s.capacity), s.digits, s.has_drop,
                                                       s.drop, histograms, s.kept);
  }
  for (int pass = 0; pass < s.digits.passes; pass++) {
    const int from = pass % 2, to = 1 - from;
    const bool first = pass == 0, last = pass + 1 == s.digits.passes;
    const uint32_t *count = !first && s.kept ? s.kept : s.count;
    auto *kernel = first ? (last ? pass_kernel<Key, true, true> : pass_kernel<Key, true, false>)
                         : (last ? pass_kernel<Key, false, true> : pass_kernel<Key, false, false>);
    kernel<<<uint32_t(blocks), THREADS, 0, stream>>>(s.keys[from], s.values[from], s.keys[to], s.values[to], count,
                                                     uint32_t(s.capacity), s.digits, pass, s.values_are_places,
                                                     s.has_drop, s.drop, histograms + pass * SORT_RADIX, words,
                                                     s.ranges);
    words += pass_words(blocks);
  }
  return cudaGetLastError();
}

template cudaError_t sort<uint16_t>(const Sort<uint16_t> &, cudaStream_t);
template cudaError_t sort<uint32_t>(const Sort<uint32_t> &, cudaStream_t);

}  // namespace splat::own
