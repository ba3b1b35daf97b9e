// See records.cuh. Bound by memory: 64 bytes in and 64 out per row forward; 48 and 64 in and 48 out backward.
#include "records.cuh"
#include "rows.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS) unpack_kernel(const __grid_constant__ Scene s, const splat_record *records,
                                                         Fourth fourth, float4 *depth_channel, const ProjectOut out) {
  const uint32_t row = blockIdx.x * THREADS + threadIdx.x;
  if (row >= s.rows()) return;
  const splat_record r = load(records + row);
  const float xx = r.inv_cov[0], xy = r.inv_cov[1], yy = r.inv_cov[2];
  bool visible = false;
  if (r.radius > 0) {
    float sick = poison(r.x) + poison(r.y) + poison(xx) + poison(xy) + poison(yy) + poison(r.opacity) +
                 poison(r.depth) + poison(r.color[0]) + poison(r.color[1]) + poison(r.color[2]);
    const float *features = s.features_of(row / s.splats, row % s.splats);
    for (int k = 0; k < s.feature_count; k++) sick += poison(__ldg(features + k));
    const Shape2d shape = shape_of(r.x, r.y, xx, xy, yy, log2f(r.opacity));
    ushort4 rect;
    const bool covers =
        s.exact ? box(s, r.x, r.y, r.half_x, r.half_y, rect) : square(s, r.x, r.y, float(r.radius), rect);
    if (sick != 0.f) {
      atomicAdd(&out.counters->rejected, 1u);
    } else if (covers && r.depth > NEAR && blendable(shape, xx, xy, yy, r.opacity)) {
      visible = true;
      out.shape[row] = shape;
      out.channels[row] = make_float4(r.color[0], r.color[1], r.color[2], fourth_channel(fourth, r.depth));
      if (depth_channel) depth_channel[row] = make_float4(r.depth, 0.f, 0.f, 0.f);
      out.rect[row] = rect;
    }
  }
  out.radii[row] = visible ? r.radius : 0;
  out.depth_key[row] = visible ? depth_key(r.depth) : CULLED;
}

__global__ void __launch_bounds__(THREADS) records_backward_kernel(uint32_t rows, const splat_record *records,
                                                                   const int32_t *radii, const float *sums,
                                                                   Fourth fourth, bool absolute,
                                                                   splat_record_gradient *gradients) {
  const uint32_t row = blockIdx.x * THREADS + threadIdx.x;
  if (row >= rows) return;
  splat_record_gradient g = {};
  if (radii[row] > 0) {
    const splat_record r = load(records + row);
    g = from_moments(sums + size_t(row) * SUMS, r.inv_cov[0], r.inv_cov[1], r.inv_cov[2], r.opacity, r.depth, fourth);
    if (!absolute) g.abs_x = g.abs_y = 0.f;
  }
  store(gradients + row, g);
}

uint32_t blocks(uint32_t rows) { return (rows + THREADS - 1) / THREADS; }

}  // namespace

cudaError_t unpack_records(const Scene &scene, const splat_record *records, Fourth fourth, float4 *depth_channel,
                           const ProjectOut &out, cudaStream_t stream) {
  unpack_kernel<<<blocks(scene.rows()), THREADS, 0, stream>>>(scene, records, fourth, depth_channel, out);
  return cudaGetLastError();
}

cudaError_t records_backward(const Scene &scene, const splat_record *records, const int32_t *radii, const float *sums,
                             Fourth fourth, bool absolute, splat_record_gradient *gradients, cudaStream_t stream) {
  records_backward_kernel<<<blocks(scene.rows()), THREADS, 0, stream>>>(scene.rows(), records, radii, sums, fourth,
                                                                        absolute, gradients);
  return cudaGetLastError();
}

}  // namespace splat::own
