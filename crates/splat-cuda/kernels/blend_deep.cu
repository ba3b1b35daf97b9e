// See blend.cuh. The same as blend.cu with a warp for each of a tile's blocks of 8x4 pixels and one pixel per lane:
// more instructions in all, but eight warps share one tile's list. For images where a few lists are much longer than
// the rest.
#include "composite.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = TILE_PIXELS;

template <int CHANNELS, bool TRAIN>
__global__ void __launch_bounds__(THREADS, 6) blend_deep_kernel(const __grid_constant__ Scene s,
                                                           const __grid_constant__ BlendIn in,
                                                           const __grid_constant__ BlendOut out) {
  __shared__ Batch batches[2];
  __shared__ uint32_t alive[BLOCKS], work_base;
  __shared__ uint32_t touched[BLOCKS][SEGMENT / 32];
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const uint32_t tile = blockIdx.x;
  const uint32_t camera = tile / s.tiles(), in_image = tile % s.tiles();
  const int block_x = int(in_image % s.tiles_x) * TILE + (warp & 1) * BLOCK_X;
  const int block_y = int(in_image / s.tiles_x) * TILE + (warp >> 1) * BLOCK_Y;
  const int pixel_x = block_x + (lane & 7), pixel_y = block_y + (lane >> 3);
  const bool inside = pixel_x < s.width && pixel_y < s.height;
  const float fx = float(pixel_x), fy = float(pixel_y);

  const uint2 range = list_of(in.range, tile);
  const int n = int(range.y - range.x);
  const uint32_t *list = in.list + range.x;
  const int count = (n + SEGMENT - 1) / SEGMENT;

  // Thread t brings the shape of place t of a batch, thread 128 + t its channels.
  const int mine = t % SEGMENT;
  auto row_of = [&](int batch) {
    const int place = batch * SEGMENT + mine;
    return place < n ? __ldg(list + place) : 0u;
  };
  auto bring = [&](int batch, uint32_t row) {
    if (batch * SEGMENT + mine < n) {
      Batch &to = batches[batch & 1];
      if (t < SEGMENT) {
        const float4 *from = reinterpret_cast<const float4 *>(in.shape + row);
        __pipeline_memcpy_async(&to.shape[mine][0], from, 16);
        __pipeline_memcpy_async(&to.shape[mine][1], from + 1, 16);
      } else {
        __pipeline_memcpy_async(&to.channels[mine], in.channels + row, 16);
      }
    }
    __pipeline_commit();
  };

  // The sign of T is set once the pixel has stopped.
  float transmittance = inside ? 1.f : -1.f;
  float c0 = 0.f, c1 = 0.f, c2 = 0.f, c3 = 0.f;
  uint32_t segments = 0;
  bool stopped = __all_sync(ALL_LANES, !inside);

  uint32_t next_row = row_of(0);
  if (count > 0) bring(0, next_row);
  if (count > 1) next_row = row_of(1);
  for (int batch = 0; batch < count; batch++) {
    if (batch + 1 < count) {
      bring(batch + 1, next_row);
      if (batch + 2 < count) next_row = row_of(batch + 2);
    } else {
      __pipeline_commit();
    }
    __pipeline_wait_prior(1);
    __syncthreads();
    const Batch &b = batches[batch & 1];
    const int m = min(SEGMENT, n - batch * SEGMENT);
    {
      // Warps 0 to 3 test the upper four blocks, 4 to 7 the lower ones.
      const int upper = warp / 4 * 4;
      bool hit[4] = {false, false, false, false};
      if (mine < m) {
        const float4 u = b.shape[mine][0], v = b.shape[mine][1];
        const Shape2d shape = {u.x, u.y, u.z, u.w, v.x, v.y, v.z, v.w};
        const float x0 = float(block_x - (warp & 1) * BLOCK_X), y0 = float(block_y - ((warp >> 1) - upper / 2) * BLOCK_Y);
#pragma unroll
        for (int k = 0; k < 4; k++) {
          const float x = x0 + float((k & 1) * BLOCK_X), y = y0 + float((k >> 1) * BLOCK_Y);
          hit[k] = touches(shape, x, y, x + BLOCK_X - 1, y + BLOCK_Y - 1);
        }
      }
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const uint32_t mask = __ballot_sync(ALL_LANES, hit[k]);
        if (lane == k) touched[upper + k][warp % 4] = mask;
      }
    }
    __syncthreads();
    if (TRAIN && warp == 0 && out.touched.first)
      out.touched.of(tile, range.x, batch)[lane] = touched[lane / 4][lane % 4];
    if (!stopped) {
      segments = batch + 1;
      if (TRAIN) {
        if (batch > 0) {
          const uint64_t slot = (uint64_t(range.x / SEGMENT) + batch) * TILE_PIXELS;
          const uint64_t at = slot + kept_place(warp, lane / BLOCK_X, lane % BLOCK_X);
          out.checkpoints.color_t[at] = make_float4(c0, c1, c2, transmittance);
          if (CHANNELS == 4) out.checkpoints.fourth[at] = c3;
        }
      }
      for (int word = 0; 32 * word < m; word++) {
        uint32_t mask = touched[warp][word];
        while (mask) {
          const int j = 32 * word + __ffs(mask) - 1;
          mask &= mask - 1;
          const float4 u = b.shape[j][0], v = b.shape[j][1], c = b.channels[j];
          const float p = exponent(u.z, u.w, v.x, v.y, u.x - fx, u.y - fy);
          const bool reached = p >= LOG2_ALPHA_MIN && p <= v.y;
          const float alpha = fminf(ALPHA_MAX, reached ? power_of_two(p) : 0.f);
          const float next = __fmaf_rn(-alpha, transmittance, transmittance);
          const bool goes_on = next >= T_MIN;
          const float w = goes_on ? alpha * transmittance : 0.f;
          c0 = fmaf(w, c.x, c0), c1 = fmaf(w, c.y, c1), c2 = fmaf(w, c.z, c2);
          if (CHANNELS == 4) c3 = fmaf(w, c.w, c3);
          transmittance = goes_on ? next : -fabsf(transmittance);
        }
        stopped = __all_sync(ALL_LANES, transmittance < 0.f);
        if (stopped) break;
      }
    }
    if (__syncthreads_and(stopped)) break;
  }
  __pipeline_wait_prior(0);

  const float final_t = fabsf(transmittance);
  if (inside) {
    const uint64_t pixel = uint64_t(pixel_y) * s.width + pixel_x;
    float b0 = 0.f, b1 = 0.f, b2 = 0.f;
    if (in.background) b0 = __ldg(in.background), b1 = __ldg(in.background + 1), b2 = __ldg(in.background + 2);
    const Planes &o = out.planes;
    if (o.plane[0]) o.plane[0][camera * o.stride[0] + pixel] = fmaf(final_t, b0, c0);
    if (o.plane[1]) o.plane[1][camera * o.stride[1] + pixel] = fmaf(final_t, b1, c1);
    if (o.plane[2]) o.plane[2][camera * o.stride[2] + pixel] = fmaf(final_t, b2, c2);
    if (CHANNELS == 4 && o.plane[3]) o.plane[3][camera * o.stride[3] + pixel] = c3;
    if (out.alpha) out.alpha[camera * (uint64_t(s.width) * s.height) + pixel] = 1.f - final_t;
  }
  if (TRAIN) {
    const uint64_t at = uint64_t(tile) * TILE_PIXELS + kept_place(warp, lane / BLOCK_X, lane % BLOCK_X);
    out.finals.color_t[at] = make_float4(c0, c1, c2, final_t);
    if (CHANNELS == 4) out.finals.fourth[at] = c3;
  }
  if (lane == 0) alive[warp] = segments;
  leave_work<THREADS, TRAIN>(out, tile, alive, work_base);
}

}  // namespace

cudaError_t blend_deep(const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream) {
  return launch_variant(blend_deep_kernel<3, false>, blend_deep_kernel<3, true>, blend_deep_kernel<4, false>,
                        blend_deep_kernel<4, true>, THREADS, scene, in, out, stream);
}

}  // namespace splat::own
