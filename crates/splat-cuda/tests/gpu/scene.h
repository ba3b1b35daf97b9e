// Scenes: Gaussians, cameras and settings from a seed, on the host.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "splat_engine.h"

namespace check {

struct Random {
  uint64_t state;
  float unit() {  // [0, 1)
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return float(uint32_t(state >> 40)) / 16777216.f;
  }
  float normal() {
    const float a = unit(), b = unit();
    return std::sqrt(-2.f * std::log(1.f - a)) * std::cos(6.2831853f * b);
  }
};

struct Scene {
  std::string name;
  int count = 0, cameras = 1, width = 100, height = 75, degree = 3, coeffs = 16, features = 0;
  uint32_t flags = 0;
  bool ill = false;  // beyond what f32 can resolve: only what both passes of one engine draw is compared
  bool orthographic = false, split_sh = false, by_color = false, by_covariance = false;
  std::vector<float> means, opacities, sh, sh_rest, colors, scales, rotations, cov3d, feature_values;
  std::vector<float> view, proj, campos;  // per camera
  float tan_x = 0.6f, tan_y = 0.45f, modifier = 1.f;
  float background[3] = {0.1f, 0.4f, 0.8f};

  int64_t pixels() const { return int64_t(width) * height; }
};

// Column-major, as the header has it.
inline void camera(Scene &s, float turn, float shift) {
  const float c = std::cos(turn), n = std::sin(turn);
  // Looks along +z, turned about y.
  const float view[16] = {c, 0, n, 0, 0, 1, 0, 0, -n, 0, c, 0, shift, 0, 0.2f, 1};
  float proj[16] = {};
  const float near = 0.01f, far = 100.f;
  float p[16] = {};
  p[0] = 1.f / s.tan_x, p[5] = 1.f / s.tan_y;
  if (s.orthographic) {
    p[10] = 1.f / (far - near), p[14] = -near / (far - near), p[15] = 1.f;
  } else {
    p[8] = 0.03f, p[10] = far / (far - near), p[11] = 1.f, p[14] = -far * near / (far - near);
  }
  for (int column = 0; column < 4; column++)
    for (int row = 0; row < 4; row++)
      for (int k = 0; k < 4; k++) proj[4 * column + row] += p[4 * k + row] * view[4 * column + k];
  s.view.insert(s.view.end(), view, view + 16);
  s.proj.insert(s.proj.end(), proj, proj + 16);
  // -R^T t
  const float t[3] = {view[12], view[13], view[14]};
  for (int k = 0; k < 3; k++)
    s.campos.push_back(-(view[4 * k] * t[0] + view[4 * k + 1] * t[1] + view[4 * k + 2] * t[2]));
}

// Fills what `s` asks for: `count` Gaussians of about `size` world units in front of the cameras.
inline Scene filled(Scene s, float size, uint64_t seed = 1) {
  Random r{seed * 977 + 5};
  if (s.orthographic) s.tan_x = 2.f, s.tan_y = 1.5f;
  for (int c = 0; c < s.cameras; c++) camera(s, 0.15f * float(c), 0.1f * float(c));
  const bool raw = s.flags & SPLAT_RAW;
  for (int i = 0; i < s.count; i++) {
    s.means.insert(s.means.end(), {2.f * r.normal(), 1.2f * r.normal(), 6.f + 2.f * r.normal()});
    const float logit = 2.f * r.normal();
    s.opacities.push_back(raw ? logit : 1.f / (1.f + std::exp(-logit)));
    float scale[3], q[4], length = 0;
    for (float &v : scale) v = size * std::exp(0.7f * r.normal());
    for (float &v : q) v = r.normal(), length += v * v;
    for (float &v : q) v /= raw ? 1.f : std::sqrt(length);
    for (float v : scale) s.scales.push_back(raw ? std::log(v) : v);
    s.rotations.insert(s.rotations.end(), q, q + 4);
    if (s.by_covariance) {
      // A diagonal one, tilted a little.
      const float a = scale[0] * scale[0], b = scale[1] * scale[1], c = scale[2] * scale[2];
      s.cov3d.insert(s.cov3d.end(), {a, 0.3f * scale[0] * scale[1], 0.f, b, -0.2f * scale[1] * scale[2], c});
    }
    for (int k = 0; k < 3; k++) s.colors.push_back(r.unit());
    for (int k = 0; k < 3 * s.coeffs; k++) {
      const float v = (k < 3 ? 1.f : 0.2f) * r.normal();
      (s.split_sh && k >= 3 ? s.sh_rest : s.sh).push_back(v);
    }
    for (int k = 0; k < s.features; k++) s.feature_values.push_back(r.normal());
  }
  if (s.by_covariance) s.scales.clear(), s.rotations.clear();
  if (s.by_color) s.sh.clear(), s.sh_rest.clear(), s.coeffs = 0, s.degree = 0;
  if (!s.by_color) s.colors.clear();
  return s;
}

}  // namespace check
