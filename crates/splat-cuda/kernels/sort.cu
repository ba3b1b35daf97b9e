// See sort.cuh. 12 bytes read and written a pair and pass with 32-bit keys, 8 to 12 with 16-bit ones.
#include "sort.cuh"

#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, ITEMS = 16, BLOCK_ITEMS = THREADS * ITEMS;
constexpr uint32_t AGGREGATE = 1u << 30, INCLUSIVE = 2u << 30, COUNT = (1u << 30) - 1;

// Per sort: passes histograms, then for each pass a ticket and its blocks' look-back words.
__host__ __device__ constexpr uint64_t pass_words(uint64_t blocks) { return 32 + blocks * SORT_RADIX; }

template <typename Key>
__device__ uint32_t digit(Key key, int pass) {
  return (uint32_t(key) >> (8 * pass)) & (SORT_RADIX - 1);
}

template <typename Key>
__global__ void __launch_bounds__(THREADS) histogram_kernel(const Key *keys, const uint32_t *count, uint32_t capacity,
                                                            int passes,
                                                            bool has_drop, Key drop, uint32_t *histograms,
                                                            uint32_t *kept) {
  __shared__ uint32_t local[4 * SORT_RADIX];
  for (int k = threadIdx.x; k < passes * SORT_RADIX; k += THREADS) local[k] = 0;
  __syncthreads();
  const uint32_t n = count ? *count : capacity;
  uint32_t mine = 0;
  for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS) {
    const Key key = keys[i];
    if (has_drop && key == drop) continue;
    mine++;
    for (int p = 0; p < passes; p++) atomicAdd(&local[p * SORT_RADIX + digit(key, p)], 1u);
  }
  __syncthreads();
  for (int k = threadIdx.x; k < passes * SORT_RADIX; k += THREADS)
    if (local[k]) atomicAdd(&histograms[k], local[k]);
  if (kept) {
    mine = warp_sum(mine);
    if (threadIdx.x % 32 == 0 && mine) atomicAdd(kept, mine);
  }
}

// Exclusive sum over the 256 threads of a block.
__device__ uint32_t exclusive_sum(uint32_t value, uint32_t *warp_sums) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  uint32_t sum = value;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    const uint32_t other = __shfl_up_sync(0xffffffffu, sum, d);
    if (lane >= d) sum += other;
  }
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  uint32_t before = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++)
    if (w < warp) before += warp_sums[w];
  return before + sum - value;
}

template <typename Key>
struct Shared {
  uint32_t warp_counts[WARPS][SORT_RADIX];
  uint32_t base[SORT_RADIX];  // where a digit's pairs go, less their place in this block
  uint32_t warp_sums[WARPS], ticket;
  Key keys[BLOCK_ITEMS];
  uint32_t values[BLOCK_ITEMS];
};

template <typename Key, bool FIRST>
__global__ void __launch_bounds__(THREADS, 3) pass_kernel(const Key *keys_in, const uint32_t *values_in, Key *keys_out,
                                                       uint32_t *values_out, const uint32_t *count,
                                                       uint32_t capacity, int pass,
                                                       bool values_are_places, bool has_drop, Key drop,
                                                       const uint32_t *histogram, uint32_t *words) {
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
    const uint32_t d = digit(key[k], pass);
    uint32_t same = __ballot_sync(0xffffffffu, live[k]);
#pragma unroll
    for (int bit = 0; bit < 8; bit++) {
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
  volatile uint32_t *mine = state + uint64_t(block) * SORT_RADIX + t;
  *mine = (block == 0 ? INCLUSIVE : AGGREGATE) | total;
  const uint32_t in_block = exclusive_sum(total, sh.warp_sums);
  __syncthreads();
  const uint32_t in_all = exclusive_sum(histogram[t], sh.warp_sums);
  uint32_t before = 0;
  for (uint32_t b = block; b-- > 0;) {
    const volatile uint32_t *other = state + uint64_t(b) * SORT_RADIX + t;
    uint32_t word;
    while ((word = *other) == 0) {
    }
    before += word & COUNT;
    if (word & INCLUSIVE) break;
  }
  if (block != 0) *mine = INCLUSIVE | (before + total);
  sh.base[t] = in_all + before - in_block;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sh.warp_counts[w][t] += in_block;
  if (t == THREADS - 1) sh.ticket = in_block + total;
  __syncthreads();

#pragma unroll
  for (int k = 0; k < ITEMS; k++) {
    if (!live[k]) continue;
    const uint32_t at = sh.warp_counts[warp][digit(key[k], pass)] + rank[k];
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
    const uint32_t to = sh.base[digit(k, pass)] + at;
    keys_out[to] = k;
    values_out[to] = sh.values[at];
  }
}

uint64_t blocks_of(uint64_t capacity) { return (capacity + BLOCK_ITEMS - 1) / BLOCK_ITEMS; }

}  // namespace

uint64_t sort_scratch_bytes(uint64_t capacity, int passes) {
  return 4 * passes * (SORT_RADIX + pass_words(blocks_of(capacity)));
}

template <typename Key>
cudaError_t sort(const Sort<Key> &s, cudaStream_t stream) {
  const uint64_t blocks = blocks_of(s.capacity);
  if (blocks == 0) return cudaSuccess;
  auto *histograms = static_cast<uint32_t *>(s.scratch);
  uint32_t *words = histograms + s.passes * SORT_RADIX;
  const uint32_t few = uint32_t(blocks < 528 ? blocks : 528);
  histogram_kernel<Key><<<few, THREADS, 0, stream>>>(s.keys[0], s.count, uint32_t(s.capacity), s.passes, s.has_drop, s.drop, histograms,
                                                     s.kept);
  for (int pass = 0; pass < s.passes; pass++) {
    const int from = pass % 2, to = 1 - from;
    const uint32_t *count = pass > 0 && s.kept ? s.kept : s.count;
    auto *kernel = pass == 0 ? pass_kernel<Key, true> : pass_kernel<Key, false>;
    kernel<<<uint32_t(blocks), THREADS, 0, stream>>>(s.keys[from], s.values[from], s.keys[to], s.values[to], count, uint32_t(s.capacity),
                                                     pass, s.values_are_places, s.has_drop, s.drop,
                                                     histograms + pass * SORT_RADIX, words);
    words += pass_words(blocks);
  }
  return cudaGetLastError();
}

template cudaError_t sort<uint16_t>(const Sort<uint16_t> &, cudaStream_t);
template cudaError_t sort<uint32_t>(const Sort<uint32_t> &, cudaStream_t);

}  // namespace splat::own
