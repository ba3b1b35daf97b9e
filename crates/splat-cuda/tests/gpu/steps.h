// A backward pass that ends in a step, in every storage, and the same in two calls: `backward` and `adam`.
#pragma once

#include "passes.h"

namespace check {

constexpr int TARGETS = SPLAT_STEP_TARGETS;
inline const char *const TARGET_NAMES[TARGETS] = {"means3d", "sh", "sh_rest", "opacities", "scales", "rotations"};

struct StepOptions {
  uint32_t storage = SPLAT_STORE_FULL;  // of sh_rest; the others are whole with FULL, and in 16 bits otherwise
  bool staged = false, visible_only = false, fused = true;
};

// Parameters and moments, widened, by target; and the gradient of the projected centres.
struct Stepped {
  std::array<std::vector<float>, TARGETS> param, first, second;
  std::vector<float> means2d;
};

inline int columns16(int width) { return (width + 15) / 16 * 16; }

inline float widened(uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const float magnitude = exponent ? std::ldexp(1024.f + mantissa, exponent - 25) : std::ldexp(float(mantissa), -24);
  return half & 0x8000 ? -magnitude : magnitude;
}

inline float from_bfloat(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}

// Any memory as its type.
template <typename T>
T *place(Arena &arena, const std::vector<T> &values) {
  T *to = arena.array<T>(values.size());
  if (!values.empty()) arena.engine.copy(to, values.data(), values.size() * sizeof(T));
  return to;
}

// One target's memory. Everything begins with moments as after some steps, so that rows without a gradient move too.
struct Group {
  int width = 0, columns = 0;
  uint32_t storage = SPLAT_STORE_FULL;
  size_t rows = 0;
  void *param = nullptr, *first = nullptr, *second = nullptr;
  float *units = nullptr;

  void begin(Arena &arena, float *given, const std::vector<float> &values, size_t count, int numbers, uint32_t stored) {
    rows = count, width = numbers, storage = stored, columns = stored == SPLAT_STORE_COMPACT ? columns16(width) : width;
    const size_t n = rows * columns;
    Random r{31};
    std::vector<float> m(n), v(n), u;
    for (size_t k = 0; k < n; k++) m[k] = 1e-3f * r.normal(), v[k] = 1e-6f * (0.1f + r.unit());
    param = given;
    if (stored == SPLAT_STORE_FULL) {
      first = arena.from(m), second = arena.from(v);
    } else if (stored == SPLAT_STORE_HALF) {
      std::vector<uint16_t> a(n), b(n);
      for (size_t k = 0; k < n; k++) {
        const float root = std::sqrt(v[k]);
        uint32_t bits;
        std::memcpy(&bits, &m[k], 4), a[k] = uint16_t(bits >> 16);
        std::memcpy(&bits, &root, 4), b[k] = uint16_t(bits >> 16);
      }
      first = place(arena, a), second = place(arena, b);
    } else {
      std::vector<uint16_t> half(n);
      std::vector<int8_t> a(n);
      std::vector<uint8_t> b(n);
      for (size_t row = 0; row < rows; row++)
        for (int k = 0; k < width; k++) {
          // To a multiple of 2^-10, which 16 bits hold.
          const float x = values[row * width + k];
          const int q = int(std::lround(std::fabs(x) * 1024.f)), top = q ? int(std::log2(float(q))) : 0;
          const uint16_t bits = q == 0 ? 0 : top <= 10 ? uint16_t((top + 5) << 10 | ((q << (10 - top)) & 1023))
                                                       : uint16_t((top + 5) << 10 | ((q >> (top - 10)) & 1023));
          half[row * columns + k] = uint16_t(bits | (x < 0 ? 0x8000 : 0));
          a[row * columns + k] = int8_t(k == 0 ? 127 : int(r.unit() * 254.f) - 127);
          b[row * columns + k] = uint8_t(k == 1 ? 255 : 1 + int(r.unit() * 254.f));
        }
      for (size_t row = 0; row < rows; row++) u.push_back(1e-5f * (0.5f + r.unit())), u.push_back(1e-5f);
      param = place(arena, half), first = place(arena, a), second = place(arena, b), units = arena.from(u);
    }
  }

