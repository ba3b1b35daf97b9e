// See weights.cuh. A block per tile, a warp for each of its blocks of 8x4 pixels, a pixel per lane. Which pixels a row
// reaches, the cap and the stop are those of blend_deep.cu, rounding for rounding.
//
// A warp sums over its pixels in registers, the tile over its warps in shared memory: one atomic operation per wanted
// number and pair of row and tile.
#include "composite.cuh"
#include "weights.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = TILE_PIXELS;

struct Part {
  Shape2d shape[SEGMENT];
  float2 part[BLOCKS][SEGMENT];  // sums of a warp: of the weights, and of the weights times the image
  int most[SEGMENT];             // bits of the largest weight; those of numbers from 0 order as they do
};

__global__ void __launch_bounds__(THREADS) weights_kernel(const __grid_constant__ Scene s, const WeightsIn in,
                                                          const WeightsOut out) {
  __shared__ Part b;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const uint32_t tile = blockIdx.x;
  const TileAt corner = tile_at(s, tile);
  const int block_x = corner.x + (warp & 1) * BLOCK_X, block_y = corner.y + (warp >> 1) * BLOCK_Y;
  const int pixel_x = block_x + lane % BLOCK_X, pixel_y = block_y + lane / BLOCK_X;
  const bool inside = pixel_x < s.width && pixel_y < s.height;
  const float fx = float(pixel_x), fy = float(pixel_y);
  const float x0 = float(block_x), y0 = float(block_y);
  const float value =
      in.image && inside ? __ldg(in.image + (uint64_t(corner.camera) * s.height + pixel_y) * s.width + pixel_x) : 0.f;

  const uint2 range = list_of(in.range, tile);
  // The sign of T is set once the pixel has stopped.
  float transmittance = inside ? 1.f : -1.f;
  bool stopped = __all_sync(ALL_LANES, !inside);
  for (uint32_t first = range.x; first < range.y; first += SEGMENT) {
    const int m = int(min(uint32_t(SEGMENT), range.y - first));
    uint32_t row = 0;
    if (t < m) {
      row = __ldg(in.list + first + t);
      b.shape[t] = in.shape[row];
      b.most[t] = 0;
    }
    for (int k = t; k < BLOCKS * SEGMENT; k += THREADS) (&b.part[0][0])[k] = make_float2(0.f, 0.f);
    __syncthreads();
    for (int word = 0; 32 * word < m && !stopped; word++) {
      const int mine = 32 * word + lane;
      uint32_t mask = __ballot_sync(
          ALL_LANES, mine < m && touches(b.shape[mine], x0, y0, x0 + BLOCK_X - 1, y0 + BLOCK_Y - 1));
      for (; mask; mask &= mask - 1) {
        const int place = 32 * word + __ffs(mask) - 1;
        const Shape2d u = b.shape[place];
        const float w = weigh(exponent(u.a, u.b, u.c, u.level, u.x - fx, u.y - fy), u.level, transmittance);
        const float sum = warp_sum(w);
        if (sum > 0.f) {
          // A pixel that the row does not reach must not bring its NaN.
          const float weighted = in.image ? warp_sum(w > 0.f ? w * value : 0.f) : 0.f;
          const int most = out.max ? warp_max(__float_as_int(w)) : 0;
          if (lane == 0) {
            b.part[warp][place] = make_float2(sum, weighted);
            if (out.max) atomicMax(&b.most[place], most);
          }
        }
      }
      stopped = __all_sync(ALL_LANES, transmittance < 0.f);
    }
    const bool done = __syncthreads_and(stopped);
    if (t < m) {
      float sum = 0.f, weighted = 0.f;
#pragma unroll
      for (int k = 0; k < BLOCKS; k++) sum += b.part[k][t].x, weighted += b.part[k][t].y;
      if (sum > 0.f) {
        if (out.by_place) {
          out.by_place[first + t] = make_float2(sum, weighted);
        } else {
          if (out.sum) atomicAdd(out.sum + row, sum);
          if (out.image) atomicAdd(out.image + row, weighted);
        }
        if (out.max) atomicMax(reinterpret_cast<int *>(out.max) + row, b.most[t]);
      }
    }
    if (done) break;
    __syncthreads();
  }
}

// The first place of a row adds up the row's.
__global__ void __launch_bounds__(THREADS) sum_weights_kernel(const WeightsOut out, const uint32_t *places,
                                                              const uint32_t *rows, const Counters *counters) {
  const uint32_t n = counters->listed;
  const uint64_t place = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (place >= n) return;
  const uint32_t row = rows[place];
  if (place > 0 && rows[place - 1] == row) return;
  float2 sum = make_float2(0.f, 0.f);
  for (uint64_t k = place; k < n && rows[k] == row; k++) {
    const float2 part = out.by_place[places[k]];
    sum.x += part.x, sum.y += part.y;
  }
  if (out.sum) out.sum[row] = sum.x;
  if (out.image) out.image[row] = sum.y;
}

}  // namespace

cudaError_t weights(const Scene &scene, const WeightsIn &in, const WeightsOut &out, cudaStream_t stream) {
  weights_kernel<<<scene.all_tiles(), THREADS, 0, stream>>>(scene, in, out);
  return cudaGetLastError();
}

cudaError_t sum_weights(const WeightsOut &out, const uint32_t *places, const uint32_t *rows, uint64_t capacity,
                        const Counters *counters, cudaStream_t stream) {
  if (capacity == 0) return cudaSuccess;
  sum_weights_kernel<<<uint32_t((capacity + THREADS - 1) / THREADS), THREADS, 0, stream>>>(out, places, rows, counters);
  return cudaGetLastError();
}

}  // namespace splat::own
