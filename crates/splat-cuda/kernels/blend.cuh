// Stages `blend` and `blend_backward`: front-to-back compositing of each tile's list, and its gradient.
//
// Up to four channels at a time, a "group": red, green, blue and a fourth (inverse depth or depth), or four features.
// Gradients are linear in the channels' upstream gradients, so groups are blended one after the other and their
// sums added.
#pragma once

#include <cuda_runtime.h>

#include "types.h"

namespace splat::own {

// Planes of one group's channels; null: not wanted.
template <typename Number>
struct PlanesOf {
  Number *plane[4];
  uint64_t stride[4];

  __device__ Number *of(uint32_t camera, int channel) const {
    return plane[channel] ? plane[channel] + camera * stride[channel] : nullptr;
  }
};
using Planes = PlanesOf<float>;
using GradPlanes = PlanesOf<const float>;

// What forward leaves for backward about one group's pixels, 256 per slot, in the order of `kept_place`. `w` is the
// fourth channel; t is negative where the pixel had stopped.
struct Pixels {
  float4 *color_t;  // channels 0..2 and transmittance
  float *fourth;    // null for groups of three channels
};

struct BlendIn {
  const uint2 *range;       // by tile, as the sort leaves it: see list_of
  const uint32_t *list;     // rows, tile after tile, front to back
  const Shape2d *shape;
  const float4 *channels;   // of this group
  int channel_count;        // 3 or 4
  const float *background;  // 3 numbers behind channels 0..2, or null
};

// Which places of a segment touch which block of the tile's pixels: word 4 * block + k has places 32 k to 32 k + 31.
struct Touched {
  uint32_t *first;  // by tile, 32 words, of its first segment
  uint32_t *later;  // by checkpoint slot

  __device__ uint32_t *of(uint32_t tile, uint32_t begin, uint32_t segment) const {
    return segment == 0 ? first + uint64_t(tile) * 32 : later + (uint64_t(begin / SEGMENT) + segment) * 32;
  }
};

struct BlendOut {
  Planes planes;
  float *alpha;          // [C,H,W]; null: not wanted
  // Null in forward-only calls.
  Pixels finals;         // by tile
  Pixels checkpoints;    // by segment: slot = range.x / SEGMENT + segment, for segments from 1
  uint32_t *alive;       // [tiles, 8] segments that each block of pixels needed
  Touched touched;       // null after the first group
  Work *work;            // null after the first group
  Counters *counters;
  volatile unsigned long long *longest;  // pinned host memory or null: segments of the list that took longest
};

// Two kernels with the same results: see the heads of blend.cu and blend_deep.cu.
cudaError_t blend_deep(const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream);
cudaError_t blend(const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream);

struct BlendBackwardIn {
  BlendIn blend;
  GradPlanes grad;          // null planes: zero
  const float *grad_alpha;  // [C,H,W] or null
  Pixels finals, checkpoints;
  const uint32_t *alive;
  Touched touched;
  const Work *work;
  const Counters *counters;
  uint32_t most_items;
};

struct BlendBackwardOut {
  // One row of SUMS numbers for each row, added to atomically; or, in reproducible mode, for each place of the list,
  // written.
  float *sums;
  bool by_place;
  bool absolute;   // also SUM_ABS_X and SUM_ABS_Y
};

cudaError_t blend_backward(const Scene &scene, const BlendBackwardIn &in, const BlendBackwardOut &out,
                           cudaStream_t stream);

// Gradient of the background: sum over pixels of T_final times the upstream gradient of channels 0..2.
// `partial` holds 3 * background_blocks() numbers of scratch.
uint32_t background_blocks();
cudaError_t background_backward(const Scene &scene, const GradPlanes &grad, const Pixels &finals, float *partial,
                                float *background, cudaStream_t stream);

}  // namespace splat::own
