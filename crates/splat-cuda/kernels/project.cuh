// Stage `project`: from Gaussians to what the image sees of them, one thread per row.
#pragma once

#include <cuda_runtime.h>

#include "splat_engine.h"
#include "types.h"

namespace splat::own {

struct ProjectOut {
  // Written for every row.
  int32_t *radii;        // 3-sigma radius in pixels, 0 = culled
  uint32_t *depth_key;   // see depth_key(), CULLED where the radius is 0
  // Written for visible rows only.
  Shape2d *shape;
  float4 *channels;      // red, green, blue and the fourth channel
  ushort4 *rect;         // tiles [x, z) x [y, w) that hold everything the row may touch
  Counters *counters;
};

cudaError_t project(const Scene &scene, const Cameras &cameras, Fourth fourth, const ProjectOut &out,
                    cudaStream_t stream);

// The same as records, for every row; the scene's features are not read.
cudaError_t project_records(const Scene &scene, const Cameras &cameras, splat_record *records, cudaStream_t stream);

// Channels [4 group, 4 group + 4) of `features` for the visible rows, zeros above F.
cudaError_t gather_features(const Scene &scene, int group, const int32_t *radii, float4 *channels,
                            cudaStream_t stream);

// The view depth as channel 0, for the visible rows.
cudaError_t gather_depth(const Scene &scene, const Cameras &cameras, const int32_t *radii, float4 *channels,
                         cudaStream_t stream);

// Loads this library's code for the current device; fails where it has none.
cudaError_t kernels_load();

cudaError_t mark_visible(uint32_t count, const float *means3d, const float *view, uint8_t *visible,
                         cudaStream_t stream);

}  // namespace splat::own
