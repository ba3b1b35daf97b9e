// Our own small kernels around the original ones. All run on the legacy default stream, as those do.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace splat::inria {

// What the device found out about a forward call, read back in one copy.
struct Findings {
  unsigned long long nonfinite;  // FiniteScan's answer
  unsigned long long bad_splat;  // first Gaussian whose projection is unusable, or ~0
  unsigned long long pairs;      // pairs of Gaussian and tile, counted in 64 bits
};

// What the original's projection left for each Gaussian: its own arrays, read between its two halves.
struct Projected {
  const uint32_t *tiles_touched;
  const int *radii;
  const float4 *conic_opacity;
  const float *rgb;  // NULL when colours were given
};

// Fills `bad_splat` and `pairs`. A Gaussian that touches tiles is usable if its radius is positive and its conic
// (the inverse 2D covariance) and colour are finite numbers, the conic's diagonal not zero: exactly the
// projections whose covariance determinant stayed inside f32. Any other would either leave sort keys unwritten
// (radius 0, yet tiles counted) or blend as a constant over the whole image.
void check_projection(int count, const Projected &projected, Findings *findings);

// P = 0: the image is the background. `color` is [3, pixels].
void fill_background(float *color, int64_t pixels, const float *background);

// Whether the current device can run what this library carries.
cudaError_t kernels_load();

}  // namespace splat::inria
