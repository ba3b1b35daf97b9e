// Checks of what a caller hands over, before any device is touched: struct sizes, counts, absent and
// contiguous inputs. Values on the device are scan.h's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "splat_engine.h"

namespace splat {

// `found` is the struct_size that the caller set, `expected` ours.
void check_size(const char *name, uint32_t found, size_t expected);

// Refuses a NULL pointer that is not optional.
void required(const char *name, const void *pointer);

// The data of an input that must be contiguous with this shape; NULL only if the shape has no elements.
const float *contiguous(const char *engine, const char *name, const splat_in &input,
                        std::initializer_list<int64_t> shape);

// A camera, Gaussians and settings that agree with each other. Pointers are the engine's memory.
struct Scene {
  int64_t count, coeffs;
  int32_t width, height;
  int32_t sh_degree;
  float tan_fovx, tan_fovy, scale_modifier;
  bool antialiasing, debug;
  const float *view, *proj, *campos, *background;
  const float *means3d, *opacities, *sh, *colors, *scales, *rotations, *cov3d;

  int64_t pixels() const { return int64_t(width) * height; }
};

// Reads the three structs that forward and backward share; inputs must be contiguous.
Scene read_scene(const char *engine, const splat_camera &camera, const splat_gaussians &gaussians,
                 const splat_settings &settings);

}  // namespace splat
