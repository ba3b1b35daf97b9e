// A row (one Gaussian seen by one camera) as the stages from tiles on take it. Projection makes rows from Gaussians,
// unpacking makes them from records; both end here, so that their images agree to the bit. Device functions alone.
#pragma once

#include "types.h"

namespace splat::own {

// Tiles [low, high) of 16 pixels, cut to [0, most). Compared as floats first: a far away mean must not overflow.
__device__ inline uint2 cut(float low, float high, int most) {
  const float m = float(most);
  return {unsigned(fminf(fmaxf(low, 0.f), m)), unsigned(fminf(fmaxf(high, 0.f), m))};
}

// Tiles of the square of the 3-sigma radius, truncated toward zero as the original does.
__device__ inline bool square(const Scene &s, float x, float y, float r, ushort4 &rect) {
  const uint2 h = cut((x - r) / TILE, (x + r + TILE - 1) / TILE, s.tiles_x);
  const uint2 v = cut((y - r) / TILE, (y + r + TILE - 1) / TILE, s.tiles_y);
  rect = make_ushort4(h.x, v.x, h.y, v.y);
  return h.x < h.y && v.x < v.y;
}

// Tiles of the pixels within (half_x, half_y) of the centre.
__device__ inline bool box(const Scene &s, float x, float y, float half_x, float half_y, ushort4 &rect) {
  const float x0 = fmaxf(ceilf(x - half_x), 0.f), x1 = fminf(floorf(x + half_x), float(s.width - 1));
  const float y0 = fmaxf(ceilf(y - half_y), 0.f), y1 = fminf(floorf(y + half_y), float(s.height - 1));
  if (!(x0 <= x1 && y0 <= y1)) return false;
  rect = make_ushort4(unsigned(x0) / TILE, unsigned(y0) / TILE, unsigned(x1) / TILE + 1, unsigned(y1) / TILE + 1);
  return true;
}

__device__ inline uint32_t depth_key(float depth) {
  return min(__float_as_uint(depth) - __float_as_uint(NEAR), (1u << DEPTH_KEY_BITS) - 1);
}

// What the fourth channel of the first group holds.
__device__ inline float fourth_channel(Fourth fourth, float depth) {
  return fourth == Fourth::NONE ? 0.f : fourth == Fourth::DEPTH ? depth : __fdiv_rn(1.f, depth);
}

// The exponent's coefficients from the inverse covariance (xx, xy, yy) and log2 of the opacity.
__device__ inline Shape2d shape_of(float x, float y, float xx, float xy, float yy, float level) {
  Shape2d shape;
  shape.x = x, shape.y = y;
  shape.a = -0.5f * LOG2E * xx, shape.b = -LOG2E * xy, shape.c = -0.5f * LOG2E * yy;
  shape.level = level;
  shape.slope_y = -0.5f * shape.b / shape.c;
  shape.slope_x = -0.5f * shape.b / shape.a;
  return shape;
}

// Whether the shape and its opacity are numbers that can be blended: finite inputs may leave the range of f32.
__device__ inline bool blendable(const Shape2d &shape, float xx, float xy, float yy, float opacity) {
  const float sum = shape.x + shape.y + xx + xy + yy + opacity + shape.slope_x + shape.slope_y;
  return (__float_as_uint(sum) & 0x7f800000u) != 0x7f800000u && xx > 0.f && yy > 0.f;
}

// NaN if a number is not finite, else 0.
__device__ inline float poison(float x) { return x * 0.f; }

}  // namespace splat::own
