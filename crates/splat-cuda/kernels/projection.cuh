// One Gaussian seen by one camera: the EWA projection of splat-core's `projection` and `covariance`, function for
// function and rounding for rounding (fused.rs), so that means, depths and radii agree to the bit in mode compat.
//
// World and camera units in, pixels out. Device functions alone.
#pragma once

#include "types.h"

namespace splat::own {

struct Vec3 {
  float x, y, z;
};

__device__ inline Vec3 scaled(Vec3 v, float s) { return {v.x * s, v.y * s, v.z * s}; }
__device__ inline Vec3 plus(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
__device__ inline float dot3(Vec3 a, Vec3 b) { return __fmaf_rn(a.z, b.z, __fmaf_rn(a.x, b.x, __fmul_rn(a.y, b.y))); }
__device__ inline float dot2(float a0, float a1, float b0, float b1) { return __fmaf_rn(a0, b0, __fmul_rn(a1, b1)); }
__device__ inline float determinant(float a, float b, float c) { return __fmaf_rn(a, c, -__fmul_rn(b, b)); }
__device__ inline bool finite(float x) { return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u; }

// A camera's numbers, read once per thread.
struct View {
  float view[12];  // rows 0..2 of world to camera: element (row, column) at [4 row + column]
  float proj[12];  // rows 0, 1, 3 of world to clip
  float campos[3];

  __device__ explicit View(const Camera &c) {
#pragma unroll
    for (int row = 0; row < 3; row++)
#pragma unroll
      for (int column = 0; column < 4; column++) {
        view[4 * row + column] = __ldg(c.view + 4 * column + row);
        proj[4 * row + column] = __ldg(c.proj + 4 * column + (row == 2 ? 3 : row));
      }
#pragma unroll
    for (int k = 0; k < 3; k++) campos[k] = __ldg(c.campos + k);
  }
  __device__ Vec3 axis(int row) const { return {view[4 * row], view[4 * row + 1], view[4 * row + 2]}; }
  __device__ float to_camera(int row, Vec3 p) const { return dot3(axis(row), p) + view[4 * row + 3]; }
  // row 2 is the homogeneous coordinate
  __device__ float to_clip(int row, Vec3 p) const {
    return dot3({proj[4 * row], proj[4 * row + 1], proj[4 * row + 2]}, p) + proj[4 * row + 3];
  }
};

// Rotation matrix of a quaternion wxyz, by the formula for unit quaternions.
struct Rotation {
  Vec3 row[3];
};

__device__ inline Rotation rotation(float4 q) {
  const float r = q.x, x = q.y, y = q.z, z = q.w;
  auto on = [](float p, float s) { return __fmaf_rn(-2.f, __fmaf_rn(p, p, __fmul_rn(s, s)), 1.f); };
  auto plus = [](float a, float b, float c, float d) { return 2.f * __fmaf_rn(a, b, __fmul_rn(c, d)); };
  return {{{on(y, z), plus(x, y, -r, z), plus(x, z, r, y)},
           {plus(x, y, r, z), on(x, z), plus(y, z, -r, x)},
           {plus(x, z, -r, y), plus(y, z, r, x), on(x, y)}}};
}

// xx xy xz yy yz zz of a symmetric matrix.
struct Symmetric {
  float xx, xy, xz, yy, yz, zz;
};

__device__ inline Vec3 times(const Symmetric &s, Vec3 v) {
  return {dot3({s.xx, s.xy, s.xz}, v), dot3({s.xy, s.yy, s.yz}, v), dot3({s.xz, s.yz, s.zz}, v)};
}

// R S S^T R^T
__device__ inline Symmetric covariance(Vec3 s, const Rotation &r) {
  Vec3 l[3];
#pragma unroll
  for (int k = 0; k < 3; k++) l[k] = {__fmul_rn(s.x, r.row[k].x), __fmul_rn(s.y, r.row[k].y), __fmul_rn(s.z, r.row[k].z)};
  return {dot3(l[0], l[0]), dot3(l[0], l[1]), dot3(l[0], l[2]), dot3(l[1], l[1]), dot3(l[1], l[2]), dot3(l[2], l[2])};
}

// A Gaussian's scale and rotation as the formulas take them, after the activations of SPLAT_RAW.
struct Posture {
  Vec3 scale;           // without the modifier
  float4 rotation;
  float length;         // of the raw quaternion; 1 without SPLAT_RAW
};

__device__ inline Posture activate(Vec3 scale, float4 q, bool raw) {
  if (!raw) return {scale, q, 1.f};
  const float length = sqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
  // A zero quaternion is the identity, as without normalising.
  const float inverse = length > 0.f ? 1.f / length : 0.f;
  return {{expf(scale.x), expf(scale.y), expf(scale.z)},
          {q.x * inverse, q.y * inverse, q.z * inverse, q.w * inverse},
          length};
}

__device__ inline float activate_opacity(float opacity, bool raw) { return raw ? 1.f / (1.f + expf(-opacity)) : opacity; }

// The local affine approximation: rows of J W and what they are made of.
struct Affine {
  float x, y, z;          // camera-space position, x and y moved inside the limits
  bool clamped_x, clamped_y;
  Vec3 u, v;              // pixels per world unit
};

__device__ inline float focal(int size, float tan_half) { return float(size) / (2.f * tan_half); }

__device__ inline Affine affine(const View &view, const Scene &scene, const Camera &camera, float tx, float ty, float tz) {
  Affine a;
  a.x = tx, a.y = ty, a.z = tz;
  a.clamped_x = a.clamped_y = false;
  const float fx = focal(scene.width, camera.tan_fovx), fy = focal(scene.height, camera.tan_fovy);
  if (scene.orthographic) {
    const Vec3 r0 = view.axis(0), r1 = view.axis(1);
    a.u = {fx * r0.x, fx * r0.y, fx * r0.z};
    a.v = {fy * r1.x, fy * r1.y, fy * r1.z};
    return a;
  }
  float low_x = -(FIELD_LIMIT * camera.tan_fovx), high_x = -low_x;
  float low_y = -(FIELD_LIMIT * camera.tan_fovy), high_y = -low_y;
  if (scene.exact) {
    // NDC of the optical axis: proj = P V with a rotation in V, so P02 is row 0 of proj along row 2 of V.
    const Vec3 axis = view.axis(2);
    const float cx = dot3({view.proj[0], view.proj[1], view.proj[2]}, axis);
    const float cy = dot3({view.proj[4], view.proj[5], view.proj[6]}, axis);
    low_x = (-FIELD_LIMIT - cx) * camera.tan_fovx, high_x = (FIELD_LIMIT - cx) * camera.tan_fovx;
    low_y = (-FIELD_LIMIT - cy) * camera.tan_fovy, high_y = (FIELD_LIMIT - cy) * camera.tan_fovy;
  }
  const float sx = __fdiv_rn(tx, tz), sy = __fdiv_rn(ty, tz);
  a.clamped_x = sx < low_x || sx > high_x;
  a.clamped_y = sy < low_y || sy > high_y;
  a.x = __fmul_rn(fminf(fmaxf(sx, low_x), high_x), tz);
  a.y = __fmul_rn(fminf(fmaxf(sy, low_y), high_y), tz);
  const Vec3 depth = view.axis(2);
  const float zz = __fmul_rn(tz, tz);
  auto row = [&](Vec3 across, float f, float t) {
    const float on_axis = __fdiv_rn(f, tz), on_depth = __fdiv_rn(-__fmul_rn(f, t), zz);
    return Vec3{__fmaf_rn(depth.x, on_depth, __fmul_rn(across.x, on_axis)),
                __fmaf_rn(depth.y, on_depth, __fmul_rn(across.y, on_axis)),
                __fmaf_rn(depth.z, on_depth, __fmul_rn(across.z, on_axis))};
  };
  a.u = row(view.axis(0), fx, a.x);
  a.v = row(view.axis(1), fy, a.y);
  return a;
}

// J W Sigma W^T J^T in square pixels, before the dilation.
struct Covariance2d {
  float a, b, c;
};

__device__ inline Covariance2d project(const Affine &j, const Symmetric &sigma) {
  const Vec3 su = times(sigma, j.u), sv = times(sigma, j.v);
  return {dot3(su, j.u), dot3(sv, j.u), dot3(sv, j.v)};
}

__device__ inline float antialiasing_factor(float ratio) { return sqrtf(fmaxf(ratio, AA_FLOOR)); }

// Reads Gaussian i's covariance in space.
__device__ inline Symmetric covariance3d(const Scene &s, const Posture &p) {
  const float m = s.scale_modifier;
  return covariance({__fmul_rn(m, p.scale.x), __fmul_rn(m, p.scale.y), __fmul_rn(m, p.scale.z)}, rotation(p.rotation));
}

// Plain loads, not those of memory that stays as it is: a fused step writes parameters in the same kernel.
__device__ inline Vec3 load3(const float *from, uint32_t i) {
  const float *p = from + 3 * size_t(i);
  return {p[0], p[1], p[2]};
}

__device__ inline float4 load4(const float *from, uint32_t i) {
  const float *p = from + 4 * size_t(i);
  return {p[0], p[1], p[2], p[3]};
}

__device__ inline Symmetric load_symmetric(const float *from, uint32_t i) {
  const float *p = from + 6 * size_t(i);
  return {p[0], p[1], p[2], p[3], p[4], p[5]};
}

}  // namespace splat::own
