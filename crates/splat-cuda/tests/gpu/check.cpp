// Checks of a built engine library on its device, beyond what the workspace's tests do: whole passes against stages,
// weights per Gaussian, repeated runs, workspaces, scenes made to break things; against a second engine if one is named.
// Small scenes, so that all of it also runs under compute-sanitizer. run.sh compiles and runs it.
//
//   check [--few] [--no-poison] [--steps] libsplat_cuda.so [libsplat_cpu.so]
//   check --time libsplat_cuda.so
//
// Prints a line per case and "N cases, M failed"; exit code 0 only if none failed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "steps.h"

namespace check {
namespace {

int cases = 0, failed = 0;

struct Verdict {
  std::string text;
  bool bad = false;

  void add(const char *what, double value, double limit) {
    if (value <= limit) return;
    char line[160];
    std::snprintf(line, sizeof line, " %s=%.2e(>%.0e)", what, value, limit);
    text += line, bad = true;
  }
};

double relative_l2(const std::vector<float> &a, const std::vector<float> &b) {
  if (a.size() != b.size()) return 1e30;
  double difference = 0, norm = 0;
  for (size_t k = 0; k < a.size(); k++) {
    if (!std::isfinite(a[k]) || !std::isfinite(b[k])) return 1e30;
    difference += (double(a[k]) - b[k]) * (double(a[k]) - b[k]), norm += double(b[k]) * b[k];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

template <typename T>
double different(const std::vector<T> &a, const std::vector<T> &b) {
  if (a.size() != b.size()) return 1e30;
  size_t count = 0;
  for (size_t k = 0; k < a.size(); k++) count += std::memcmp(&a[k], &b[k], sizeof(T)) != 0;
  return double(count);
}

// Share of the numbers that differ by more than a rounding of the image's values.
double share_over(const std::vector<float> &a, const std::vector<float> &b, double limit) {
  if (a.size() != b.size()) return 1e30;
  size_t count = 0;
  for (size_t k = 0; k < a.size(); k++) count += !(std::fabs(double(a[k]) - b[k]) <= limit * std::max(1.0, std::fabs(double(b[k]))));
  return a.empty() ? 0 : double(count) / double(a.size());
}

// Bits that must agree: images, radii, and weights if they too are reproducible.
Verdict same_images(const Result &a, const Result &b, bool weights_too) {
  Verdict v;
  v.add("radii", different(a.radii, b.radii), 0);
  for (uint32_t s = 0; s < (weights_too ? 8u : 5u); s++) v.add(CHANNELS[s], different(a.channel[s], b.channel[s]), 0);
  v.add(CHANNELS[SPLAT_WEIGHT_MAX], different(a.channel[SPLAT_WEIGHT_MAX], b.channel[SPLAT_WEIGHT_MAX]), 0);
  return v;
}

void near_weights(Verdict &v, const Result &a, const Result &b, double limit) {
  for (uint32_t s = SPLAT_WEIGHT_SUM; s <= SPLAT_WEIGHT_IMAGE; s++)
    v.add(CHANNELS[s], relative_l2(a.channel[s], b.channel[s]), limit);
}

void near_gradients(Verdict &v, const Result &a, const Result &b, double limit) {
  for (int k = 0; k < 13; k++) v.add(GRADIENTS[k], relative_l2(a.gradient[k], b.gradient[k]), limit);
}

void report(const std::string &name, const Verdict &v) {
  cases++, failed += v.bad;
  std::printf("%s %s%s\n", v.bad ? "FAILED" : "ok    ", name.c_str(), v.text.c_str());
  std::fflush(stdout);
}

constexpr uint32_t IMAGES = 0x1f, WEIGHTS = 0xe0, COLOR = 1u << SPLAT_COLOR, ALPHA = 1u << SPLAT_ALPHA;

void against_itself(const Engine &e, const Scene &s, const Options &o) {
  const Result a = whole(e, s, o), b = staged(e, s, o);
  Verdict v = same_images(b, a, s.flags & SPLAT_REPRODUCIBLE);
  near_weights(v, b, a, 1e-5);
  if (!s.ill) near_gradients(v, b, a, 2e-5);
  v.add("rendered", double(std::llabs(a.rendered - b.rendered)), 0);
  report(s.name + ": whole and staged", v);
}

void against_reference(const Engine &e, const Engine &reference, const Scene &s, const Options &o) {
  const Result a = whole(e, s, o), b = whole(reference, s, o);
  Verdict v;
  size_t radii = 0;
  for (size_t k = 0; k < a.radii.size(); k++) radii += std::abs(a.radii[k] - b.radii[k]) > 1;
  if (!s.ill) v.add("radii", double(radii), 0);
  // A pixel at a threshold may fall on its other side.
  for (uint32_t c = 0; c < 5; c++) v.add(CHANNELS[c], share_over(a.channel[c], b.channel[c], 1e-3), 1e-3);
  if (!s.ill) {
    near_weights(v, a, b, 1e-3);
    v.add(CHANNELS[SPLAT_WEIGHT_MAX], relative_l2(a.channel[SPLAT_WEIGHT_MAX], b.channel[SPLAT_WEIGHT_MAX]), 1e-3);
    near_gradients(v, a, b, 2e-3);
  }
  report(s.name + ": against " + reference.capabilities.name, v);
}

// The members of records and of their gradients mean the same in both engines.
void records_against_reference(const Engine &e, const Engine &reference, const Scene &s) {
  Options o;
  o.absolute = true, o.channels = COLOR | 1u << SPLAT_INV_DEPTH | ALPHA;
  Records a, b;
  staged(e, s, o, &a), staged(reference, s, o, &b);
  Verdict v;
  const auto near = [&](const char *name, const auto &from_a, const auto &from_b, auto member, double limit) {
    std::vector<float> x, y;
    for (size_t k = 0; k < from_a.size(); k++) x.push_back(member(from_a[k])), y.push_back(member(from_b[k]));
    v.add(name, relative_l2(x, y), limit);
  };
  using R = splat_record;
  near("x", a.record, b.record, [](const R &r) { return r.x; }, 1e-5);
  near("y", a.record, b.record, [](const R &r) { return r.y; }, 1e-5);
  near("xx", a.record, b.record, [](const R &r) { return r.inv_cov[0]; }, 1e-4);
  near("xy", a.record, b.record, [](const R &r) { return r.inv_cov[1]; }, 1e-4);
  near("yy", a.record, b.record, [](const R &r) { return r.inv_cov[2]; }, 1e-4);
  near("opacity", a.record, b.record, [](const R &r) { return r.opacity; }, 1e-5);
  near("depth", a.record, b.record, [](const R &r) { return r.depth; }, 1e-5);
  near("green", a.record, b.record, [](const R &r) { return r.color[1]; }, 1e-5);
  near("half_x", a.record, b.record, [](const R &r) { return r.half_x; }, 2e-2);
  using G = splat_record_gradient;
  near("d/dx", a.gradient, b.gradient, [](const G &g) { return g.x; }, 2e-3);
  near("d/dy", a.gradient, b.gradient, [](const G &g) { return g.y; }, 2e-3);
  near("d/dxx", a.gradient, b.gradient, [](const G &g) { return g.inv_cov[0]; }, 2e-3);
  near("d/dxy", a.gradient, b.gradient, [](const G &g) { return g.inv_cov[1]; }, 2e-3);
  near("d/dyy", a.gradient, b.gradient, [](const G &g) { return g.inv_cov[2]; }, 2e-3);
  near("d/dopacity", a.gradient, b.gradient, [](const G &g) { return g.opacity; }, 2e-3);
  near("d/ddepth", a.gradient, b.gradient, [](const G &g) { return g.depth; }, 2e-3);
  near("d/dgreen", a.gradient, b.gradient, [](const G &g) { return g.color[1]; }, 2e-3);
  near("|d/dx|", a.gradient, b.gradient, [](const G &g) { return g.abs_x; }, 2e-3);
  near("|d/dy|", a.gradient, b.gradient, [](const G &g) { return g.abs_y; }, 2e-3);
  report(s.name + ": records against " + reference.capabilities.name, v);
}

void repeated(const Engine &e, Scene s, const Options &o) {
  s.flags |= SPLAT_REPRODUCIBLE;
  for (const bool in_stages : {false, true}) {
    const auto run = [&] { return in_stages ? staged(e, s, o) : whole(e, s, o); };
    const Result a = run(), b = run();
    Verdict v = same_images(a, b, true);
    for (int k = 0; k < 13; k++) v.add(GRADIENTS[k], different(a.gradient[k], b.gradient[k]), 0);
    report(s.name + (in_stages ? ": staged, twice" : ": whole, twice"), v);
  }
}

void with_workspace(const Engine &e, const Scene &s, Options o) {
  const Result exact = whole(e, s, o);
  splat_workspace *workspace = nullptr;
  e.ok(e.raster->workspace_new(0, &workspace), "workspace_new");
  o.workspace = workspace;
  for (const bool in_stages : {false, true, false}) {
    const Result r = in_stages ? staged(e, s, o) : whole(e, s, o);
    Verdict v = same_images(r, exact, false);
    near_weights(v, r, exact, 1e-5);
    near_gradients(v, r, exact, 2e-5);
    v.add("rendered is known", r.rendered != -1, 0);
    report(s.name + (in_stages ? ": staged with a workspace" : ": whole with a workspace"), v);
  }
  e.raster->workspace_free(workspace);
}

// The sum of every image's weights is its alpha, in another order; weights times an image of ones are the weights.
void weights_and_alpha(const Engine &e, const Scene &s, uint32_t extra) {
  Options o;
  o.channels = ALPHA | WEIGHTS | extra, o.backward = false;
  Scene t = s;
  t.flags |= SPLAT_FORWARD_ONLY;
  const Result r = whole(e, t, o);
  Verdict v;
  for (int c = 0; c < s.cameras; c++) {
    double alpha = 0, weights = 0;
    for (int64_t k = 0; k < s.pixels(); k++) alpha += r.channel[SPLAT_ALPHA][c * s.pixels() + k];
    for (int i = 0; i < s.count; i++) {
      const size_t row = size_t(c) * s.count + i;
      const double sum = r.channel[SPLAT_WEIGHT_SUM][row], most = r.channel[SPLAT_WEIGHT_MAX][row];
      weights += sum;
      v.add("max over sum", most > sum * 1.00001, 0);
      v.add("image over sum", r.channel[SPLAT_WEIGHT_IMAGE][row] > sum * 1.00001, 0);
    }
    v.add("sum", std::fabs(weights - alpha) / std::max(alpha, 1e-3), 1e-4);
  }
  report(s.name + ": weights and alpha", v);
  // Weights alone, without an image to blend.
  o.channels = WEIGHTS;
  const Result alone = whole(e, t, o);
  Verdict w;
  near_weights(w, alone, r, 1e-5);
  report(s.name + ": weights alone", w);
}

void near_steps(Verdict &v, const Stepped &a, const Stepped &b, double limit) {
  for (int t = 0; t < TARGETS; t++) {
    v.add(TARGET_NAMES[t], relative_l2(a.param[t], b.param[t]), limit);
    v.add((std::string(TARGET_NAMES[t]) + " first").c_str(), relative_l2(a.first[t], b.first[t]), limit);
    v.add((std::string(TARGET_NAMES[t]) + " second").c_str(), relative_l2(a.second[t], b.second[t]), limit);
  }
  v.add("means2d", relative_l2(a.means2d, b.means2d), limit);
}

// A step that a backward pass ends in is that pass and Adam; compact ones are the reference's; the same call twice gives
// the same bits.
void steps(const Engine &e, const Engine *reference, bool few) {
  for (const int coeffs : few ? std::vector<int>{16} : std::vector<int>{16, 9, 4}) {
    Scene s;
    s.name = "steps, " + std::to_string(coeffs) + " coefficients", s.count = few ? 333 : 1333, s.coeffs = coeffs;
    s.degree = coeffs == 16 ? 3 : coeffs == 9 ? 2 : 1;
    s.split_sh = true, s.flags = SPLAT_EXACT | SPLAT_RAW | SPLAT_REPRODUCIBLE;
    s = filled(s, 0.12f, 9);
    // What no camera sees.
    for (int i = 0; i < s.count; i += 5) s.means[3 * i + 2] = -20.f;
    for (const bool visible_only : {false, true}) {
      StepOptions two, one, cut;
      two.fused = false, two.visible_only = one.visible_only = cut.visible_only = visible_only, cut.staged = true;
      const Stepped apart = stepped(e, s, two), whole = stepped(e, s, one), staged = stepped(e, s, cut);
      Verdict v, w;
      near_steps(v, whole, apart, 1e-5), near_steps(w, staged, apart, 2e-5);
      const std::string kind = visible_only ? ", visible rows" : ", all rows";
      report(s.name + kind + ": one call and two", v), report(s.name + kind + ": staged", w);
      for (const uint32_t storage : {uint32_t(SPLAT_STORE_HALF), uint32_t(SPLAT_STORE_COMPACT)}) {
        StepOptions o = one;
        o.storage = storage;
        const Stepped a = stepped(e, s, o), b = stepped(e, s, o);
        Verdict twice;
        for (int t = 0; t < TARGETS; t++) {
          twice.add(TARGET_NAMES[t], different(a.param[t], b.param[t]), 0);
          twice.add("first", different(a.first[t], b.first[t]), 0), twice.add("second", different(a.second[t], b.second[t]), 0);
        }
        const std::string name = s.name + kind + (storage == SPLAT_STORE_HALF ? ", 16 bits" : ", compact");
        report(name + ": twice", twice);
        if (!reference) continue;
        Verdict same;
        near_steps(same, a, stepped(*reference, s, o), 1e-2);
        report(name + ": against " + reference->capabilities.name, same);
      }
    }
  }
}

void losses(const Engine &e, const Engine *reference) {
  const int width = 67, height = 45, planes = 3;
  Random r{5};
  std::vector<float> image, target;
  for (int k = 0; k < planes * width * height; k++) image.push_back(r.unit()), target.push_back(r.unit());
  struct Out {
    float ssim, loss;
    std::vector<float> gradient;
  };
  const auto run = [&](const Engine &e, float lambda, bool valid) {
    Arena a(e);
    splat_context context{};
    context.struct_size = sizeof context, context.device = e.gpu ? 0 : -1, context.alloc = Arena::alloc, context.user = &a;
    const float *x = a.from(image), *y = a.from(target);
    splat_ssim_args s{};
    s.struct_size = sizeof s, s.valid = valid, s.context = &context, s.planes = planes, s.width = width, s.height = height;
    s.image = x, s.target = y, s.mean = a.array<float>(1);
    e.ok(e.image->ssim(&s), "ssim");
    splat_photometric_args p{};
    p.struct_size = sizeof p, p.valid = valid, p.context = &context, p.planes = planes, p.width = width, p.height = height;
    p.lambda_dssim = lambda, p.image = x, p.target = y, p.loss = a.array<float>(1);
    p.partials = a.array<float>(3 * image.size()), p.grad_loss = a.from({1.f}), p.grad_image = a.array<float>(image.size());
    e.ok(e.image->photometric(&p), "photometric");
    e.ok(e.image->photometric_backward(&p), "photometric_backward");
    return Out{a.back(s.mean, 1)[0], a.back(p.loss, 1)[0], a.back(p.grad_image, image.size())};
  };
  for (const bool valid : {false, true})
    for (const float lambda : {0.f, 0.2f, 1.f}) {
      const Out out = run(e, lambda, valid);
      double l1 = 0, count = 0;
      for (int k = 0; k < planes * width * height; k++) {
        const int x = k % width, y = k / width % height, b = valid ? 5 : 0;
        if (x < b || y < b || x >= width - b || y >= height - b) continue;
        l1 += std::fabs(double(image[k]) - target[k]), count++;
      }
      Verdict v;
      v.add("loss", std::fabs((1 - lambda) * l1 / count + lambda * (1 - out.ssim) - out.loss), 1e-5);
      if (reference) {
        const Out other = run(*reference, lambda, valid);
        v.add("ssim", std::fabs(out.ssim - other.ssim), 1e-5);
        v.add("gradient", relative_l2(out.gradient, other.gradient), 1e-4);
      }
      report("loss, lambda " + std::to_string(lambda) + (valid ? ", valid" : ""), v);
    }
}

std::vector<Scene> plain_scenes(bool few) {
  const auto scene = [](const char *name, uint32_t flags, const std::function<void(Scene &)> &change = nullptr) {
    Scene s;
    s.name = name, s.flags = flags, s.count = 400;
    if (change) change(s);
    return filled(s, 0.12f);
  };
  std::vector<Scene> all = {
      scene("compat", 0),
      scene("exact", SPLAT_EXACT),
      scene("exact, antialiasing, raw", SPLAT_EXACT | SPLAT_ANTIALIASING | SPLAT_RAW),
      scene("compat, antialiasing", SPLAT_ANTIALIASING),
      scene("three cameras, features", SPLAT_EXACT, [](Scene &s) { s.cameras = 3, s.features = 7; }),
      scene("orthographic", SPLAT_EXACT, [](Scene &s) { s.orthographic = true; }),
      scene("split sh, degree 2", 0, [](Scene &s) { s.split_sh = true, s.degree = 2; }),
      scene("colours and covariances", SPLAT_EXACT, [](Scene &s) { s.by_color = s.by_covariance = true; }),
      scene("reproducible", SPLAT_REPRODUCIBLE, [](Scene &s) { s.cameras = 2; }),
  };
  if (few) all.erase(all.begin() + 6, all.end() - 1), all.erase(all.begin() + 3);
  return all;
}

// Scenes made to break things.
std::vector<Scene> hard_scenes() {
  std::vector<Scene> all;
  const auto add = [&](const char *name, int count, float size, const std::function<void(Scene &)> &change) {
    for (const uint32_t flags : {0u, uint32_t(SPLAT_EXACT)}) {
      Scene s;
      s.name = std::string(name) + (flags ? ", exact" : ", compat"), s.count = count, s.flags = flags;
      s.degree = 1, s.coeffs = 4;
      s = filled(s, size, 3);
      if (change) change(s);
      all.push_back(s);
    }
  };
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  add("no Gaussians", 0, 0.1f, nullptr);
  add("one Gaussian", 1, 0.3f, [](Scene &s) { s.means = {0.f, 0.f, 5.f}, s.opacities[0] = 1.f; });
  add("behind the camera", 40, 0.1f, [](Scene &s) { for (int i = 0; i < s.count; i++) s.means[3 * i + 2] = -5.f; });
  add("one pixel", 60, 0.2f, [](Scene &s) { s.width = s.height = 1; });
  add("one row", 60, 0.2f, [](Scene &s) { s.width = 129, s.height = 1; });
  add("numbers that are not finite", 60, 0.2f, [=](Scene &s) {
    s.means[4] = nan, s.means[30] = inf, s.opacities[20] = nan, s.scales[33] = inf, s.rotations[44] = -inf, s.sh[12 * 25] = nan;
  });
  add("all in one tile", 700, 0.02f, [](Scene &s) {
    for (int i = 0; i < s.count; i++) s.means[3 * i] *= 0.02f, s.means[3 * i + 1] *= 0.02f, s.opacities[i] = 0.02f;
  });
  add("all over the image", 300, 8.f, nullptr);
  add("opaque wall", 300, 3.f, [](Scene &s) { for (float &o : s.opacities) o = 1.f; });
  add("one depth", 300, 0.1f, [](Scene &s) { for (int i = 0; i < s.count; i++) s.means[3 * i + 2] = 6.f; });
  add("opacities at the edge", 120, 0.2f, [](Scene &s) {
    for (int i = 0; i < s.count; i++) s.opacities[i] = i % 4 == 0 ? 0.f : i % 4 == 1 ? 1.f / 255.f : i % 4 == 2 ? 1e-30f : 1.f;
  });
  add("thinner and larger than f32 likes", 120, 0.2f, [](Scene &s) {
    s.ill = true;
    for (int i = 0; i < s.count; i++) s.scales[3 * i] = i % 3 == 0 ? 1e-20f : i % 3 == 1 ? 1e8f : 1e18f;
  });
  add("zero quaternions", 40, 0.2f, [](Scene &s) { std::fill(s.rotations.begin(), s.rotations.end(), 0.f); });
  return all;
}

// Records in two parts, features per image, absolute gradients.
void further_stages(const Engine &e) {
  Scene s;
  s.name = "two parts", s.count = 400, s.flags = SPLAT_EXACT;
  s = filled(s, 0.12f);
  Options o;
  o.parts = 2;
  against_itself(e, s, o);
  s = Scene();
  s.name = "features per image", s.count = 300, s.cameras = 2, s.features = 5, s.flags = SPLAT_EXACT;
  s = filled(s, 0.12f);
  o = Options();
  o.own_features = true;
  against_itself(e, s, o);
  for (const uint32_t flags : {0u, uint32_t(SPLAT_REPRODUCIBLE)}) {
    s = Scene();
    s.name = flags ? "absolute, reproducible" : "absolute", s.count = 400, s.flags = flags, s.cameras = 2;
    s = filled(s, 0.12f);
    o = Options();
    o.absolute = true, o.channels = COLOR | 1u << SPLAT_DEPTH | ALPHA | WEIGHTS;
    against_itself(e, s, o);
  }
}

// Two threads, each on a stream of its own (and a device of its own where there are two).
void two_threads(const Engine &e) {
  if (!e.gpu) return;
  Scene s;
  s.name = "two threads", s.count = 2000, s.flags = SPLAT_EXACT | SPLAT_REPRODUCIBLE;
  s = filled(s, 0.12f);
  const Result alone = whole(e, s);
  Verdict verdicts[2];
  std::thread threads[2];
  for (int t = 0; t < 2; t++)
    threads[t] = std::thread([&, t] {
      cudaStream_t stream;
      cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
      Options o;
      o.stream = stream;
      for (int k = 0; k < 5; k++) {
        // The inputs were written on another stream.
        cuda(cudaDeviceSynchronize(), "before");
        const Result r = whole(e, s, o);
        cuda(cudaStreamSynchronize(stream), "after");
        const Verdict v = same_images(r, alone, true);
        verdicts[t].text += v.text, verdicts[t].bad |= v.bad;
      }
    });
  for (std::thread &t : threads) t.join();
  for (const Verdict &v : verdicts) report(s.name, v);
}

void times(const Engine &e) {
  Scene s;
  s.name = "time", s.count = 1000000, s.width = 1920, s.height = 1080, s.flags = SPLAT_EXACT;
  s = filled(s, 0.01f);
  struct Case {
    const char *name;
    uint32_t channels;
    bool backward, in_stages;
  };
  // Of each the best of a few, transfers of the scene taken off by a run of nothing.
  for (const Case &c : {Case{"forward", COLOR, false, false}, Case{"forward and backward", COLOR, true, false},
                        Case{"staged forward", COLOR, false, true}, Case{"staged forward and backward", COLOR, true, true},
                        Case{"forward and weights", COLOR | WEIGHTS, false, false}}) {
    Options o;
    o.channels = c.channels, o.backward = c.backward;
    Placed p(e, s, o);
    int32_t *radii = p.arena.array<int32_t>(p.rows());
    splat_record *records = p.arena.array<splat_record>(p.rows());
    auto *gradients = p.arena.array<splat_record_gradient>(p.rows());
    // A pool, as torch's allocator is.
    struct Pool {
      Arena arena;
      std::vector<std::pair<void *, uint64_t>> blocks;
      size_t next = 0;
    } pool{Arena(e), {}, 0};
    p.context.user = &pool;
    p.context.alloc = [](void *user, uint32_t, uint64_t bytes) -> void * {
      auto &pool = *static_cast<Pool *>(user);
      if (pool.next == pool.blocks.size()) pool.blocks.push_back({nullptr, 0});
      auto &block = pool.blocks[pool.next++];
      if (block.second < bytes) block = {pool.arena.bytes(bytes), bytes};
      return block.first;
    };
    splat_workspace *workspace = nullptr;
    e.ok(e.raster->workspace_new(0, &workspace), "workspace_new");
    p.context.workspace = workspace;
    std::vector<float> all;
    for (int k = 0; k < 20; k++) {
      pool.next = 0;
      cudaEvent_t from, to;
      cudaEventCreate(&from), cudaEventCreate(&to);
      cudaEventRecord(from);
      if (c.in_stages) {
        splat_project_args a{};
        a.struct_size = sizeof a, a.camera_count = 1, a.context = &p.context, a.cameras = p.cameras.data();
        a.gaussians = &p.gaussians, a.settings = &p.settings, a.records = records;
        e.ok(e.raster->project(&a), "project");
        splat_rasterize_args t{};
        t.struct_size = sizeof t, t.image_count = 1, t.channel_count = uint32_t(p.channels.size());
        t.width = s.width, t.height = s.height, t.count = s.count, t.context = &p.context, t.settings = &p.settings;
        t.records = records, t.channels = p.channels.data(), t.saved = &p.saved, t.record_gradients = gradients;
        e.ok(e.raster->rasterize(&t), "rasterize");
        if (c.backward) {
          e.ok(e.raster->rasterize_backward(&t), "rasterize_backward");
          splat_project_backward_args b{};
          b.struct_size = sizeof b, b.camera_count = 1, b.context = &p.context, b.cameras = p.cameras.data();
          b.gaussians = &p.gaussians, b.settings = &p.settings, b.records = records, b.record_gradients = gradients;
          splat_gradients some = p.gradients;
          some.view = some.background = some.cov3d = some.colors = some.features = nullptr;
          b.gradients = &some;
          e.ok(e.raster->project_backward(&b), "project_backward");
        }
      } else {
        splat_forward_args f{};
        f.struct_size = sizeof f, f.camera_count = 1, f.channel_count = uint32_t(p.channels.size());
        f.context = &p.context, f.cameras = p.cameras.data(), f.gaussians = &p.gaussians, f.settings = &p.settings;
        f.channels = p.channels.data(), f.radii = radii, f.saved = &p.saved;
        e.ok(e.raster->forward(&f), "forward");
        if (c.backward) {
          splat_backward_args b{};
          b.struct_size = sizeof b, b.camera_count = 1, b.channel_count = f.channel_count, b.context = f.context;
          b.cameras = f.cameras, b.gaussians = f.gaussians, b.settings = f.settings, b.channels = f.channels;
          b.radii = radii, b.saved = &p.saved;
          splat_gradients some = p.gradients;
          some.view = some.background = some.cov3d = some.colors = some.features = nullptr;
          b.gradients = &some;
          e.ok(e.raster->backward(&b), "backward");
        }
      }
      cudaEventRecord(to);
      cuda(cudaEventSynchronize(to), "a timed pass");
      float ms = 0;
      cudaEventElapsedTime(&ms, from, to);
      all.push_back(ms);
    }
    std::sort(all.begin(), all.end());
    std::printf("1M Gaussians at 1920x1080, %s: median %.3f ms\n", c.name, all[all.size() / 2]);
    e.raster->workspace_free(workspace);
  }
}

int run(int count, char **words) {
  bool few = false, poison = true, timing = false, only_steps = false;
  std::vector<const char *> paths;
  for (int k = 1; k < count; k++) {
    const std::string word = words[k];
    if (word == "--few")
      few = true;
    else if (word == "--no-poison")
      poison = false;
    else if (word == "--time")
      timing = true;
    else if (word == "--steps")
      only_steps = true;
    else
      paths.push_back(words[k]);
  }
  if (paths.empty() || paths.size() > 2) die("check [--few] [--no-poison] [--steps] [--time] ENGINE [REFERENCE]");
  const Engine engine(paths[0], poison);
  splat_device device{};
  device.struct_size = sizeof device;
  engine.ok(engine.engine->device(engine.gpu ? 0 : -1, &device), "device");
  std::printf("engine %s %s on %s, %u multiprocessors, %.1f of %.1f GiB free\n", engine.capabilities.name,
              engine.capabilities.version, device.name, device.multiprocessors, device.memory_free / 1073741824.0,
              device.memory_total / 1073741824.0);
  if (timing) return times(engine), 0;
  const Engine *reference = paths.size() > 1 ? new Engine(paths[1], poison) : nullptr;
  const Options all;
  if (only_steps) {
    steps(engine, reference, few);
    return std::printf("%d cases, %d failed\n", cases, failed), failed ? 1 : 0;
  }
  if (!engine.raster->project) {
    // The original rasterizer: mode compat, one camera, two channels.
    Options o;
    o.original = true, o.channels = COLOR | 1u << SPLAT_INV_DEPTH;
    for (const Scene &s : plain_scenes(false))
      if (reference && s.name.rfind("compat", 0) == 0) against_reference(engine, *reference, s, o);
    return std::printf("%d cases, %d failed\n", cases, failed), failed ? 1 : 0;
  }
  for (const Scene &s : plain_scenes(few)) {
    against_itself(engine, s, all);
    if (reference) against_reference(engine, *reference, s, all);
    if (reference) records_against_reference(engine, *reference, s);
    weights_and_alpha(engine, s, 0);
  }
  for (const Scene &s : hard_scenes()) {
    against_itself(engine, s, all);
    if (reference) against_reference(engine, *reference, s, all);
  }
  further_stages(engine);
  for (const Scene &s : plain_scenes(true)) {
    if (s.name == "exact" || s.name == "three cameras, features") repeated(engine, s, all);
    if (engine.gpu && s.name != "reproducible") with_workspace(engine, s, all);
  }
  steps(engine, reference, few);
  losses(engine, reference);
  if (!few) two_threads(engine);
  std::printf("%d cases, %d failed\n", cases, failed);
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace check

int main(int count, char **words) { return check::run(count, words); }
