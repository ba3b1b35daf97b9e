// Backward passes that may end in a step: the bodies that `backward` and `backward_step` share.
#pragma once

#include <functional>

#include "call.h"
#include "step.cuh"

namespace splat::own {

// Fills the groups for this scene, after the gradients that are wanted were checked, and returns them.
using MakeSteps = std::function<const StepGroups *(const own::Scene &, const splat_gradients &, StepGroups &)>;

// Without `make_steps` the gradients are written.
void backward_into(const splat_backward_args *args, const MakeSteps &make_steps);
void project_backward_into(const splat_project_backward_args *args, const MakeSteps &make_steps);

[[noreturn]] void fail_half_gradient();

}  // namespace splat::own
