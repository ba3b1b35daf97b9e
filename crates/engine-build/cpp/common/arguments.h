// Checks of what a caller hands over, before any device is touched: counts, absent and contiguous inputs, the list of
// channels. Values on the device are scan.h's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "splat_engine.h"
#include "structs.h"

namespace splat {
inline namespace SPLAT_COPY {

// The data of an input that must be contiguous with this shape; NULL only if the shape has no elements.
const float *contiguous(const char *engine, const char *name, const splat_in &input,
                        std::initializer_list<int64_t> shape);

// Which inputs a call reads.
struct Reads {
  bool features, background;
  bool sh_rest16 = false;  // whether the engine knows it
};

// Cameras, Gaussians and settings that agree with each other. Pointers are the engine's memory.
struct Scene {
  uint32_t cameras;
  splat_camera camera[SPLAT_MAX_CAMERAS];
  int64_t count, coeffs, feature_count;
  int32_t width, height;
  int32_t sh_degree;
  float scale_modifier;
  uint32_t flags;
  const float *background;
  const float *means3d, *opacities, *sh, *sh_rest, *colors, *scales, *rotations, *cov3d, *features;
  const uint16_t *sh_rest16;

  int64_t pixels() const { return int64_t(width) * height; }
  bool has(uint32_t flag) const { return flags & flag; }
};

// Reads what projection and its backward pass share; inputs must be contiguous.
Scene read_scene(const char *engine, uint32_t camera_count, const splat_camera *cameras,
                 const splat_gaussians *gaussians, const splat_settings *settings, Reads reads);

// Settings whose flags and numbers are known.
splat_settings read_settings(const splat_settings *settings, bool background);

// One image's size.
void check_image(int32_t width, int32_t height);

// The context, with an allocator.
splat_context read_context(const char *engine, const splat_context *context);

// The channels of a call, by their source.
struct Channels {
  static constexpr uint32_t SOURCES = 8;

  bool listed[SOURCES];
  float *data[SOURCES];
  const float *gradient[SOURCES];
  const float *image;  // of SPLAT_WEIGHT_IMAGE

  // Bit 1 << source of every channel that is listed.
  uint32_t mask() const;
  bool any_weights() const {
    return listed[SPLAT_WEIGHT_SUM] || listed[SPLAT_WEIGHT_MAX] || listed[SPLAT_WEIGHT_IMAGE];
  }
};

enum class Pass { FORWARD, BACKWARD };

// `offered` has bit 1 << source of every channel that the engine has. Forward needs `data` of channels with elements:
// `feature_count` and `count` say which have some.
Channels read_channels(const char *engine, uint32_t offered, Pass pass, uint32_t count, const splat_channel *channels,
                       int64_t gaussians, int64_t feature_count);

}  // namespace SPLAT_COPY
}  // namespace splat
