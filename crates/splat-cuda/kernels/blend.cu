// See blend.cuh. Equations: splat-core's `blend`. Two warps per tile; a warp has four of its eight blocks of 8x4
// pixels, eight lanes each, and each lane four pixels of a row.
//
// A batch of the list is tested first, each Gaussian against the eight blocks; then every block walks through the Gaussians
// that touch it, so that a warp works on four at a time. Most Gaussians of a tile touch only two or three blocks. Where
// one tile's list takes longer than all others together, blend_deep.cu is faster: eight warps per tile, same results.
#include <cuda_pipeline.h>

#include "blend.cuh"
#include "coverage.cuh"
#include "kept.cuh"
#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 64, LANES = 8, PIXELS = 4, ROW = BLOCK_X / PIXELS, BRINGS = SEGMENT / THREADS;
// Iterations between two looks at whether a block's pixels have all stopped.
constexpr int PATIENCE = 16;

struct Batch {
  float4 shape[SEGMENT][2];
  float4 channels[SEGMENT];
};

// Four numbers of a row of pixels, `count` of them inside the image.
__device__ void store_row(float *plane, uint64_t first, int count, bool aligned, const float (&v)[PIXELS]) {
  if (!plane) return;
  if (aligned && count >= PIXELS && reinterpret_cast<uintptr_t>(plane) % 16 == 0) {
    *reinterpret_cast<float4 *>(plane + first) = make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
#pragma unroll
  for (int k = 0; k < PIXELS; k++)
    if (k < count) plane[first + k] = v[k];
}

template <int CHANNELS, bool TRAIN>
__global__ void __launch_bounds__(THREADS, 14) blend_kernel(const __grid_constant__ Scene s,
                                                            const __grid_constant__ BlendIn in,
                                                            const __grid_constant__ BlendOut out) {
  __shared__ Batch batches[2];
  __shared__ uint32_t touched[BLOCKS][SEGMENT / 32];
  __shared__ uint8_t queue[BLOCKS][SEGMENT];  // places of the batch that touch a block
  __shared__ uint32_t alive[BLOCKS], work_base;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const int block = t / LANES, in_block = t % LANES, row = in_block / ROW, column = in_block % ROW * PIXELS;
  const uint32_t tile = blockIdx.x;
  const uint32_t camera = tile / s.tiles(), in_image = tile % s.tiles();
  const int tile_x = int(in_image % s.tiles_x) * TILE, tile_y = int(in_image / s.tiles_x) * TILE;
  const int x = tile_x + (block & 1) * BLOCK_X + column, y = tile_y + (block >> 1) * BLOCK_Y + row;
  const int inside = y < s.height ? s.width - x : 0;  // pixels of this lane, if positive

  const uint2 range = list_of(in.range, tile);
  const int n = int(range.y - range.x);
  const uint32_t *list = in.list + range.x;
  const int count = (n + SEGMENT - 1) / SEGMENT;

  struct Rows {
    uint32_t of[BRINGS];
  };
  auto rows_of = [&](int batch) {
    Rows rows;
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = batch * SEGMENT + k * THREADS + t;
      rows.of[k] = place < n ? __ldg(list + place) : 0u;
    }
    return rows;
  };
  auto bring = [&](int batch, const Rows &rows) {
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = k * THREADS + t;
      if (batch * SEGMENT + place < n) {
        Batch &to = batches[batch & 1];
        const float4 *from = reinterpret_cast<const float4 *>(in.shape + rows.of[k]);
        __pipeline_memcpy_async(&to.shape[place][0], from, 16);
        __pipeline_memcpy_async(&to.shape[place][1], from + 1, 16);
        __pipeline_memcpy_async(&to.channels[place], in.channels + rows.of[k], 16);
      }
    }
    __pipeline_commit();
  };

  // The sign of T is set once a pixel has stopped.
  float transmittance[PIXELS], c0[PIXELS], c1[PIXELS], c2[PIXELS], c3[PIXELS];
