// The way back through projection: from the gradient of a row to those of its Gaussian and of the camera's pose.
// Equations: splat-core's `projection_backward` and `covariance`. Device functions alone.
#pragma once

#include "harmonics_backward.cuh"
#include "project_backward.cuh"
#include "records.cuh"

namespace splat::own {

// Numbers of the gradient of a pose: the upper three rows of the view matrix.
constexpr int POSE = 12;
// Beside the squared determinant in the original's gradient of the conic.
constexpr float DET_EPSILON = 1e-7f;

struct Grad2d {
  float a, b, c;
};

// Gradient for a symmetric 2x2 matrix (off-diagonal counted once) from that for its inverse [c, -b, a] / det.
__device__ inline Grad2d inverse_backward(float a, float b, float c, float det, float epsilon, Grad2d g) {
  const float scale = 1.f / (det * det + epsilon);
  return {scale * (-c * c * g.a + b * c * g.b - b * b * g.c),
          scale * (2.f * b * c * g.a - (det + 2.f * b * b) * g.b + 2.f * a * b * g.c),
          scale * (-b * b * g.a + a * b * g.b - a * a * g.c)};
}

// Gradients of one Gaussian, summed over its cameras.
struct Splat {
  Vec3 mean = {0, 0, 0}, color = {0, 0, 0};
  Symmetric sigma = {0, 0, 0, 0, 0, 0};
  float opacity = 0.f;
};

// What one camera's row contributes to the pose.
struct Pose {
  float g[POSE] = {};

