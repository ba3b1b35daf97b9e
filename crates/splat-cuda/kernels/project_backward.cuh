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

cudaError_t project_backward(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, cudaStream_t stream);

// Adds up, for each row, what `blend_backward` wrote by place: `places` are the places of the list ordered by row,
// `rows` the row of each of them. Rows without places keep their zeros.
cudaError_t sum_places(const float *by_place, const uint32_t *places, const uint32_t *rows, uint64_t capacity,
                       const Counters *counters, float *sums, cudaStream_t stream);

// Adds the moments of a further group's sums to those of the first. With `depth` (channel 0 is the view depth) also
// its gradient for the depth, as what the first group's fourth channel would have brought.
cudaError_t add_sums(uint32_t rows, const int32_t *radii, const float4 *depth, Fourth fourth, const float *from,
                     float *to, cudaStream_t stream);

// Gradients of features [4 group, 4 group + 4) from the sums of that group, over all cameras; null: zero.
cudaError_t feature_backward(const Scene &scene, int group, const int32_t *radii, const float *sums, float *features,
                             cudaStream_t stream);

}  // namespace splat::own