#pragma unroll
  for (int k = 0; k < PIXELS; k++) {
    transmittance[k] = k < inside ? 1.f : -1.f;
    c0[k] = c1[k] = c2[k] = c3[k] = 0.f;
  }
  // Whether all pixels of this lane's block have stopped.
  auto block_stopped = [&] {
    bool all = true;
#pragma unroll
    for (int k = 0; k < PIXELS; k++) all = all && transmittance[k] < 0.f;
    const uint32_t ours = ((1u << LANES) - 1) << (lane / LANES * LANES);
    return (__ballot_sync(ALL_LANES, all) & ours) == ours;
  };
  uint32_t segments = 0;
  bool stopped = block_stopped();

  Rows next_rows = rows_of(0);
  if (count > 0) bring(0, next_rows);
  if (count > 1) next_rows = rows_of(1);
  for (int batch = 0; batch < count; batch++) {
    if (batch + 1 < count) {
      bring(batch + 1, next_rows);
      if (batch + 2 < count) next_rows = rows_of(batch + 2);
    } else {
      __pipeline_commit();
    }
    __pipeline_wait_prior(1);
    __syncthreads();
    const Batch &b = batches[batch & 1];
    const int m = min(SEGMENT, n - batch * SEGMENT);
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = t + k * THREADS;
      uint32_t hit = 0;
      if (place < m) {
        const float4 u = b.shape[place][0], v = b.shape[place][1];
        const Shape2d shape = {u.x, u.y, u.z, u.w, v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < BLOCKS; j++) {
          const float x0 = float(tile_x + (j & 1) * BLOCK_X), y0 = float(tile_y + (j >> 1) * BLOCK_Y);
          if (touches(shape, x0, y0, x0 + BLOCK_X - 1, y0 + BLOCK_Y - 1)) hit |= 1u << j;
        }
      }
#pragma unroll
      for (int j = 0; j < BLOCKS; j++) {
        const uint32_t mask = __ballot_sync(ALL_LANES, hit >> j & 1);
        if (lane == j) touched[j][warp + k * (THREADS / 32)] = mask;
      }
    }
    __syncthreads();
    if (TRAIN && warp == 0 && out.touched.first)
      out.touched.of(tile, range.x, batch)[lane] = touched[lane / 4][lane % 4];
    if (!stopped) segments = batch + 1;
    if (TRAIN && !stopped) {
      if (batch > 0) {
        const uint64_t slot = (uint64_t(range.x / SEGMENT) + batch) * TILE_PIXELS;
#pragma unroll
        for (int k = 0; k < PIXELS; k++) {
          const uint64_t at = slot + kept_place(block, row, column + k);
          out.checkpoints.color_t[at] = make_float4(c0[k], c1[k], c2[k], transmittance[k]);
          if (CHANNELS == 4) out.checkpoints.fourth[at] = c3[k];
        }
      }
    }
    // The block's queue: its first four lanes have a word of 32 places each.
    uint32_t mask = in_block < 4 && !stopped ? touched[block][in_block] : 0;
    int start = __popc(mask);
