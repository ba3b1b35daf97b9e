// Colour from spherical harmonics of degree 0 to 3 and its gradient: splat-core's `sh`, function for function.
//
// Real SH, sign convention of PlenOctrees (Yu et al. 2021). A channel is the sum plus 0.5, not under 0.
#pragma once

#include <cuda_fp16.h>

#include <type_traits>

#include "projection.cuh"

namespace splat::own {

constexpr float SH0 = 0.28209479177387814f;
constexpr float SH1 = 0.4886025119029199f;
constexpr float SH2A = 1.0925484305920792f, SH2B = 0.31539156525252005f, SH2C = 0.5462742152960396f;
constexpr float SH3A = 0.5900435899266435f, SH3B = 2.890611442640554f, SH3C = 0.4570457994644658f,
                SH3D = 0.3731763325901154f, SH3E = 1.445305721320277f;

// Calls use(k, weight) for every coefficient k of the degree.
template <int DEGREE, typename Use>
__device__ inline void sh_basis(Vec3 d, Use &&use) {
  use(0, SH0);
  if constexpr (DEGREE < 1) return;
  const float x = d.x, y = d.y, z = d.z;
  use(1, -SH1 * y);
  use(2, SH1 * z);
  use(3, -SH1 * x);
  if constexpr (DEGREE < 2) return;
  const float xx = x * x, yy = y * y, zz = z * z;
  use(4, SH2A * (x * y));
  use(5, -SH2A * (y * z));
  use(6, SH2B * (2.f * zz - xx - yy));
  use(7, -SH2A * (x * z));
  use(8, SH2C * (xx - yy));
  if constexpr (DEGREE < 3) return;
  use(9, -SH3A * y * (3.f * xx - yy));
  use(10, SH3B * (x * y) * z);
  use(11, -SH3C * y * (4.f * zz - xx - yy));
  use(12, SH3D * z * (2.f * zz - 3.f * xx - 3.f * yy));
  use(13, -SH3C * x * (4.f * zz - xx - yy));
  use(14, SH3E * z * (xx - yy));
  use(15, -SH3A * x * (xx - 3.f * yy));
}

// Calls use(k, derivative of the basis polynomial for x, y and z).
template <int DEGREE, typename Use>
__device__ inline void sh_basis_derivatives(Vec3 d, Use &&use) {
  if constexpr (DEGREE < 1) return;
  const float x = d.x, y = d.y, z = d.z;
  use(1, Vec3{0.f, -SH1, 0.f});
  use(2, Vec3{0.f, 0.f, SH1});
  use(3, Vec3{-SH1, 0.f, 0.f});
  if constexpr (DEGREE < 2) return;
  use(4, Vec3{SH2A * y, SH2A * x, 0.f});
  use(5, Vec3{0.f, -SH2A * z, -SH2A * y});
  use(6, Vec3{-2.f * SH2B * x, -2.f * SH2B * y, 4.f * SH2B * z});
  use(7, Vec3{-SH2A * z, 0.f, -SH2A * x});
  use(8, Vec3{2.f * SH2C * x, -2.f * SH2C * y, 0.f});
  if constexpr (DEGREE < 3) return;
  const float xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
  use(9, Vec3{-6.f * SH3A * xy, -3.f * SH3A * (xx - yy), 0.f});
  use(10, Vec3{SH3B * yz, SH3B * xz, SH3B * xy});
  use(11, Vec3{2.f * SH3C * xy, -SH3C * (4.f * zz - xx - 3.f * yy), -8.f * SH3C * yz});
  use(12, Vec3{-6.f * SH3D * xz, -6.f * SH3D * yz, 3.f * SH3D * (2.f * zz - xx - yy)});
  use(13, Vec3{-SH3C * (4.f * zz - 3.f * xx - yy), 2.f * SH3C * xy, -8.f * SH3C * xz});
  use(14, Vec3{2.f * SH3E * xz, -2.f * SH3E * yz, SH3E * (xx - yy)});
  use(15, Vec3{-3.f * SH3A * (xx - yy), 6.f * SH3A * xy, 0.f});
}

// Unit direction from the camera to the Gaussian, and the distance; zeros where there is none. An orthographic camera
// sees every Gaussian along its axis: distance 0 says that the direction does not move with the mean.
__device__ inline Vec3 sh_direction(const View &view, bool orthographic, Vec3 mean, float &distance) {
  distance = 0.f;
  if (orthographic) return view.axis(2);
  const Vec3 v = {mean.x - view.campos[0], mean.y - view.campos[1], mean.z - view.campos[2]};
  const float length = sqrtf(v.x * v.x + v.y * v.y + v.z * v.z);
  if (!(length > 0.f) || !finite(length)) return {0.f, 0.f, 0.f};
  distance = length;
  const float inverse = 1.f / length;
  return {v.x * inverse, v.y * inverse, v.z * inverse};
}

// One Gaussian's coefficients, in any layout. Read by plain loads, since a fused step writes them in the same kernel.
struct Coefficients {
  const float *first;  // coefficient 0
  const float *rest;   // coefficient 1
  const uint4 *half;   // the same as numbers of 16 bits, or null
  bool aligned;        // first can be read 16 bytes at a time

