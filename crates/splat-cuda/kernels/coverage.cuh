// Which pixels a Gaussian reaches: exponent(d) = A dx^2 + B dx dy + C dy^2 + level >= log2(1/255), d = centre - pixel.
//
// The exponent is concave, so over a rectangle its maximum lies at the centre, or on a side that faces the centre.
// `touches` may keep a rectangle whose pixels all stay just under the threshold; it never loses one over it.
#pragma once

#include "types.h"

namespace splat::own {

// Exponent of a Gaussian at the pixels of a row, in log2 of alpha. Blending, its backward and the tests of coverage
// share these roundings: whether a pixel is reached cannot differ between them.
struct ExponentOfRow {
  float a, sheared, along_y;

  // In the body: nvcc leaves a list of initializers to the host's compiler, which has no such intrinsics.
  __device__ ExponentOfRow(float a, float b, float c, float level, float dy) {
    this->a = a;
    sheared = __fmul_rn(b, dy);
    along_y = __fmaf_rn(__fmul_rn(c, dy), dy, level);
  }
  __device__ float at(float dx) const { return __fmaf_rn(__fmaf_rn(a, dx, sheared), dx, along_y); }
};

__device__ inline float exponent(float a, float b, float c, float level, float dx, float dy) {
  return ExponentOfRow(a, b, c, level, dy).at(dx);
}

// 2^x and 1/x as the hardware gives them: within 2 units in the last place.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline float clamped(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

struct Peak {
  float dx, dy;     // offset from the centre to where the exponent is largest
  float exponent;
  float slack;      // more than its roundings
};

// Over the rectangle [x0, x1] x [y0, y1] of pixel centres.
__device__ inline Peak peak(const Shape2d &s, float x0, float y0, float x1, float y1) {
  const float lx = x0 - s.x, hx = x1 - s.x, ly = y0 - s.y, hy = y1 - s.y;
  const float ex = clamped(0.f, lx, hx), ey = clamped(0.f, ly, hy);
  const float on_x = clamped(s.slope_y * ex, ly, hy), on_y = clamped(s.slope_x * ey, lx, hx);
  const float p = exponent(s.a, s.b, s.c, s.level, ex, on_x), q = exponent(s.a, s.b, s.c, s.level, on_y, ey);
  Peak best;
  const bool first = p >= q;
  best.dx = first ? ex : on_y;
  best.dy = first ? on_x : ey;
  best.exponent = first ? p : q;
  best.slack = 1e-3f - 5e-7f * (s.a * best.dx * best.dx + s.c * best.dy * best.dy);
  return best;
}

__device__ inline bool touches(const Shape2d &s, float x0, float y0, float x1, float y1) {
  const Peak best = peak(s, x0, y0, x1, y1);
  return best.exponent + best.slack >= LOG2_ALPHA_MIN;
}

// Whether a pixel centre of the rectangle is reached: `touches`, and then at whole pixels. Usually the pixel nearest
// to the peak answers; a Gaussian that slips between the pixels is searched for row by row.
__device__ inline bool reaches_pixel(const Shape2d &s, float x0, float y0, float x1, float y1) {
  const Peak best = peak(s, x0, y0, x1, y1);
  const float least = LOG2_ALPHA_MIN - best.slack;
  if (best.exponent < least) return false;
  const float px = clamped(rintf(s.x + best.dx), x0, x1), py = clamped(rintf(s.y + best.dy), y0, y1);
  if (exponent(s.a, s.b, s.c, s.level, s.x - px, s.y - py) >= least) return true;
  for (float y = y0; y <= y1; y += 1.f) {
    const float x = clamped(rintf(s.x + s.slope_x * (y - s.y)), x0, x1);
    if (exponent(s.a, s.b, s.c, s.level, s.x - x, s.y - y) >= least) return true;
  }
  return false;
}

}  // namespace splat::own