  void back(Arena &arena, std::vector<float> &p, std::vector<float> &m, std::vector<float> &v) const {
    const size_t n = rows * columns;
    if (storage == SPLAT_STORE_FULL) {
      m = arena.back(static_cast<float *>(first), n), v = arena.back(static_cast<float *>(second), n);
    } else if (storage == SPLAT_STORE_HALF) {
      for (uint16_t x : arena.back(static_cast<uint16_t *>(first), n)) m.push_back(from_bfloat(x));
      for (uint16_t x : arena.back(static_cast<uint16_t *>(second), n)) v.push_back(from_bfloat(x));
    }
    if (storage != SPLAT_STORE_COMPACT) {
      p = arena.back(static_cast<float *>(param), n);
      return;
    }
    const auto a = arena.back(static_cast<int8_t *>(first), n);
    const auto b = arena.back(static_cast<uint8_t *>(second), n);
    const auto half = arena.back(static_cast<uint16_t *>(param), n);
    const auto u = arena.back(units, 2 * rows);
    for (size_t k = 0; k < n; k++) {
      const size_t row = k / columns;
      p.push_back(widened(half[k])), m.push_back(a[k] * u[2 * row]), v.push_back(b[k] * u[2 * row + 1]);
    }
  }
};

inline Stepped stepped(const Engine &engine, const Scene &scene, const StepOptions &with) {
  Options o;
  o.channels = 1u << SPLAT_COLOR | 1u << SPLAT_INV_DEPTH;
  Placed p(engine, scene, o);
  const size_t rows = size_t(scene.count);
  const std::vector<float> *values[TARGETS] = {&scene.means, &scene.sh, &scene.sh_rest, &scene.opacities, &scene.scales, &scene.rotations};
  const float *inputs[TARGETS] = {p.gaussians.means3d.data, p.gaussians.sh.data, p.gaussians.sh_rest.data,
                                  p.gaussians.opacities.data, p.gaussians.scales.data, p.gaussians.rotations.data};
  const int widths[TARGETS] = {3, 3, 3 * (scene.coeffs - 1), 1, 3, 4};
  const float rates[TARGETS] = {1e-3f, 2e-3f, 1e-3f, 2e-2f, 5e-3f, 2e-3f};
  Group groups[TARGETS];
  for (int t = 0; t < TARGETS; t++) {
    const uint32_t stored = with.storage == SPLAT_STORE_FULL ? SPLAT_STORE_FULL
                            : t == SPLAT_STEP_SH_REST        ? with.storage
                                                             : uint32_t(SPLAT_STORE_HALF);
    groups[t].begin(p.arena, const_cast<float *>(inputs[t]), *values[t], rows, widths[t], stored);
  }
  if (with.storage == SPLAT_STORE_COMPACT)
    p.gaussians.sh_rest = {}, p.gaussians.sh_rest16 = static_cast<uint16_t *>(groups[SPLAT_STEP_SH_REST].param);

  int32_t *radii = p.arena.array<int32_t>(p.rows());
  splat_forward_args f{};
  f.struct_size = sizeof f;
  f.camera_count = uint32_t(scene.cameras), f.channel_count = uint32_t(p.channels.size());
  f.context = &p.context, f.cameras = p.cameras.data(), f.gaussians = &p.gaussians, f.settings = &p.settings;
  f.channels = p.channels.data(), f.radii = radii, f.saved = &p.saved;
  engine.ok(engine.raster->forward(&f), scene.name.c_str());
  splat_gradients wanted{};
  wanted.struct_size = sizeof wanted;
  wanted.means2d = p.gradients.means2d;
  splat_backward_args b{};
  b.struct_size = sizeof b;
  b.camera_count = f.camera_count, b.channel_count = f.channel_count, b.context = f.context, b.cameras = f.cameras;
  b.gaussians = f.gaussians, b.settings = f.settings, b.channels = f.channels, b.radii = radii, b.saved = &p.saved;
  b.gradients = with.fused ? &wanted : &p.gradients;
  splat_project_backward_args pb{};
  if (with.staged) {
    splat_record *records = p.arena.array<splat_record>(p.rows());
    splat_project_args a{};
    a.struct_size = sizeof a;
    a.camera_count = f.camera_count, a.context = f.context, a.cameras = f.cameras, a.gaussians = f.gaussians;
    a.settings = f.settings, a.records = records;
    engine.ok(engine.raster->project(&a), scene.name.c_str());
    splat_rasterize_args t{};
    t.struct_size = sizeof t;
    t.image_count = a.camera_count, t.channel_count = f.channel_count, t.width = scene.width, t.height = scene.height;
    t.count = scene.count, t.context = f.context, t.settings = f.settings, t.records = records, t.channels = f.channels;
    t.saved = &p.saved, t.record_gradients = p.arena.array<splat_record_gradient>(p.rows());
    engine.ok(engine.raster->rasterize(&t), scene.name.c_str());
    engine.ok(engine.raster->rasterize_backward(&t), scene.name.c_str());
    pb.struct_size = sizeof pb;
    pb.camera_count = a.camera_count, pb.context = f.context, pb.cameras = f.cameras, pb.gaussians = f.gaussians;
    pb.settings = f.settings, pb.records = records, pb.record_gradients = t.record_gradients, pb.gradients = &wanted;
  }
  constexpr int64_t STEP = 7;
  if (with.fused) {
    splat_step_group each[TARGETS] = {};
    for (int t = 0; t < TARGETS; t++) {
      splat_step_group &g = each[t];
      g.struct_size = sizeof g, g.target = uint32_t(t), g.storage = groups[t].storage;
      g.param = groups[t].param, g.exp_avg = groups[t].first, g.exp_avg_sq = groups[t].second, g.units = groups[t].units;
      g.step = STEP, g.lr = rates[t], g.beta1 = 0.9f, g.beta2 = 0.999f, g.eps = 1e-15f;
    }
    splat_step_args s{};
    s.struct_size = sizeof s;
    s.group_count = TARGETS, s.groups = each, s.visible_only = with.visible_only, s.seed = 5;
    if (with.staged)
      s.project_backward = &pb;
    else
      s.backward = &b;
    engine.ok(engine.optimize->backward_step(&s), scene.name.c_str());
  } else {
    engine.ok(engine.raster->backward(&b), scene.name.c_str());
    const int gradients[TARGETS] = {0, 4, 5, 3, 7, 8};  // their places in GRADIENTS
    splat_adam_group each[TARGETS] = {};
    for (int t = 0; t < TARGETS; t++) {
      splat_adam_group &g = each[t];
      g.struct_size = sizeof g, g.param = static_cast<float *>(groups[t].param), g.grad = p.gradient[gradients[t]];
      g.exp_avg = static_cast<float *>(groups[t].first), g.exp_avg_sq = static_cast<float *>(groups[t].second);
      g.width = widths[t], g.step = STEP, g.lr = rates[t], g.beta1 = 0.9f, g.beta2 = 0.999f, g.eps = 1e-15f;
    }
    splat_adam_args a{};
    a.struct_size = sizeof a;
    a.group_count = TARGETS, a.context = &p.context, a.rows = scene.count, a.groups = each;
    // One camera: its radii say which rows are visible.
    if (with.visible_only) a.visible = radii;
    engine.ok(engine.optimize->adam(&a), scene.name.c_str());
  }
  Stepped r;
  for (int t = 0; t < TARGETS; t++) groups[t].back(p.arena, r.param[t], r.first[t], r.second[t]);
  r.means2d = p.arena.back(wanted.means2d, 3 * p.rows());
  return r;
}

}  // namespace check
