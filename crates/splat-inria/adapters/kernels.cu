// See kernels.h.
#include <cuda_runtime.h>

#include "common/device.h"
#include "kernels.h"

namespace splat::inria {
namespace {

__device__ bool usable(const Projected &projected, int i) {
  const float4 conic = projected.conic_opacity[i];
  bool ok = projected.radii[i] > 0 && isfinite(conic.x) && isfinite(conic.y) && isfinite(conic.z) &&
            isfinite(conic.w) && conic.x != 0 && conic.z != 0;
  if (projected.rgb)
    for (int c = 0; c < 3; c++) ok = ok && isfinite(projected.rgb[3ll * i + c]);
  return ok;
}

__global__ void inspect_projection(int count, Projected projected, Findings *findings) {
  unsigned long long pairs = 0;
  const int step = gridDim.x * blockDim.x;
  for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
    const uint32_t tiles = projected.tiles_touched[i];
    if (tiles == 0) continue;
    pairs += tiles;
    if (!usable(projected, int(i))) atomicMin(&findings->bad_splat, (unsigned long long)i);
  }
  for (int lane = 16; lane > 0; lane /= 2) pairs += __shfl_down_sync(0xffffffffu, pairs, lane);
  if (threadIdx.x % 32 == 0 && pairs) atomicAdd(&findings->pairs, pairs);
}

__global__ void paint_background(float *color, int64_t pixels, const float *background) {
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < 3 * pixels; i += step)
    color[i] = background[i / pixels];
}

unsigned blocks_for(int64_t items) {
  const int64_t blocks = (items + 255) / 256;
  return unsigned(blocks < 1 ? 1 : blocks > 2048 ? 2048 : blocks);
}

}  // namespace

void check_projection(int count, const Projected &projected, Findings *findings) {
  const auto clear = [&](void *at, int value, size_t bytes) {
    cuda(cudaMemsetAsync(at, value, bytes, cudaStreamLegacy), "clearing the check of the projection");
  };
  clear(&findings->bad_splat, 0xff, sizeof findings->bad_splat);
  clear(&findings->pairs, 0, sizeof findings->pairs);
  inspect_projection<<<blocks_for(count), 256, 0, cudaStreamLegacy>>>(count, projected, findings);
  cuda(cudaGetLastError(), "launching `inspect_projection`");
}

void fill_background(float *color, int64_t pixels, const float *background) {
  paint_background<<<blocks_for(3 * pixels), 256, 0, cudaStreamLegacy>>>(color, pixels, background);
  cuda(cudaGetLastError(), "launching `paint_background`");
}

cudaError_t kernels_load() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, inspect_projection);
}

}  // namespace splat::inria
