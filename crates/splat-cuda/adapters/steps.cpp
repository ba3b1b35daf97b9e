// See steps.h; `backward_step`'s arguments checked and turned into the kernel's form.
#include "steps.h"

#include <cmath>

#include "common/structs.h"

namespace splat::own {
namespace {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

void check_gradients(const splat_gradients &g) {
  const struct {
    const char *name;
    const float *to;
  } all[] = {{"means3d", g.means3d}, {"opacities", g.opacities}, {"sh", g.sh},               {"sh_rest", g.sh_rest},
             {"colors", g.colors},   {"scales", g.scales},       {"rotations", g.rotations}, {"cov3d", g.cov3d}};
  for (const auto &it : all)
    if (it.to)
      fail(SPLAT_INVALID_ARGUMENT, "`gradients.%s` must be NULL: no gradient of a parameter is written", it.name);
}

StepGroup group_of(const splat_step_group &from, uint32_t k, const own::Scene &scene, uint64_t seed) {
  const uint32_t target = from.target;
  const bool compact = from.storage == SPLAT_STORE_COMPACT;
  if (from.storage > SPLAT_STORE_COMPACT || (compact && target != SPLAT_STEP_SH_REST))
    fail(SPLAT_INVALID_ARGUMENT, "`groups[%u].storage` is %u, which target %u has not", k, from.storage, target);
  if (from.step < 1) fail(SPLAT_INVALID_ARGUMENT, "`step` of group %u is %lld, but counts from 1", k, (long long)from.step);
  for (float beta : {from.beta1, from.beta2})
    if (!(beta >= 0 && beta < 1))
      fail(SPLAT_INVALID_ARGUMENT, "a beta of group %u is %g, but must be in [0, 1)", k, beta);
  if (!std::isfinite(from.lr) || !(from.eps >= 0) || !std::isfinite(from.eps) || !std::isfinite(from.pull))
    fail(SPLAT_INVALID_ARGUMENT, "group %u has lr %g, eps %g and pull %g, but all must be finite, and eps at least 0", k,
         from.lr, from.eps, from.pull);
  const bool pulls = scene.raw && (target == SPLAT_STEP_OPACITIES || target == SPLAT_STEP_SCALES);
  if (from.pull != 0 && !pulls)
    fail(SPLAT_INVALID_ARGUMENT,
         "`groups[%u].pull` is %g, but must be 0 for target %u unless that is raw opacities or scales", k, from.pull, target);
  const bool shaped = target != SPLAT_STEP_SCALES && target != SPLAT_STEP_ROTATIONS;
  const bool split = scene.sh_rest || scene.sh_rest16, by_sh = target == SPLAT_STEP_SH || target == SPLAT_STEP_SH_REST;
  if (target == SPLAT_STEP_SH && scene.sh && !split && scene.coeffs > 1)
    fail(SPLAT_INVALID_ARGUMENT, "`groups[%u]` updates `sh` of %d numbers per row, but SH must be split", k,
         3 * scene.coeffs);
  StepGroup to = {};
  // What has no numbers stays as it is.
  if (scene.splats == 0 || (!shaped && !scene.scales) || (by_sh && !scene.sh) || (target == SPLAT_STEP_SH_REST && !split))
    return to;
  if (compact && scene.coeffs != 4 && scene.coeffs != 9 && scene.coeffs != 16)
    fail(SPLAT_UNSUPPORTED, "`sh_coeffs` is %d, but engine `cuda` steps compact SH of 4, 9 or 16", scene.coeffs);
  if (target == SPLAT_STEP_SH_REST && 3 * (scene.coeffs - 1) > 45)
    fail(SPLAT_UNSUPPORTED, "`sh_coeffs` is %d, but engine `cuda` steps up to 16", scene.coeffs);
  required("param", from.param);
  required("exp_avg", from.exp_avg);
  required("exp_avg_sq", from.exp_avg_sq);
  to.param = from.param, to.exp_avg = from.exp_avg, to.exp_avg_sq = from.exp_avg_sq, to.units = from.units;
  to.storage = from.storage;
  to.aligned = (reinterpret_cast<uintptr_t>(to.param) | reinterpret_cast<uintptr_t>(to.exp_avg) |
                reinterpret_cast<uintptr_t>(to.exp_avg_sq) | reinterpret_cast<uintptr_t>(to.units)) %
                   16 ==
               0;
  if (compact) {
    required("units", from.units);
    if (!to.aligned)
      fail(SPLAT_INVALID_ARGUMENT, "a tensor of group %u is not at a multiple of 16, but compact ones must be", k);
  }
  const uint64_t key = mixed(mixed(mixed(seed + 0x9E3779B97F4A7C15u) ^ target) + uint64_t(from.step));
  to.low = uint32_t(key), to.high = uint32_t(key >> 32);
  to.beta1 = from.beta1, to.beta2 = from.beta2, to.eps = from.eps, to.pull = from.pull;
  to.step_size = float(double(from.lr) / (1.0 - std::pow(double(from.beta1), double(from.step))));
  to.inverse_root = float(1.0 / std::sqrt(1.0 - std::pow(double(from.beta2), double(from.step))));
  return to;
}

}  // namespace

void fail_half_gradient() {
  fail(SPLAT_INVALID_ARGUMENT, "`sh_rest16` is given, but has no gradient: its backward pass is `backward_step`");
}

void backward_step_or_throw(const splat_step_args *from) {
  const splat_step_args args = read(from, "splat_step_args");
  if (!args.backward == !args.project_backward)
    fail(SPLAT_INVALID_ARGUMENT, "exactly one of `backward` and `project_backward` is needed, but %s given",
         args.backward ? "both are" : "none is");
  if (args.group_count > SPLAT_STEP_TARGETS)
    fail(SPLAT_INVALID_ARGUMENT, "`group_count` is %u, but must be 0 to %d", args.group_count, int(SPLAT_STEP_TARGETS));
  const MakeSteps make = [&](const own::Scene &scene, const splat_gradients &gradients, StepGroups &groups) {
    check_gradients(gradients);
    groups = {};
    groups.visible_only = args.visible_only != 0;
    bool listed[SPLAT_STEP_TARGETS] = {};
    for (uint32_t k = 0; k < args.group_count; k++) {
      const splat_step_group group = read_element(args.groups, k, "splat_step_group");
      if (group.target >= SPLAT_STEP_TARGETS)
        fail(SPLAT_INVALID_ARGUMENT, "`groups[%u].target` is %u, but there are 0 to %d", k, group.target,
             int(SPLAT_STEP_TARGETS) - 1);
      if (listed[group.target])
        fail(SPLAT_INVALID_ARGUMENT, "`groups[%u].target` is %u, which is listed twice", k, group.target);
      listed[group.target] = true;
      groups.group[group.target] = group_of(group, k, scene, args.seed);
    }
    return &groups;
  };
  if (args.backward)
    backward_into(args.backward, make);
  else
    project_backward_into(args.project_backward, make);
}

}  // namespace splat::own