  // Row i of the gradient for [R | t].
  __device__ void add(int i, Vec3 rotation, float translation) {
    g[4 * i] += rotation.x, g[4 * i + 1] += rotation.y, g[4 * i + 2] += rotation.z, g[4 * i + 3] += translation;
  }
};

// One row: what camera `camera` adds to Gaussian i.
template <bool WITH_POSE, bool STAGED>
__device__ inline void row_backward(const Scene &s, const Camera &camera, uint32_t i, uint32_t row, Vec3 mean,
                             const Symmetric &sigma, float opacity, bool first, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, float *sh_row, Vec3 &mean2d, Splat &g, Pose &pose) {
  const View view(camera);
  const float tx = view.to_camera(0, mean), ty = view.to_camera(1, mean), tz = view.to_camera(2, mean);
  const Affine j = affine(view, s, camera, tx, ty, tz);
  const Covariance2d raw = project(j, sigma);
  const float a = raw.a + DILATION, b = raw.b, c = raw.c + DILATION;
  const float det = determinant(a, b, c), inv_det = 1.f / det;
  const float xx = c * inv_det, xy = -b * inv_det, yy = a * inv_det;

  const float ratio = determinant(raw.a, raw.b, raw.c) * inv_det;
  const float factor = s.antialiasing ? antialiasing_factor(ratio) : 1.f;
  splat_record_gradient of;
  if (STAGED)
    of = load(in.gradients + row);
  else
    of = from_moments(in.sums + size_t(row) * SUMS, xx, xy, yy, opacity * factor, tz, in.fourth);

  const float half_w = 0.5f * s.width, half_h = 0.5f * s.height;
  const float ndc_x = of.x * half_w, ndc_y = of.y * half_h;
  mean2d = {ndc_x, ndc_y, 0.f};
  if (out.means2d_abs) {
    out.means2d_abs[2 * size_t(row)] = of.abs_x * half_w;
    out.means2d_abs[2 * size_t(row) + 1] = of.abs_y * half_h;
  }
  Grad2d cov = inverse_backward(a, b, c, det, s.exact ? 0.f : DET_EPSILON, {of.inv_cov[0], of.inv_cov[1], of.inv_cov[2]});

  g.opacity += of.opacity * factor;
  if (s.antialiasing && ratio > AA_FLOOR) {
    // dfactor/dratio = 1 / (2 factor); then det(V) / det(V + 0.3 I) for V.
    const float grad_ratio = of.opacity * opacity / (2.f * factor);
    const float va = s.exact ? raw.a : a, vc = s.exact ? raw.c : c;
    const float wide_a = va + DILATION, wide_c = vc + DILATION, wide = 1.f / determinant(wide_a, b, wide_c);
    const float r = determinant(va, b, vc) * wide;
    cov.a += grad_ratio * (vc - r * wide_c) * wide;
    cov.b += grad_ratio * 2.f * b * (r - 1.f) * wide;
    cov.c += grad_ratio * (va - r * wide_a) * wide;
  }

  // Sigma: cov = (u v)^T Sigma (u v), off-diagonals count both halves.
  const Vec3 p = j.u, q = j.v;
  auto off = [&](float pi, float pj, float qi, float qj) {
    return 2.f * cov.a * pi * pj + cov.b * (pi * qj + pj * qi) + 2.f * cov.c * qi * qj;
  };
  auto on = [&](float pi, float qi) { return cov.a * pi * pi + cov.b * pi * qi + cov.c * qi * qi; };
  g.sigma.xx += on(p.x, q.x), g.sigma.yy += on(p.y, q.y), g.sigma.zz += on(p.z, q.z);
  g.sigma.xy += off(p.x, p.y, q.x, q.y);
  g.sigma.xz += off(p.x, p.z, q.x, q.z);
  g.sigma.yz += off(p.y, p.z, q.y, q.z);

  // Rows of J W.
  const Vec3 su = times(sigma, p), sv = times(sigma, q);
  const Vec3 gu = plus(scaled(su, 2.f * cov.a), scaled(sv, cov.b));
  const Vec3 gv = plus(scaled(su, cov.b), scaled(sv, 2.f * cov.c));
  const Vec3 r0 = view.axis(0), r1 = view.axis(1), r2 = view.axis(2);
  const float fx = focal(s.width, camera.tan_fovx), fy = focal(s.height, camera.tan_fovy);
  Vec3 t = {0.f, 0.f, 0.f};
  if (!s.orthographic) {
    const float inv_z = 1.f / tz, inv_z2 = inv_z * inv_z;
    const float depth_u = dot3(gu, r2), depth_v = dot3(gv, r2);
    if (!j.clamped_x) t.x = -fx * inv_z2 * depth_u;
    if (!j.clamped_y) t.y = -fy * inv_z2 * depth_v;
    // Where x/z was clamped, x moves with z: the original keeps the factor 2.
    const float factor_x = s.exact && j.clamped_x ? 1.f : 2.f, factor_y = s.exact && j.clamped_y ? 1.f : 2.f;
    t.z = -fx * inv_z2 * dot3(gu, r0) - fy * inv_z2 * dot3(gv, r1) +
          factor_x * fx * j.x * inv_z2 * inv_z * depth_u + factor_y * fy * j.y * inv_z2 * inv_z * depth_v;
    if (WITH_POSE) {
      pose.add(0, scaled(gu, fx * inv_z), 0.f);
      pose.add(1, scaled(gv, fy * inv_z), 0.f);
      pose.add(2, plus(scaled(gu, -fx * j.x * inv_z2), scaled(gv, -fy * j.y * inv_z2)), 0.f);
    }
  } else if (WITH_POSE) {
    pose.add(0, scaled(gu, fx), 0.f);
    pose.add(1, scaled(gv, fy), 0.f);
  }
  t.z += of.depth;
  g.mean = plus(g.mean, plus(plus(scaled(r0, t.x), scaled(r1, t.y)), scaled(r2, t.z)));

  // ndc = p / (w + epsilon)
  const float inv_w = s.orthographic ? 1.f : 1.f / (view.to_clip(2, mean) + W_EPSILON);
  const float at_x = view.to_clip(0, mean) * inv_w, at_y = view.to_clip(1, mean) * inv_w;
  const Vec3 clip0 = {view.proj[0], view.proj[1], view.proj[2]}, clip1 = {view.proj[4], view.proj[5], view.proj[6]},
             clip3 = {view.proj[8], view.proj[9], view.proj[10]};
  const Vec3 through = plus(scaled(plus(clip0, scaled(clip3, -at_x)), ndc_x * inv_w),
                            scaled(plus(clip1, scaled(clip3, -at_y)), ndc_y * inv_w));
  g.mean = plus(g.mean, through);

  const Vec3 grad = {of.color[0], of.color[1], of.color[2]};
  g.color = plus(g.color, grad);
  Vec3 seen = {0.f, 0.f, 0.f};
  if (!s.colors) {
    float distance;
    const Vec3 direction = sh_direction(view, s.orthographic, mean, distance);
    const bool moves = s.degree > 0 && (distance > 0.f || (WITH_POSE && s.orthographic));
    Vec3 d;
    with_degree(s.degree, [&](auto degree) {
      d = color_backward<decltype(degree)::value>(s, i, direction, grad, first, sh_row, moves);
    });
    if (distance > 0.f) {
      // unit = v / |v|  =>  dL/dv = (g - unit (unit . g)) / |v|
      seen = scaled(plus(d, scaled(direction, -dot3(direction, d))), 1.f / distance);
      g.mean = plus(g.mean, seen);
    } else if (WITH_POSE && s.orthographic && moves) {
      pose.add(2, d, 0.f);
    }
  }
  if (WITH_POSE) {
    // Through the camera-space position, with proj = P V: R turns the world gradient of the pixel into its.
    const Vec3 full = {t.x + dot3(r0, through), t.y + dot3(r1, through), t.z + dot3(r2, through)};
    // campos = -R^-1 t has the gradient -seen: dL/dR = (R seen) campos^T, dL/dt = R seen.
    const Vec3 turned = {dot3(r0, seen), dot3(r1, seen), dot3(r2, seen)};
    const Vec3 eye = {view.campos[0], view.campos[1], view.campos[2]};
    pose.add(0, plus(scaled(mean, full.x), scaled(eye, turned.x)), full.x + turned.x);
    pose.add(1, plus(scaled(mean, full.y), scaled(eye, turned.y)), full.y + turned.y);
    pose.add(2, plus(scaled(mean, full.z), scaled(eye, turned.z)), full.z + turned.z);
  }
}

// splat-core's `covariance_backward`, and the activations of SPLAT_RAW.
__device__ inline void shape_backward(const Scene &s, const Posture &posture, const Symmetric &grad, Vec3 &scale,
                               float4 &quaternion) {
  const Rotation r = rotation(posture.rotation);
  const float m = s.scale_modifier;
  const Vec3 dev = scaled(posture.scale, m);
  const Vec3 g[3] = {{grad.xx, 0.5f * grad.xy, 0.5f * grad.xz},
                     {0.5f * grad.xy, grad.yy, 0.5f * grad.yz},
                     {0.5f * grad.xz, 0.5f * grad.yz, grad.zz}};
  // Sigma = L L^T with L = R S  =>  dL/dL = 2 G L for symmetric G; with G R first, scales come last.
  Vec3 gr[3];
#pragma unroll
  for (int k = 0; k < 3; k++)
    gr[k] = plus(plus(scaled(r.row[0], 2.f * g[k].x), scaled(r.row[1], 2.f * g[k].y)), scaled(r.row[2], 2.f * g[k].z));
  {
    Vec3 d = {dev.x * (gr[0].x * r.row[0].x + gr[1].x * r.row[1].x + gr[2].x * r.row[2].x),
              dev.y * (gr[0].y * r.row[0].y + gr[1].y * r.row[1].y + gr[2].y * r.row[2].y),
              dev.z * (gr[0].z * r.row[0].z + gr[1].z * r.row[1].z + gr[2].z * r.row[2].z)};
    if (s.exact) d = scaled(d, m);  // the original's is for modifier * scale
    if (s.raw) d = {d.x * posture.scale.x, d.y * posture.scale.y, d.z * posture.scale.z};
    scale = d;
  }
  {
    const Vec3 sq = {dev.x * dev.x, dev.y * dev.y, dev.z * dev.z};
    Vec3 d[3];
#pragma unroll
    for (int k = 0; k < 3; k++) d[k] = {gr[k].x * sq.x, gr[k].y * sq.y, gr[k].z * sq.z};
    const float w = posture.rotation.x, x = posture.rotation.y, y = posture.rotation.z, z = posture.rotation.w;
    float4 q = {2.f * (x * (d[2].y - d[1].z) + y * (d[0].z - d[2].x) + z * (d[1].x - d[0].y)),
                2.f * (y * (d[0].y + d[1].x) + z * (d[0].z + d[2].x) + w * (d[2].y - d[1].z)) -
                    4.f * x * (d[1].y + d[2].z),
                2.f * (x * (d[0].y + d[1].x) + z * (d[1].z + d[2].y) + w * (d[0].z - d[2].x)) -
                    4.f * y * (d[0].x + d[2].z),
                2.f * (x * (d[0].z + d[2].x) + y * (d[1].z + d[2].y) + w * (d[1].x - d[0].y)) -
                    4.f * z * (d[0].x + d[1].y)};
    if (s.raw) {
      // q / |q|: the part along q does nothing.
      const float along = q.x * w + q.y * x + q.z * y + q.w * z;
      const float inverse = posture.length > 0.f ? 1.f / posture.length : 0.f;
      q = {(q.x - w * along) * inverse, (q.y - x * along) * inverse, (q.z - y * along) * inverse,
           (q.w - z * along) * inverse};
    }
    quaternion = q;
  }
}

}  // namespace splat::own
