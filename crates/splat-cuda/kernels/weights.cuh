// How much each row contributes to its image: sums over pixels of its weights, after the images have been blended.
//
// Runs only if a caller asks for it: one more pass over the tiles' lists, which stops where blending stopped.
#pragma once

#include <cuda_runtime.h>

#include "types.h"

namespace splat::own {

struct WeightsIn {
  const uint2 *range;    // as in BlendIn
  const uint32_t *list;
  const Shape2d *shape;
  const float *image;    // [C,H,W] or null
};

// By row; zeroed before, null where not wanted.
struct WeightsOut {
  float *sum, *max, *image;
  // Null: sums over tiles are added atomically. Otherwise each place's (sum, image) goes here, zeroed before, for
  // `sum_weights` to add in a fixed order.
  float2 *by_place;
};

cudaError_t weights(const Scene &scene, const WeightsIn &in, const WeightsOut &out, cudaStream_t stream);

// `places` are the places of the list ordered by row, `rows` the row of each of them.
cudaError_t sum_weights(const WeightsOut &out, const uint32_t *places, const uint32_t *rows, uint64_t capacity,
                        const Counters *counters, cudaStream_t stream);

}  // namespace splat::own