  __device__ Coefficients(const Scene &s, uint32_t i) {
    half = nullptr;
    if (s.sh_rest16) {
      first = s.sh + 3 * size_t(i);
      rest = nullptr;
      half = reinterpret_cast<const uint4 *>(s.sh_rest16 + size_t(columns16(s.coeffs)) * i);
    } else if (s.sh_rest) {
      first = s.sh + 3 * size_t(i);
      rest = s.sh_rest + 3 * size_t(s.coeffs - 1) * i;
    } else {
      first = s.sh + 3 * size_t(s.coeffs) * i;
      rest = first + 3;
    }
    aligned = s.sh_aligned;
  }
  __device__ Vec3 at(int k) const {
    const float *p = k == 0 ? first : rest + 3 * (k - 1);
    return {p[0], p[1], p[2]};
  }
};

// All active coefficients in registers, read 16 bytes at a time where the layout allows it.
template <int DEGREE>
struct Loaded {
  static constexpr int COUNT = (DEGREE + 1) * (DEGREE + 1);
  float value[3 * COUNT];

  __device__ explicit Loaded(const Coefficients &c) {
    if (c.half) {
#pragma unroll
      for (int k = 0; k < 3; k++) value[k] = c.first[k];
#pragma unroll
      for (int k = 0; k < (3 * COUNT - 3 + 7) / 8; k++) {
        const uint4 v = c.half[k];
        const uint32_t part[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 8; j++)
          if (8 * k + j < 3 * COUNT - 3)
            value[3 + 8 * k + j] = __half2float(__ushort_as_half(uint16_t(part[j / 2] >> 16 * (j % 2))));
      }
    } else if (c.aligned) {
      const float4 *from = reinterpret_cast<const float4 *>(c.first);
#pragma unroll
      for (int k = 0; k < (3 * COUNT + 3) / 4; k++) {
        const float4 v = from[k];
        const float part[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (4 * k + j < 3 * COUNT) value[4 * k + j] = part[j];
      }
    } else {
#pragma unroll
      for (int k = 0; k < COUNT; k++) {
        const Vec3 v = c.at(k);
        value[3 * k] = v.x, value[3 * k + 1] = v.y, value[3 * k + 2] = v.z;
      }
    }
  }
  __device__ Vec3 at(int k) const { return {value[3 * k], value[3 * k + 1], value[3 * k + 2]}; }
};

// Calls use(degree as a constant) for the active degree.
template <typename Use>
__device__ inline void with_degree(int degree, Use &&use) {
  switch (degree) {
    case 0: use(std::integral_constant<int, 0>{}); break;
    case 1: use(std::integral_constant<int, 1>{}); break;
    case 2: use(std::integral_constant<int, 2>{}); break;
    default: use(std::integral_constant<int, 3>{}); break;
  }
}

// The colour before the clamp at 0.
template <int DEGREE>
__device__ inline Vec3 sh_color(Vec3 direction, const Loaded<DEGREE> &coefficient) {
  Vec3 rgb = {0.5f, 0.5f, 0.5f};
  sh_basis<DEGREE>(direction, [&](int k, float weight) {
    const Vec3 c = coefficient.at(k);
    rgb.x += weight * c.x, rgb.y += weight * c.y, rgb.z += weight * c.z;
  });
  return rgb;
}

}  // namespace splat::own
