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

// Cameras, Gaussians and settings that agree with each other. Pointers are the engine's memory, except `camera`.
struct Scene {
  uint32_t cameras;
  const splat_camera *camera;
  int64_t count, coeffs, feature_count;
  int32_t width, height;
  int32_t sh_degree;
  float scale_modifier;
  uint32_t flags;
  const float *background;
  const float *means3d, *opacities, *sh, *sh_rest, *colors, *scales, *rotations, *cov3d, *features;

  int64_t pixels() const { return int64_t(width) * height; }
  bool has(uint32_t flag) const { return flags & flag; }
};

// Reads what forward and backward share; inputs must be contiguous.
Scene read_scene(const char *engine, uint32_t camera_count, const splat_camera *cameras,
                 const splat_gaussians &gaussians, const splat_settings &settings);

// The caller's struct_size and allocator.
void check_context(const char *engine, const splat_context &context);

// A pointer that the C caller may have left NULL.
template <typename T>
T &given(T *pointer, const char *name) {
  required(name, pointer);
  return *pointer;
}

}  // namespace splat
