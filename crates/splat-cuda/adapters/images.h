// Forward from rows on, however they are made: order, tiles, blending, weights per Gaussian.
#pragma once

#include <functional>

#include "call.h"
#include "project.cuh"

namespace splat::own {

struct ImagesCall {
  const own::Scene &scene;
  const splat_context &context;
  const Channels &channels;
  uint32_t flags;
  bool from_records;  // then the radii are saved for backward
  int32_t *radii;     // [rows], written, unless from records
};

// Makes the rows: `out`, and the depth as channel 0 in `depth_channel` unless that is null.
using MakeRows = std::function<void(const ProjectOut &out, Fourth fourth, float4 *depth_channel, const Stages &stage,
                                    cudaStream_t stream)>;

// What is left for backward. Without a workspace it waits once, to learn how many pairs of Gaussian and tile there are.
// With one it does not.
splat_saved render(const ImagesCall &call, const MakeRows &make_rows);

}  // namespace splat::own
