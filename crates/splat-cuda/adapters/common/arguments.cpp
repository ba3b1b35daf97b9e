// See arguments.h. Texts agree with those of the CPU engine where the mistake is the same.
#include "arguments.h"

#include <cmath>
#include <string>

#include "status.h"

namespace splat {
namespace {

std::string list(const int64_t *values, size_t n) {
  std::string text = "[";
  for (size_t i = 0; i < n; i++) text += (i ? "," : "") + std::to_string(values[i]);
  return text + "]";
}

// Exactly one of two; without splats both may be absent.
void exactly_one(const char *names, bool first, bool second, int64_t count) {
  if (count > 0 && first == second)
    fail(SPLAT_INVALID_ARGUMENT, "exactly one of %s is needed, but %s given", names, first ? "both are" : "none is");
}

void positive(const char *name, float value) {
  if (!(value > 0) || !std::isfinite(value))
    fail(SPLAT_INVALID_ARGUMENT, "`%s` is %g, but must be positive and finite", name, value);
}

}  // namespace

void check_size(const char *name, uint32_t found, size_t expected) {
  if (found != expected)
    fail(SPLAT_INVALID_ARGUMENT,
         "`%s.struct_size` is %u, but ABI %u has %zu: caller and engine were built from different headers", name,
         found, SPLAT_ENGINE_ABI, expected);
}

void required(const char *name, const void *pointer) {
  if (!pointer) fail(SPLAT_INVALID_ARGUMENT, "`%s` is NULL, but it is not optional", name);
}

const float *contiguous(const char *engine, const char *name, const splat_in &input,
                        std::initializer_list<int64_t> shape) {
  const int64_t *size = shape.begin();
  const size_t rank = shape.size();
  int64_t stride[3], step = 1;
  bool same = true;
  for (size_t d = rank; d-- > 0;) {
    stride[d] = step;
    step *= size[d];
    // The stride of a dimension of one element is never used.
    same = same && (size[d] == 1 || input.stride[d] == stride[d]);
  }
  if (step == 0) return input.data;
  required(name, input.data);
  if (!same)
    fail(SPLAT_INVALID_ARGUMENT, "`%s` of shape %s has strides %s, but engine `%s` needs it contiguous: %s", name,
         list(size, rank).c_str(), list(input.stride, rank).c_str(), engine, list(stride, rank).c_str());
  return input.data;
}

Scene read_scene(const char *engine, uint32_t camera_count, const splat_camera *cameras,
                 const splat_gaussians &gaussians, const splat_settings &settings) {
  if (camera_count < 1 || camera_count > 32)
    fail(SPLAT_INVALID_ARGUMENT, "`camera_count` is %u, but must be 1 to 32", camera_count);
  required("cameras", cameras);
  const splat_camera &first = cameras[0];
  for (uint32_t c = 0; c < camera_count; c++) {
    const splat_camera &camera = cameras[c];
    check_size("splat_camera", camera.struct_size, sizeof camera);
    if (camera.width < 1 || camera.height < 1)
      fail(SPLAT_INVALID_ARGUMENT, "the image is %dx%d pixels, but both sides must be at least 1", camera.width,
           camera.height);
    if (camera.width != first.width || camera.height != first.height)
      fail(SPLAT_INVALID_ARGUMENT, "camera %u has %dx%d pixels, but camera 0 has %dx%d: one call, one image size", c,
           camera.width, camera.height, first.width, first.height);
    if (camera.model != SPLAT_PINHOLE && camera.model != SPLAT_ORTHOGRAPHIC)
      fail(SPLAT_INVALID_ARGUMENT, "`model` of camera %u is %d, but ABI %u knows 0 and 1", c, camera.model,
           SPLAT_ENGINE_ABI);
    if (camera.model != first.model)
      fail(SPLAT_INVALID_ARGUMENT, "`model` of camera %u is %d, but of camera 0 %d: one call, one model", c,
           camera.model, first.model);
    positive("tan_fovx", camera.tan_fovx);
    positive("tan_fovy", camera.tan_fovy);
    required("view", camera.view);
    required("proj", camera.proj);
    required("campos", camera.campos);
  }
  check_size("splat_gaussians", gaussians.struct_size, sizeof gaussians);
  check_size("splat_settings", settings.struct_size, sizeof settings);
  const int64_t p = gaussians.count, m = gaussians.sh_coeffs, f = gaussians.feature_count;
  const int64_t most = int64_t(1) << 48;
  if (p < 0 || p > most) fail(SPLAT_INVALID_ARGUMENT, "`count` is %lld, but must be 0 to 2^48", (long long)p);
  if (m < 0 || m > most / 48) fail(SPLAT_INVALID_ARGUMENT, "`sh_coeffs` is %lld, but must be 0 to 2^42", (long long)m);
  if (f < 0 || f > 64) fail(SPLAT_INVALID_ARGUMENT, "`feature_count` is %lld, but must be 0 to 64", (long long)f);
  if (!std::isfinite(settings.scale_modifier))
    fail(SPLAT_INVALID_ARGUMENT, "`scale_modifier` is %g, but must be finite", settings.scale_modifier);
  const uint32_t known = SPLAT_ANTIALIASING | SPLAT_DEBUG | SPLAT_EXACT | SPLAT_RAW | SPLAT_REPRODUCIBLE |
                         SPLAT_FORWARD_ONLY;
  if (settings.flags & ~known)
    fail(SPLAT_INVALID_ARGUMENT, "`settings.flags` is 0x%x, but ABI %u knows 0x%x", settings.flags, SPLAT_ENGINE_ABI,
         known);
  const int32_t degree = settings.sh_degree;
  if (degree < 0 || degree > 3) fail(SPLAT_INVALID_ARGUMENT, "`sh_degree` is %d, but must be 0 to 3", degree);
  exactly_one("`sh` and `colors`", gaussians.sh.data, gaussians.colors.data, p);
  exactly_one("`scales` with `rotations` and `cov3d`", gaussians.scales.data, gaussians.cov3d.data, p);
  if (gaussians.sh.data && p > 0 && int64_t(degree + 1) * (degree + 1) > m)
    fail(SPLAT_INVALID_ARGUMENT, "`sh_degree` %d needs %d coefficients, but `sh` has %lld", degree,
         (degree + 1) * (degree + 1), (long long)m);
  required("background", settings.background);

  Scene scene = {};
  scene.cameras = camera_count;
  scene.camera = cameras;
  scene.count = p;
  scene.coeffs = gaussians.sh.data ? m : 0;
  scene.feature_count = f;
  scene.width = first.width;
  scene.height = first.height;
  scene.sh_degree = degree;
  scene.scale_modifier = settings.scale_modifier;
  scene.flags = settings.flags;
  scene.background = settings.background;
  scene.means3d = contiguous(engine, "means3d", gaussians.means3d, {p, 3});
  scene.opacities = contiguous(engine, "opacities", gaussians.opacities, {p});
  if (gaussians.sh.data) {
    // One coefficient may come with an empty `sh_rest`.
    const bool split = gaussians.sh_rest.data != nullptr && m > 1;
    scene.sh = contiguous(engine, "sh", gaussians.sh, {p, split ? 1 : m, 3});
    if (split) scene.sh_rest = contiguous(engine, "sh_rest", gaussians.sh_rest, {p, m - 1, 3});
  }
  if (gaussians.colors.data) scene.colors = contiguous(engine, "colors", gaussians.colors, {p, 3});
  if (gaussians.scales.data) {
    scene.scales = contiguous(engine, "scales", gaussians.scales, {p, 3});
    scene.rotations = contiguous(engine, "rotations", gaussians.rotations, {p, 4});
  }
  if (gaussians.cov3d.data) scene.cov3d = contiguous(engine, "cov3d", gaussians.cov3d, {p, 6});
  if (f > 0) scene.features = contiguous(engine, "features", gaussians.features, {p, f});
  return scene;
}

void check_context(const char *engine, const splat_context &context) {
  check_size("splat_context", context.struct_size, sizeof context);
  if (!context.alloc)
    fail(SPLAT_INVALID_ARGUMENT, "`context.alloc` is NULL, but engine `%s` allocates nothing itself", engine);
}

}  // namespace splat
