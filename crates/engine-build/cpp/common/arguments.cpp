// See arguments.h. Texts agree with those of the CPU engine where the mistake is the same.
#include "arguments.h"

#include <cmath>
#include <string>

#include "status.h"

namespace splat {
inline namespace SPLAT_COPY {
namespace {

constexpr const char *SOURCE_NAMES[Channels::SOURCES] = {"color",    "inv_depth",  "depth",      "alpha",
                                                         "features", "weight_sum", "weight_max", "weight_image"};

std::string list(const int64_t *values, size_t n) {
  std::string text = "[";
  for (size_t i = 0; i < n; i++) text += (i ? "," : "") + std::to_string(values[i]);
  return text + "]";
}

// Exactly one of two; without Gaussians both may be absent.
void exactly_one(const char *names, bool first, bool second, int64_t count) {
  if (count > 0 && first == second)
    fail(SPLAT_INVALID_ARGUMENT, "exactly one of %s is needed, but %s given", names, first ? "both are" : "none is");
}

void positive(const char *name, float value) {
  if (!(value > 0) || !std::isfinite(value))
    fail(SPLAT_INVALID_ARGUMENT, "`%s` is %g, but must be positive and finite", name, value);
}

void read_cameras(Scene &scene, const splat_camera *cameras) {
  for (uint32_t c = 0; c < scene.cameras; c++) {
    const splat_camera camera = read_element(cameras, c, "splat_camera");
    scene.camera[c] = camera;
    const splat_camera &first = scene.camera[0];
    check_image(camera.width, camera.height);
    if (camera.width != first.width || camera.height != first.height)
      fail(SPLAT_INVALID_ARGUMENT,
           "camera %u has %dx%d pixels, but camera 0 has %dx%d: all images of a call have one size", c, camera.width,
           camera.height, first.width, first.height);
    if (camera.model != SPLAT_PINHOLE && camera.model != SPLAT_ORTHOGRAPHIC)
      fail(SPLAT_INVALID_ARGUMENT, "`model` of camera %u is %d, but ABI %u knows 0 and 1", c, camera.model,
           unsigned(SPLAT_ENGINE_ABI));
    if (camera.model != first.model)
      fail(SPLAT_INVALID_ARGUMENT, "`model` of camera %u is %d, but of camera 0 %d: all cameras of a call have one model",
           c, camera.model, first.model);
    positive("tan_fovx", camera.tan_fovx);
    positive("tan_fovy", camera.tan_fovy);
    required("view", camera.view);
    required("proj", camera.proj);
    required("campos", camera.campos);
  }
  scene.width = scene.camera[0].width;
  scene.height = scene.camera[0].height;
}

}  // namespace

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

void check_image(int32_t width, int32_t height) {
  if (width < 1 || height < 1)
    fail(SPLAT_INVALID_ARGUMENT, "the image is %dx%d pixels, but both sides must be at least 1", width, height);
}

splat_settings read_settings(const splat_settings *from, bool background) {
  const splat_settings settings = read(from, "splat_settings");
  if (!std::isfinite(settings.scale_modifier))
    fail(SPLAT_INVALID_ARGUMENT, "`scale_modifier` is %g, but must be finite", settings.scale_modifier);
  const uint32_t known = SPLAT_ANTIALIASING | SPLAT_DEBUG | SPLAT_EXACT | SPLAT_RAW | SPLAT_REPRODUCIBLE |
                         SPLAT_FORWARD_ONLY;
  if (settings.flags & ~known)
    fail(SPLAT_INVALID_ARGUMENT, "`settings.flags` is 0x%x, but ABI %u knows 0x%x", settings.flags,
         unsigned(SPLAT_ENGINE_ABI), known);
  if (settings.sh_degree < 0 || settings.sh_degree > SPLAT_MAX_SH_DEGREE)
    fail(SPLAT_INVALID_ARGUMENT, "`sh_degree` is %d, but must be 0 to %d", settings.sh_degree, SPLAT_MAX_SH_DEGREE);
  if (background) required("background", settings.background);
  return settings;
}

Scene read_scene(const char *engine, uint32_t camera_count, const splat_camera *cameras, const splat_gaussians *from,
                 const splat_settings *given_settings, Reads reads) {
  if (camera_count < 1 || camera_count > SPLAT_MAX_CAMERAS)
    fail(SPLAT_INVALID_ARGUMENT, "`camera_count` is %u, but must be 1 to %d", camera_count, SPLAT_MAX_CAMERAS);
  Scene scene = {};
  scene.cameras = camera_count;
  read_cameras(scene, cameras);
  const splat_gaussians gaussians = read(from, "splat_gaussians");
  const int64_t p = gaussians.count, m = gaussians.sh_coeffs, f = reads.features ? gaussians.feature_count : 0;
  const int64_t most = int64_t(1) << 48;
  if (p < 0 || p > most) fail(SPLAT_INVALID_ARGUMENT, "`count` is %lld, but must be 0 to 2^48", (long long)p);
  if (m < 0 || m > most / 48) fail(SPLAT_INVALID_ARGUMENT, "`sh_coeffs` is %lld, but must be 0 to 2^42", (long long)m);
  if (f < 0 || f > SPLAT_MAX_FEATURES)
    fail(SPLAT_INVALID_ARGUMENT, "`feature_count` is %lld, but must be 0 to %d", (long long)f, SPLAT_MAX_FEATURES);
  const splat_settings settings = read_settings(given_settings, reads.background);
  const int32_t degree = settings.sh_degree;
  exactly_one("`sh` and `colors`", gaussians.sh.data, gaussians.colors.data, p);
  exactly_one("`scales` with `rotations` and `cov3d`", gaussians.scales.data, gaussians.cov3d.data, p);
  if (gaussians.sh.data && p > 0 && int64_t(degree + 1) * (degree + 1) > m)
    fail(SPLAT_INVALID_ARGUMENT, "`sh_degree` %d needs %d coefficients, but `sh` has %lld", degree,
         (degree + 1) * (degree + 1), (long long)m);

  scene.count = p;
  scene.coeffs = gaussians.sh.data ? m : 0;
  scene.feature_count = f;
  scene.sh_degree = degree;
  scene.scale_modifier = settings.scale_modifier;
  scene.flags = settings.flags;
  scene.background = settings.background;
  scene.means3d = contiguous(engine, "means3d", gaussians.means3d, {p, 3});
  scene.opacities = contiguous(engine, "opacities", gaussians.opacities, {p});
  if (gaussians.sh.data) {
    // One coefficient may come with an empty `sh_rest`.
    const bool half = gaussians.sh_rest16 != nullptr && m > 1;
    if (half && !reads.sh_rest16)
      fail(SPLAT_UNSUPPORTED, "`sh_rest16` is given, but engine `%s` does not read SH in 16 bits", engine);
    if (half && gaussians.sh_rest.data)
      fail(SPLAT_INVALID_ARGUMENT, "at most one of `sh_rest` and `sh_rest16` is needed, but both are given");
    if (reinterpret_cast<uintptr_t>(gaussians.sh_rest16) % 16 != 0)
      fail(SPLAT_INVALID_ARGUMENT, "`sh_rest16` is at address 0x%llx, but must be at a multiple of 16",
           (unsigned long long)reinterpret_cast<uintptr_t>(gaussians.sh_rest16));
    const bool split = half || (gaussians.sh_rest.data != nullptr && m > 1);
    scene.sh = contiguous(engine, "sh", gaussians.sh, {p, split ? 1 : m, 3});
    if (half)
      scene.sh_rest16 = gaussians.sh_rest16;
    else if (split) scene.sh_rest = contiguous(engine, "sh_rest", gaussians.sh_rest, {p, m - 1, 3});
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

splat_context read_context(const char *engine, const splat_context *from) {
  const splat_context context = read(from, "splat_context");
  if (!context.alloc)
    fail(SPLAT_INVALID_ARGUMENT, "`context.alloc` is NULL, but engine `%s` allocates nothing itself", engine);
  return context;
}

uint32_t Channels::mask() const {
  uint32_t bits = 0;
  for (uint32_t source = 0; source < SOURCES; source++) bits |= listed[source] ? 1u << source : 0;
  return bits;
}

Channels read_channels(const char *engine, uint32_t offered, Pass pass, uint32_t count, const splat_channel *first,
                       int64_t gaussians, int64_t feature_count) {
  Channels channels = {};
  if (count > Channels::SOURCES)
    fail(SPLAT_INVALID_ARGUMENT, "`channel_count` is %u, but there are %u sources, and each may be listed once", count,
         Channels::SOURCES);
  for (uint32_t k = 0; k < count; k++) {
    const splat_channel channel = read_element(first, k, "splat_channel");
    const uint32_t source = channel.source;
    if (source >= Channels::SOURCES)
      fail(SPLAT_UNSUPPORTED, "`source` of channel %u is %u, but ABI %u knows 0 to %u", k, source,
           unsigned(SPLAT_ENGINE_ABI), Channels::SOURCES - 1);
    const char *name = SOURCE_NAMES[source];
    if (!(offered >> source & 1)) fail(SPLAT_UNSUPPORTED, "engine `%s` has no channel `%s`", engine, name);
    if (channels.listed[source])
      fail(SPLAT_INVALID_ARGUMENT, "channel `%s` is listed twice, but may be listed once", name);
    const bool per_gaussian = source >= SPLAT_WEIGHT_SUM;
    if (source == SPLAT_FEATURES && feature_count == 0)
      fail(SPLAT_INVALID_ARGUMENT, "channel `features` is listed, but `feature_count` is 0");
    if (source == SPLAT_WEIGHT_IMAGE ? !channel.image && pass == Pass::FORWARD : channel.image != nullptr)
      fail(SPLAT_INVALID_ARGUMENT, "`image` of channel `%s` is %s", name,
           channel.image ? "given, but only `weight_image` has one" : "NULL, but it is what the weights are summed with");
    if (pass == Pass::FORWARD && !channel.data && (!per_gaussian || gaussians > 0))
      fail(SPLAT_INVALID_ARGUMENT, "`data` of channel `%s` is NULL, but the forward pass writes it", name);
    if (pass == Pass::BACKWARD && per_gaussian && channel.gradient)
      fail(SPLAT_INVALID_ARGUMENT, "there is a gradient for channel `%s`, but channels per Gaussian have none", name);
    channels.listed[source] = true;
    channels.data[source] = channel.data;
    channels.gradient[source] = channel.gradient;
    if (source == SPLAT_WEIGHT_IMAGE) channels.image = channel.image;
  }
  return channels;
}

}  // namespace SPLAT_COPY
}  // namespace splat
