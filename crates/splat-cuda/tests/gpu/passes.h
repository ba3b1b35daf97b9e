// Rendering a scene with an engine, whole or in stages: every output and every gradient, back on the host.
#pragma once

#include <array>

#include "engine.h"
#include "scene.h"

namespace check {

struct Result {
  std::vector<int32_t> radii;
  std::array<std::vector<float>, 8> channel;  // by source
  // means3d, means2d, means2d_abs, opacities, sh, sh_rest, colors, scales, rotations, cov3d, features, background, view
  std::array<std::vector<float>, 13> gradient;
  int64_t rendered = 0, rejected = 0;
};
inline const char *const GRADIENTS[13] = {"means3d", "means2d", "means2d_abs", "opacities", "sh",         "sh_rest", "colors",
                                          "scales",  "rotations", "cov3d",     "features",  "background", "view"};
inline const char *const CHANNELS[8] = {"color",    "inv_depth",  "depth",      "alpha",
                                        "features", "weight_sum", "weight_max", "weight_image"};

struct Options {
  uint32_t channels = 0xff;
  bool absolute = false;          // then at most four image channels may be asked for
  bool backward = true;
  bool original = false;          // no gradients that the original rasterizer has not
  splat_workspace *workspace = nullptr;
  int parts = 1;                  // staged: project this many parts one after the other
  bool own_features = false;      // staged: features per image instead of shared ones
  void *stream = nullptr;
};

// What the stages hand to each other.
struct Records {
  std::vector<splat_record> record;
  std::vector<splat_record_gradient> gradient;
};

// One scene in an engine's memory.
// Where splat_gradients.features stands among the thirteen gradients.
constexpr int FEATURE_GRADIENT = 10;

struct Placed {
  Arena arena;
  const Scene &scene;
  splat_context context{};
  std::vector<splat_camera> cameras;
  splat_gaussians gaussians{};
  splat_settings settings{};
  std::vector<splat_channel> channels;
  std::array<float *, 8> data{};
  std::array<float *, 13> gradient{};
  std::array<size_t, 13> gradient_size{};
  splat_saved saved{};
  splat_gradients gradients{};

  Placed(const Engine &engine, const Scene &s, const Options &o) : arena(engine), scene(s) {
    context.struct_size = sizeof context;
    context.device = engine.gpu ? 0 : -1;
    context.workspace = o.workspace;
    context.stream = o.stream;
    context.alloc = Arena::alloc;
    context.user = &arena;
    const float *view = arena.from(s.view), *proj = arena.from(s.proj), *campos = arena.from(s.campos);
    for (int c = 0; c < s.cameras; c++) {
      splat_camera camera{};
      camera.struct_size = sizeof camera;
      camera.width = s.width, camera.height = s.height, camera.tan_fovx = s.tan_x, camera.tan_fovy = s.tan_y;
      camera.model = s.orthographic ? SPLAT_ORTHOGRAPHIC : SPLAT_PINHOLE;
      camera.view = view + 16 * c, camera.proj = proj + 16 * c, camera.campos = campos + 3 * c;
      cameras.push_back(camera);
    }
    gaussians.struct_size = sizeof gaussians;
    gaussians.count = s.count;
    gaussians.sh_coeffs = s.coeffs;
    gaussians.feature_count = s.features;
    gaussians.means3d = {arena.from(s.means), {3, 1, 0}};
    gaussians.opacities = {arena.from(s.opacities), {1, 0, 0}};
    gaussians.sh = {arena.from(s.sh), {s.split_sh ? 3 : 3 * s.coeffs, 3, 1}};
    gaussians.sh_rest = {arena.from(s.sh_rest), {3 * (s.coeffs - 1), 3, 1}};
    gaussians.colors = {arena.from(s.colors), {3, 1, 0}};
    gaussians.scales = {arena.from(s.scales), {3, 1, 0}};
    gaussians.rotations = {arena.from(s.rotations), {4, 1, 0}};
    gaussians.cov3d = {arena.from(s.cov3d), {6, 1, 0}};
    gaussians.features = {arena.from(s.feature_values), {s.features, 1, 0}};
    settings.struct_size = sizeof settings;
    settings.flags = s.flags;
    settings.background = arena.from({s.background, s.background + 3});
    settings.scale_modifier = s.modifier;
    settings.sh_degree = s.degree;
    Random r{77};
    std::vector<float> error;
    for (int64_t k = 0; k < s.cameras * s.pixels(); k++) error.push_back(r.unit());
    for (uint32_t source = 0; source < 8; source++) {
      if (!(o.channels & engine.capabilities.channels & 1u << source)) continue;
      if (source == SPLAT_FEATURES && s.features == 0) continue;
      splat_channel channel{};
      channel.struct_size = sizeof channel;
      channel.source = source;
      channel.data = data[source] = arena.array<float>(size_of(source));
      if (source == SPLAT_WEIGHT_IMAGE) channel.image = arena.from(error);
      if (source < SPLAT_WEIGHT_SUM) {
        std::vector<float> upstream;
        for (size_t k = 0; k < size_of(source); k++) upstream.push_back(r.normal());
        channel.gradient = arena.from(upstream);
      }
      channels.push_back(channel);
    }
    saved.struct_size = sizeof saved;
    place_gradients(o);
  }

