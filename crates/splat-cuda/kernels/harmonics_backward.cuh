// Gradients of spherical harmonics: into shared memory, and from there to rows of the output. Equations: splat-core's
// `sh`. Device functions alone.
#pragma once

#include "harmonics.cuh"
#include "project_backward.cuh"

namespace splat::own {

// Numbers of a Gaussian's SH gradients that can differ from zero, and the row that keeps them: odd, for the banks.
constexpr int SH_NUMBERS = 48, SH_ROW = 49;

// Gradients of the coefficients, into this thread's row of shared memory, and of the direction, through the colour.
template <int DEGREE>
__device__ inline Vec3 color_backward(const Scene &s, uint32_t i, Vec3 direction, Vec3 grad, bool first, float *sh_row,
                               bool moves) {
  const Loaded<DEGREE> coefficient(Coefficients(s, i));
  const Vec3 before_clamp = sh_color(direction, coefficient);
  if (before_clamp.x < 0.f) grad.x = 0.f;
  if (before_clamp.y < 0.f) grad.y = 0.f;
  if (before_clamp.z < 0.f) grad.z = 0.f;
  Vec3 on_direction = {0, 0, 0};
  if (moves)
    sh_basis_derivatives<DEGREE>(direction, [&](int k, Vec3 slope) {
      on_direction = plus(on_direction, scaled(slope, dot3(coefficient.at(k), grad)));
    });
  sh_basis<DEGREE>(direction, [&](int k, float w) {
    const float v[3] = {w * grad.x, w * grad.y, w * grad.z};
#pragma unroll
    for (int c = 0; c < 3; c++) sh_row[3 * k + c] = first ? v[c] : sh_row[3 * k + c] + v[c];
  });
  if (first)
    for (int k = 3 * Loaded<DEGREE>::COUNT; k < SH_NUMBERS; k++) sh_row[k] = 0.f;
  return on_direction;
}

// Writes columns [skip, skip + length) of the warp's 32 rows of shared memory to rows of `length` numbers; whole lines
// of memory at a time, where a thread alone would touch one number of each.
template <int LENGTH>
__device__ inline void write_rows(float *to, uint32_t first, uint32_t rows, const float *shared, int skip, int length) {
  const int lane = threadIdx.x % 32;
  if (LENGTH > 0) length = LENGTH;
  to += size_t(first) * length;
  const uint32_t count = rows * length;
  if (LENGTH == SH_NUMBERS && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
#pragma unroll 4
    for (uint32_t k = 4 * lane; k < count; k += 128) {
      const float *from = shared + k / SH_NUMBERS * SH_ROW + k % SH_NUMBERS;
      *reinterpret_cast<float4 *>(to + k) = make_float4(from[0], from[1], from[2], from[3]);
    }
    return;
  }
  for (uint32_t k = lane; k < count; k += 32) {
    const int column = int(k % length) + skip;
    to[k] = column < SH_NUMBERS ? shared[k / length * SH_ROW + column] : 0.f;
  }
}

__device__ inline void write_sh(const Scene &s, uint32_t first, uint32_t rows, const float *shared,
                         const ProjectBackwardOut &out) {
  if (s.sh_rest) {
    if (out.sh) write_rows<3>(out.sh, first, rows, shared, 0, 3);
    if (!out.sh_rest) return;
    if (s.coeffs == 16)
      write_rows<45>(out.sh_rest, first, rows, shared, 3, 45);
    else
      write_rows<0>(out.sh_rest, first, rows, shared, 3, 3 * (s.coeffs - 1));
  } else if (out.sh) {
    if (s.coeffs == 16)
      write_rows<SH_NUMBERS>(out.sh, first, rows, shared, 0, SH_NUMBERS);
    else
      write_rows<0>(out.sh, first, rows, shared, 0, 3 * s.coeffs);
  }
}

}  // namespace splat::own
