// Adam of engine `cuda`: arguments checked and turned into the kernel's form.
#include <cmath>

#include "adam.cuh"
#include "adapter.h"
#include "common/device.h"
#include "common/status.h"
#include "common/structs.h"

namespace splat::own {

void adam_or_throw(const splat_adam_args *given_args) {
  const splat_adam_args args = read(given_args, "splat_adam_args");
  const splat_context context = read(args.context, "splat_context");
  const int64_t most = int64_t(1) << 31;
  if (args.rows < 0 || args.rows >= most)
    fail(SPLAT_INVALID_ARGUMENT, "`rows` is %lld, but must be 0 to %lld", (long long)args.rows, (long long)most - 1);
  if (args.group_count < 1 || args.group_count > AdamGroups::MOST)
    fail(SPLAT_INVALID_ARGUMENT, "`group_count` is %u, but must be 1 to %d", args.group_count, AdamGroups::MOST);
  AdamGroups groups = {};
  groups.count = int(args.group_count);
  for (int k = 0; k < groups.count; k++) {
    const splat_adam_group from = read_element(args.groups, uint32_t(k), "splat_adam_group");
    AdamGroup &to = groups.group[k];
    if (from.width < 0 || from.width > (int64_t(1) << 20))
      fail(SPLAT_INVALID_ARGUMENT, "`width` of group %d is %lld, but must be 0 to 2^20", k, (long long)from.width);
    if (from.step < 1)
      fail(SPLAT_INVALID_ARGUMENT, "`step` of group %d is %lld, but counts from 1", k, (long long)from.step);
    for (float beta : {from.beta1, from.beta2})
      if (!(beta >= 0 && beta < 1))
        fail(SPLAT_INVALID_ARGUMENT, "a beta of group %d is %g, but must be in [0, 1)", k, beta);
    if (!std::isfinite(from.lr) || !(from.eps >= 0) || !std::isfinite(from.eps))
      fail(SPLAT_INVALID_ARGUMENT, "group %d has lr %g and eps %g, but both must be finite, and eps at least 0", k,
           from.lr, from.eps);
    to.count = uint64_t(args.rows) * uint64_t(from.width);
    if (to.count > 0) {
      required("param", from.param);
      required("grad", from.grad);
      required("exp_avg", from.exp_avg);
      required("exp_avg_sq", from.exp_avg_sq);
    }
    to.param = from.param, to.grad = from.grad, to.exp_avg = from.exp_avg, to.exp_avg_sq = from.exp_avg_sq;
    to.width = uint32_t(from.width > 0 ? from.width : 1);
    to.aligned = (reinterpret_cast<uintptr_t>(to.param) | reinterpret_cast<uintptr_t>(to.grad) |
                  reinterpret_cast<uintptr_t>(to.exp_avg) | reinterpret_cast<uintptr_t>(to.exp_avg_sq)) %
                     16 ==
                 0;
    to.beta1 = from.beta1, to.beta2 = from.beta2, to.eps = from.eps;
    to.step_size = float(double(from.lr) / (1.0 - std::pow(double(from.beta1), double(from.step))));
    to.inverse_root = float(1.0 / std::sqrt(1.0 - std::pow(double(from.beta2), double(from.step))));
  }
  if (args.rows == 0) return;
  const CurrentDevice device(context.device);
  cuda(adam_step(groups, args.visible, static_cast<cudaStream_t>(context.stream)), "launching `adam_step`");
}

}  // namespace splat::own