#pragma unroll
    for (int d = 1; d < 4; d *= 2) {
      const int other = __shfl_up_sync(ALL_LANES, start, d, LANES);
      if (in_block >= d) start += other;
    }
    int length = __shfl_sync(ALL_LANES, start, 3, LANES);
    start -= __popc(mask);
    for (; mask; mask &= mask - 1) queue[block][start++] = uint8_t(32 * in_block + __ffs(mask) - 1);
    __syncwarp();

    int longest = warp_max(length);
    const float fx = float(x), fy = float(y);
    for (int i = 0; i < longest; i++) {
      const bool busy = i < length;
      const int place = busy ? queue[block][i] : 0;
      const float4 u = b.shape[place][0], v = b.shape[place][1], c = b.channels[place];
      const float dx = u.x - fx, dy = u.y - fy;
      // A block without work has an exponent under every threshold.
      const float sheared = __fmul_rn(u.w, dy), along_y = __fmaf_rn(__fmul_rn(v.x, dy), dy, busy ? v.y : -1e30f);
#pragma unroll
      for (int k = 0; k < PIXELS; k++) {
        const float dxk = dx - float(k);
        const float p = __fmaf_rn(__fmaf_rn(u.z, dxk, sheared), dxk, along_y);  // `exponent`, in parts
        const bool reached = p >= LOG2_ALPHA_MIN && p <= v.y;
        const float alpha = fminf(ALPHA_MAX, reached ? power_of_two(p) : 0.f);
        const float next = __fmaf_rn(-alpha, transmittance[k], transmittance[k]);
        const bool goes_on = next >= T_MIN;
        const float w = goes_on ? alpha * transmittance[k] : 0.f;
        c0[k] = fmaf(w, c.x, c0[k]), c1[k] = fmaf(w, c.y, c1[k]), c2[k] = fmaf(w, c.z, c2[k]);
        if (CHANNELS == 4) c3[k] = fmaf(w, c.w, c3[k]);
        transmittance[k] = goes_on ? next : -fabsf(transmittance[k]);
      }
      if (i % PATIENCE == PATIENCE - 1) {
        if (block_stopped()) length = 0;
        longest = warp_max(length);
      }
    }
    stopped = block_stopped();
    if (__syncthreads_and(stopped)) break;
  }
  __pipeline_wait_prior(0);

  float final_t[PIXELS], alpha[PIXELS];
#pragma unroll
  for (int k = 0; k < PIXELS; k++) final_t[k] = fabsf(transmittance[k]), alpha[k] = 1.f - final_t[k];
  if (TRAIN) {
#pragma unroll
    for (int k = 0; k < PIXELS; k++) {
      const uint64_t at = uint64_t(tile) * TILE_PIXELS + kept_place(block, row, column + k);
      out.finals.color_t[at] = make_float4(c0[k], c1[k], c2[k], final_t[k]);
      if (CHANNELS == 4) out.finals.fourth[at] = c3[k];
    }
  }
  {
    const uint64_t pixel = uint64_t(y) * s.width + x;
    const bool aligned = s.width % 4 == 0;
    float back[3] = {0.f, 0.f, 0.f};
    if (in.background)
      for (int k = 0; k < 3; k++) back[k] = __ldg(in.background + k);
#pragma unroll
    for (int k = 0; k < PIXELS; k++)
      c0[k] = fmaf(final_t[k], back[0], c0[k]), c1[k] = fmaf(final_t[k], back[1], c1[k]),
      c2[k] = fmaf(final_t[k], back[2], c2[k]);
    auto plane = [&](int c) { return out.planes.plane[c] ? out.planes.plane[c] + camera * out.planes.stride[c] : nullptr; };
    store_row(plane(0), pixel, inside, aligned, c0);
    store_row(plane(1), pixel, inside, aligned, c1);
    store_row(plane(2), pixel, inside, aligned, c2);
    if (CHANNELS == 4) store_row(plane(3), pixel, inside, aligned, c3);
    if (out.alpha) store_row(out.alpha + camera * (uint64_t(s.width) * s.height), pixel, inside, aligned, alpha);
  }
  if (in_block == 0) alive[block] = segments;
  leave_work<THREADS, TRAIN>(out, tile, alive, work_base);
}

}  // namespace

cudaError_t blend(const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream) {
  const bool train = out.finals.color_t != nullptr;
  auto *kernel = in.channel_count == 4 ? (train ? blend_kernel<4, true> : blend_kernel<4, false>)
                                       : (train ? blend_kernel<3, true> : blend_kernel<3, false>);
  kernel<<<scene.all_tiles(), THREADS, 0, stream>>>(scene, in, out);
  return cudaGetLastError();
}

}  // namespace splat::own