  size_t rows() const { return size_t(scene.count) * scene.cameras; }

  size_t size_of(uint32_t source) const {
    const size_t planes = source == SPLAT_COLOR ? 3 : source == SPLAT_FEATURES ? scene.features : 1;
    return source < SPLAT_WEIGHT_SUM ? planes * scene.cameras * scene.pixels() : rows();
  }

  void place_gradients(const Options &o) {
    const Scene &s = scene;
    const size_t p = s.count, c = s.cameras;
    gradient_size = {3 * p, 3 * c * p, o.absolute ? 2 * c * p : 0, p, s.sh.size(), s.sh_rest.size(), 3 * p,
                     s.scales.size(), s.rotations.size(), 6 * p, s.feature_values.size(), size_t(o.original ? 0 : 3), o.original ? 0 : 16 * c};
    for (int k = 0; k < 13; k++)
      if (gradient_size[k]) gradient[k] = arena.array<float>(gradient_size[k]);
    gradients.struct_size = sizeof gradients;
    float **const to[13] = {&gradients.means3d, &gradients.means2d,   &gradients.means2d_abs, &gradients.opacities,
                            &gradients.sh,      &gradients.sh_rest,   &gradients.colors,      &gradients.scales,
                            &gradients.rotations, &gradients.cov3d,   &gradients.features,    &gradients.background,
                            &gradients.view};
    for (int k = 0; k < 13; k++) *to[k] = gradient[k];
  }

