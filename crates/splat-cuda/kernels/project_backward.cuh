// Stage `project_backward`: from the sums over pixels, or from gradients of records, to gradients of the Gaussians'
// parameters and of the pose.
#pragma once

#include <cuda_runtime.h>

#include "splat_engine.h"
#include "types.h"

namespace splat::own {

// Either the sums of a whole call, or records and their gradients.
struct ProjectBackwardIn {
  const int32_t *radii;
  const float *sums;        // [C P, SUMS]
  Fourth fourth;
  const splat_record *records;  // [C P]; null in a whole call
  const splat_record_gradient *gradients;
};

// Null where not wanted; every row is written.
struct ProjectBackwardOut {
  float *means3d, *means2d, *means2d_abs, *opacities, *sh, *sh_rest, *colors, *scales, *rotations, *cov3d;
  float *view;      // [C,16]
  float *partial;   // scratch of view_partials(P) * C * 12 numbers, with view
};

uint32_t view_partials(uint32_t splats);

struct StepGroups;

// With `steps` the gradients of parameters end in a step and are not written: those of `out` that are not per row of an
// image must be null.
cudaError_t project_backward(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, const StepGroups *steps, cudaStream_t stream);

}  // namespace splat::own
