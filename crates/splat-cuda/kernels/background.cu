// See blend.cuh: the gradient of the background. Every block sums over pixels of its own, a last kernel over the blocks.
#include "composite.cuh"
#include "launch.cuh"

namespace splat::own {
namespace {

constexpr int WARPS = 4, THREADS = 32 * WARPS;

__global__ void __launch_bounds__(THREADS) background_kernel(const __grid_constant__ Scene s,
                                                             const __grid_constant__ GradPlanes grad,
                                                             const float4 *finals, float *partial) {
  float sum[3] = {0.f, 0.f, 0.f};
  const uint64_t n = uint64_t(s.all_tiles()) * TILE_PIXELS;
  for (uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x; i < n; i += uint64_t(gridDim.x) * THREADS) {
    // The order of `kept_place`.
    const uint32_t tile = uint32_t(i / TILE_PIXELS), column = i % TILE_PIXELS / 32, block = i % 32 / BLOCK_Y;
    const TileAt at = tile_at(s, tile);
    const int x = at.x + (block & 1) * BLOCK_X + column, y = at.y + (block >> 1) * BLOCK_Y + i % BLOCK_Y;
    if (x >= s.width || y >= s.height) continue;
    const float t = finals[i].w;
#pragma unroll
    for (int k = 0; k < 3; k++)
      if (const float *plane = grad.of(at.camera, k)) sum[k] = fmaf(t, plane[uint64_t(y) * s.width + x], sum[k]);
  }
  __shared__ float warps[WARPS][3];
#pragma unroll
  for (int k = 0; k < 3; k++) {
    sum[k] = warp_sum(sum[k]);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32][k] = sum[k];
  }
  __syncthreads();
  if (threadIdx.x < 3) {
    float total = 0.f;
    for (int w = 0; w < WARPS; w++) total += warps[w][threadIdx.x];
    partial[3 * blockIdx.x + threadIdx.x] = total;
  }
}

__global__ void sum_background_kernel(const float *partial, uint32_t parts, float *background) {
  if (threadIdx.x >= 3) return;
  double total = 0;
  for (uint32_t k = 0; k < parts; k++) total += partial[3 * k + threadIdx.x];
  background[threadIdx.x] = float(total);
}

}  // namespace

uint32_t background_blocks() { return enough_blocks(2); }

cudaError_t background_backward(const Scene &scene, const GradPlanes &grad, const Pixels &finals, float *partial,
                                float *background, cudaStream_t stream) {
  const uint32_t parts = background_blocks();
  background_kernel<<<parts, THREADS, 0, stream>>>(scene, grad, finals.color_t, partial);
  sum_background_kernel<<<1, 32, 0, stream>>>(partial, parts, background);
  return cudaGetLastError();
}

}  // namespace splat::own
