// What the kernels that walk through a tile's list have in common: where the tile lies, how batches of the list come to
// shared memory, and what a Gaussian does to a pixel. Equations: splat-core's `blend`. Device functions alone.
#pragma once

#include <cuda_pipeline.h>

#include "coverage.cuh"
#include "kept.cuh"
#include "warp.cuh"

namespace splat::own {

// A tile's image and first pixel.
struct TileAt {
  uint32_t camera;
  int x, y;
};

__device__ inline TileAt tile_at(const Scene &s, uint32_t tile) {
  const uint32_t in_image = tile % s.tiles();
  return {tile / s.tiles(), int(in_image % s.tiles_x) * TILE, int(in_image / s.tiles_x) * TILE};
}

// A segment of a list in shared memory.
struct Batch {
  float4 shape[SEGMENT][2];
  float4 channels[SEGMENT];

  __device__ void bring_shape(const BlendIn &in, int place, uint32_t row) {
    const float4 *from = reinterpret_cast<const float4 *>(in.shape + row);
    __pipeline_memcpy_async(&shape[place][0], from, 16);
    __pipeline_memcpy_async(&shape[place][1], from + 1, 16);
  }
  __device__ void bring_channels(const BlendIn &in, int place, uint32_t row) {
    __pipeline_memcpy_async(&channels[place], in.channels + row, 16);
  }
  __device__ Shape2d at(int place) const {
    const float4 u = shape[place][0], v = shape[place][1];
    return {u.x, u.y, u.z, u.w, v.x, v.y, v.z, v.w};
  }
};

// Calls `work` for one batch of the list after the other, until it is true for all threads of the block. Meanwhile the
// next batch is on its way to shared memory, and the rows of the one after it are read: `bring(batch, rows_of(batch))`.
template <typename RowsOf, typename Bring, typename Work>
__device__ inline void for_batches(int count, RowsOf rows_of, Bring bring, Work work) {
  auto next = rows_of(0);
  if (count > 0) bring(0, next);
  if (count > 1) next = rows_of(1);
  for (int batch = 0; batch < count; batch++) {
    if (batch + 1 < count) {
      bring(batch + 1, next);
      if (batch + 2 < count) next = rows_of(batch + 2);
    } else {
      __pipeline_commit();
    }
    __pipeline_wait_prior(1);
    __syncthreads();
    if (__syncthreads_and(work(batch))) break;
  }
  __pipeline_wait_prior(0);
}

// The places that touch a block of pixels, in order, from four words of 32 places each: lane k of the block's `LANES`
// has word k, further ones 0. Returns how many there are.
template <int LANES>
__device__ inline int fill_queue(uint32_t mask, int in_block, uint8_t *queue) {
  int start = __popc(mask);
#pragma unroll
  for (int d = 1; d < 4; d *= 2) {
    const int other = __shfl_up_sync(ALL_LANES, start, d, LANES);
    if (in_block >= d) start += other;
  }
  const int length = __shfl_sync(ALL_LANES, start, 3, LANES);
  start -= __popc(mask);
  for (; mask; mask &= mask - 1) queue[start++] = uint8_t(32 * in_block + __ffs(mask) - 1);
  __syncwarp();
  return length;
}

// A Gaussian with this exponent at a pixel of this transmittance. The pixel stops before it where `goes_on` is false.
struct Step {
  float uncapped, alpha, next;
  bool goes_on;

  __device__ Step(float exponent, float level, float transmittance) {
    const bool reached = exponent >= LOG2_ALPHA_MIN && exponent <= level;
    uncapped = reached ? power_of_two(exponent) : 0.f;
    alpha = fminf(ALPHA_MAX, uncapped);
    next = __fmaf_rn(-alpha, transmittance, transmittance);
    goes_on = next >= T_MIN;
  }
};

// The weight of a Gaussian in a pixel, whose transmittance falls; its sign is set once the pixel has stopped.
__device__ inline float weigh(float exponent, float level, float &transmittance) {
  const Step step(exponent, level, transmittance);
  const float w = step.goes_on ? step.alpha * transmittance : 0.f;
  transmittance = step.goes_on ? step.next : -fabsf(transmittance);
  return w;
}

// A pixel that is blended.
template <int CHANNELS>
struct Pixel {
  float transmittance, c0 = 0.f, c1 = 0.f, c2 = 0.f, c3 = 0.f;

  __device__ void begin(bool inside) { transmittance = inside ? 1.f : -1.f; }
  __device__ bool stopped() const { return transmittance < 0.f; }
  __device__ void blend(float exponent, float level, float4 c) {
    const float w = weigh(exponent, level, transmittance);
    c0 = fmaf(w, c.x, c0), c1 = fmaf(w, c.y, c1), c2 = fmaf(w, c.z, c2);
    if (CHANNELS == 4) c3 = fmaf(w, c.w, c3);
  }
  __device__ void keep(const Pixels &to, uint64_t at, float t) const {
    to.color_t[at] = make_float4(c0, c1, c2, t);
    if (CHANNELS == 4) to.fourth[at] = c3;
  }
};

__device__ inline float3 background_of(const BlendIn &in) {
  const float *b = in.background;
  return b ? make_float3(__ldg(b), __ldg(b + 1), __ldg(b + 2)) : make_float3(0.f, 0.f, 0.f);
}

// Launches the variant of a forward kernel that the call needs, a block per tile.
template <typename Kernel>
cudaError_t launch_variant(Kernel *three, Kernel *three_train, Kernel *four, Kernel *four_train, int threads,
                           const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream) {
  const bool train = out.finals.color_t != nullptr;
  Kernel *kernel = in.channel_count == 4 ? (train ? four_train : four) : (train ? three_train : three);
  kernel<<<scene.all_tiles(), threads, 0, stream>>>(scene, in, out);
  return cudaGetLastError();
}

}  // namespace splat::own
