// Records and their gradients: what the stages of splat_engine.h hand to each other through memory.
//
// The functions on one record's numbers are also what the whole backward pass uses, in registers.
#pragma once

#include <cuda_runtime.h>

#include "project.cuh"
#include "splat_engine.h"
#include "types.h"

namespace splat::own {

// Rows from records: what `project` writes; also the depth as channel 0 of `depth_channel`, unless that is null.
// Rows with a number that is not finite (their features included) are not visible and counted as rejected.
cudaError_t unpack_records(const Scene &scene, const splat_record *records, Fourth fourth, float4 *depth_channel,
                           const ProjectOut &out, cudaStream_t stream);

// Gradients of the records from the sums over pixels; zeros for rows that are not visible by `radii`.
cudaError_t records_backward(const Scene &scene, const splat_record *records, const int32_t *radii, const float *sums,
                             Fourth fourth, bool absolute, splat_record_gradient *gradients, cudaStream_t stream);

#ifdef __CUDACC__

static_assert(sizeof(splat_record) == 64 && sizeof(splat_record_gradient) == 48, "they are moved 16 bytes at a time");

__device__ inline splat_record load(const splat_record *from) {
  const float4 *p = reinterpret_cast<const float4 *>(from);
  const float4 a = __ldg(p), b = __ldg(p + 1), c = __ldg(p + 2), d = __ldg(p + 3);
  return {a.x, a.y, {a.z, a.w, b.x}, b.y, b.z, {b.w, c.x, c.y}, c.z, c.w, __float_as_int(d.x), {0, 0, 0}};
}

__device__ inline void store(splat_record *to, const splat_record &r) {
  float4 *p = reinterpret_cast<float4 *>(to);
  p[0] = make_float4(r.x, r.y, r.inv_cov[0], r.inv_cov[1]);
  p[1] = make_float4(r.inv_cov[2], r.opacity, r.depth, r.color[0]);
  p[2] = make_float4(r.color[1], r.color[2], r.half_x, r.half_y);
  p[3] = make_float4(__int_as_float(r.radius), 0.f, 0.f, 0.f);
}

__device__ inline splat_record_gradient load(const splat_record_gradient *from) {
  const float4 *p = reinterpret_cast<const float4 *>(from);
  const float4 a = __ldg(p), b = __ldg(p + 1), c = __ldg(p + 2);
  return {a.x, a.y, {a.z, a.w, b.x}, b.y, b.z, {b.w, c.x, c.y}, c.z, c.w};
}

__device__ inline void store(splat_record_gradient *to, const splat_record_gradient &g) {
  float4 *p = reinterpret_cast<float4 *>(to);
  p[0] = make_float4(g.x, g.y, g.inv_cov[0], g.inv_cov[1]);
  p[1] = make_float4(g.inv_cov[2], g.opacity, g.depth, g.color[0]);
  p[2] = make_float4(g.color[1], g.color[2], g.abs_x, g.abs_y);
}

// From a row's sums over pixels. power = -(xx dx^2 + yy dy^2) / 2 - xy dx dy, with d = centre - pixel, and a sum's `u`
// is dL/dpower = dL/dalpha * alpha.
__device__ inline splat_record_gradient from_moments(const float *sums, float xx, float xy, float yy, float opacity,
                                                     float depth, Fourth fourth) {
  const float4 *from = reinterpret_cast<const float4 *>(sums);
  const float4 s0 = __ldg(from), s1 = __ldg(from + 1), s2 = __ldg(from + 2);
  const float u = s0.x, ux = s0.y, uy = s0.z, uxx = s0.w, uxy = s1.x, uyy = s1.y;
  splat_record_gradient g;
  g.x = -(xx * ux + xy * uy), g.y = -(yy * uy + xy * ux);
  g.inv_cov[0] = -0.5f * uxx, g.inv_cov[1] = -uxy, g.inv_cov[2] = -0.5f * uyy;
  // alpha is linear in the opacity.
  g.opacity = opacity != 0.f ? u / opacity : 0.f;
  g.depth = fourth == Fourth::DEPTH ? s2.y : fourth == Fourth::INV_DEPTH ? -s2.y / (depth * depth) : 0.f;
  g.color[0] = s1.z, g.color[1] = s1.w, g.color[2] = s2.x;
  // blend_backward has the slopes of the exponent in base 2.
  const float natural = 1.f / LOG2E;
  g.abs_x = s2.z * natural, g.abs_y = s2.w * natural;
  return g;
}

#endif

}  // namespace splat::own
