// Between `blend_backward` and `project_backward`: the sums over pixels of the rows, added up over places of the list and
// over groups of channels.
#pragma once

#include <cuda_runtime.h>

#include "types.h"

namespace splat::own {

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
