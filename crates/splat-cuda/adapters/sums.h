// Backward from images to sums over the pixels of each row, and from rows to Gaussians. Never waits for the device.
#pragma once

#include "call.h"
#include "project_backward.cuh"
#include "row_sums.cuh"

namespace splat::own {

struct SumsCall {
  const own::Scene &scene;
  const splat_context &context;
  const Channels &channels;
  uint32_t flags;
  const splat_saved &saved;
  bool from_records;
  const int32_t *radii;  // as forward wrote them, unless rows came from records
  bool absolute;         // also the sums of absolute gradients
  // Null where not wanted.
  float *features;    // [P,F] summed over the cameras, or, if rows came from records, by row
  float *background;  // [3]
};

struct RowSums {
  const float *sums;  // [rows, SUMS]; null without rows
  const int32_t *radii;
  Fourth fourth;      // what SUM_C3 is the gradient of
};

RowSums sum_rows(const SumsCall &call);

// The rest of a backward pass: from rows' sums, or from gradients of records, to the Gaussians and the poses, or, with
// `steps`, to the parameters after their step. Gradients of features and background are not its business.
void finish_backward(const Call &call, const ProjectBackwardIn &in, const splat_gradients &gradients,
                     const StepGroups *steps, const splat_context &context, uint32_t flags);

}  // namespace splat::own
