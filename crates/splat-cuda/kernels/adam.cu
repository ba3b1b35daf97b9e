// See adam.cuh. Bound by memory: 16 bytes read and 12 written per number; nothing for rows that are left alone.
#include "adam.cuh"

#include "launch.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 256;

__device__ void update(const AdamGroup &g, float grad, float &param, float &m, float &v) {
  m = fmaf(g.beta1, m, (1.f - g.beta1) * grad);
  v = fmaf(g.beta2, v, (1.f - g.beta2) * grad * grad);
  param -= g.step_size * m / fmaf(sqrtf(v), g.inverse_root, g.eps);
}

template <bool MASKED>
__global__ void __launch_bounds__(THREADS) adam_kernel(const __grid_constant__ AdamGroups groups,
                                                       const int32_t *visible) {
  const AdamGroup &g = groups.group[blockIdx.y];
  const uint64_t fours = g.aligned ? g.count / 4 : 0, step = uint64_t(gridDim.x) * THREADS;
  const uint64_t first = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
  for (uint64_t i = first; i < fours; i += step) {
    bool live[4] = {true, true, true, true};
    if (MASKED) {
      bool any = false;
      uint32_t row = uint32_t(4 * i / g.width), column = uint32_t(4 * i % g.width);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        live[k] = __ldg(visible + row) > 0;
        any |= live[k];
        if (++column == g.width) column = 0, row++;
      }
      if (!any) continue;
    }
    const float4 grad = __ldcs(reinterpret_cast<const float4 *>(g.grad) + i);
    float4 p = reinterpret_cast<float4 *>(g.param)[i], m = reinterpret_cast<float4 *>(g.exp_avg)[i],
           v = reinterpret_cast<float4 *>(g.exp_avg_sq)[i];
    if (live[0]) update(g, grad.x, p.x, m.x, v.x);
    if (live[1]) update(g, grad.y, p.y, m.y, v.y);
    if (live[2]) update(g, grad.z, p.z, m.z, v.z);
    if (live[3]) update(g, grad.w, p.w, m.w, v.w);
    reinterpret_cast<float4 *>(g.param)[i] = p;
    reinterpret_cast<float4 *>(g.exp_avg)[i] = m;
    reinterpret_cast<float4 *>(g.exp_avg_sq)[i] = v;
  }
  for (uint64_t i = 4 * fours + first; i < g.count; i += step) {
    if (MASKED && __ldg(visible + i / g.width) <= 0) continue;
    float p = g.param[i], m = g.exp_avg[i], v = g.exp_avg_sq[i];
    update(g, g.grad[i], p, m, v);
    g.param[i] = p, g.exp_avg[i] = m, g.exp_avg_sq[i] = v;
  }
}

}  // namespace

cudaError_t adam_step(const AdamGroups &groups, const int32_t *visible, cudaStream_t stream) {
  uint64_t most = 0;
  for (int k = 0; k < groups.count; k++) most = groups.group[k].count > most ? groups.group[k].count : most;
  if (most == 0) return cudaSuccess;
  const dim3 grid(enough_blocks(16, (most / 4 + THREADS) / THREADS), groups.count);
  if (visible)
    adam_kernel<true><<<grid, THREADS, 0, stream>>>(groups, visible);
  else
    adam_kernel<false><<<grid, THREADS, 0, stream>>>(groups, visible);
  return cudaGetLastError();
}

}  // namespace splat::own