  // The staged backward pass gives the features' gradients apart, per camera: `features_too` is false there.
  void finish(Result &r, bool backward, bool features_too = true) {
    for (uint32_t source = 0; source < 8; source++)
      if (data[source]) r.channel[source] = arena.back(data[source], size_of(source));
    for (int k = 0; k < 13; k++)
      if (backward && gradient[k] && (features_too || k != FEATURE_GRADIENT)) r.gradient[k] = arena.back(gradient[k], gradient_size[k]);
    r.rendered = saved.rendered, r.rejected = saved.rejected;
  }
};

inline Result whole(const Engine &engine, const Scene &scene, const Options &o = {}) {
  Placed p(engine, scene, o);
  Result r;
  int32_t *radii = p.arena.array<int32_t>(p.rows());
  splat_forward_args f{};
  f.struct_size = sizeof f;
  f.camera_count = uint32_t(scene.cameras), f.channel_count = uint32_t(p.channels.size());
  f.context = &p.context, f.cameras = p.cameras.data(), f.gaussians = &p.gaussians, f.settings = &p.settings;
  f.channels = p.channels.data(), f.radii = radii, f.saved = &p.saved;
  engine.ok(engine.raster->forward(&f), scene.name.c_str());
  if (o.backward) {
    splat_backward_args b{};
    b.struct_size = sizeof b;
    b.camera_count = f.camera_count, b.channel_count = f.channel_count, b.context = f.context, b.cameras = f.cameras;
    b.gaussians = f.gaussians, b.settings = f.settings, b.channels = f.channels, b.radii = radii, b.saved = &p.saved;
    b.gradients = &p.gradients;
    engine.ok(engine.raster->backward(&b), scene.name.c_str());
  }
  r.radii = p.arena.back(radii, p.rows());
  p.finish(r, o.backward);
  return r;
}

inline Result staged(const Engine &engine, const Scene &scene, const Options &o = {}, Records *between = nullptr) {
  Placed p(engine, scene, o);
  Result r;
  splat_record *records = p.arena.array<splat_record>(p.rows());
  splat_project_args a{};
  a.struct_size = sizeof a;
  a.camera_count = uint32_t(scene.cameras), a.context = &p.context, a.cameras = p.cameras.data();
  a.settings = &p.settings;
  // In parts, as if other devices had some of the Gaussians; only for one camera, whose records then follow each other.
  for (int part = 0; part < o.parts; part++) {
    const int64_t first = int64_t(scene.count) * part / o.parts, last = int64_t(scene.count) * (part + 1) / o.parts;
    splat_gaussians some = p.gaussians;
    some.count = last - first;
    for (splat_in *in : {&some.means3d, &some.opacities, &some.sh, &some.sh_rest, &some.colors, &some.scales,
                         &some.rotations, &some.cov3d})
      if (in->data) in->data += first * in->stride[0];
    a.gaussians = &some;
    a.records = records + first;
    engine.ok(engine.raster->project(&a), scene.name.c_str());
  }
  splat_rasterize_args t{};
  t.struct_size = sizeof t;
  t.image_count = a.camera_count, t.channel_count = uint32_t(p.channels.size()), t.absolute = o.absolute;
  t.width = scene.width, t.height = scene.height, t.count = scene.count, t.feature_count = scene.features;
  t.context = &p.context, t.settings = &p.settings, t.records = records, t.channels = p.channels.data();
  t.saved = &p.saved;
  const size_t f = scene.feature_values.size();
  if (o.own_features && f) {
    std::vector<float> all;
    for (int c = 0; c < scene.cameras; c++) all.insert(all.end(), scene.feature_values.begin(), scene.feature_values.end());
    t.features = {p.arena.from(all), {int64_t(f), scene.features, 1}};
  } else {
    t.features = {p.gaussians.features.data, {0, scene.features, 1}};
  }
  engine.ok(engine.raster->rasterize(&t), scene.name.c_str());
  if (o.backward) {
    t.record_gradients = p.arena.array<splat_record_gradient>(p.rows());
    t.feature_gradients = f ? p.arena.array<float>(f * scene.cameras) : nullptr;
    t.background_gradient = p.gradients.background;
    engine.ok(engine.raster->rasterize_backward(&t), scene.name.c_str());
    splat_project_backward_args b{};
    b.struct_size = sizeof b;
    b.camera_count = a.camera_count, b.context = &p.context, b.cameras = p.cameras.data(), b.gaussians = &p.gaussians;
    b.settings = &p.settings, b.records = records, b.record_gradients = t.record_gradients;
    splat_gradients some = p.gradients;
    some.features = some.background = nullptr;
    b.gradients = &some;
    engine.ok(engine.raster->project_backward(&b), scene.name.c_str());
  }
  for (const splat_record &record : p.arena.back(records, p.rows())) r.radii.push_back(record.radius);
  if (between) *between = {p.arena.back(records, p.rows()), p.arena.back(t.record_gradients, p.rows())};
  p.finish(r, o.backward, false);
  if (o.backward && f) {
    r.gradient[FEATURE_GRADIENT].resize(f);
    // Summed over the cameras, as the whole pass gives it.
    const std::vector<float> all = p.arena.back(t.feature_gradients, f * scene.cameras);
    for (size_t k = 0; k < f; k++) {
      float sum = 0;
      for (int c = 0; c < scene.cameras; c++) sum += all[f * c + k];
      r.gradient[FEATURE_GRADIENT][k] = sum;
    }
  }
  return r;
}

}  // namespace check
