// Stage `tiles`: from rows in depth order to pairs of tile and row.
#pragma once

#include <cuda_runtime.h>

#include "sort.cuh"
#include "types.h"

namespace splat::own {

struct EmitIn {
  const uint32_t *order;   // rows, nearest first
  const Shape2d *shape;
  const ushort4 *rect;     // by row
  uint32_t most_rows;      // counters->visible is how many there are
  // Written by scan_candidates, in the order of `order`: where each row's candidates begin, and its rectangle.
  uint32_t *starts;
  ushort4 *rects;
};

// Scratch of the three below, to be zeroed before the first.
uint64_t emit_scratch_bytes(uint32_t most_rows);

// Fills in.starts and counters->candidates. From 2^32 candidates on, none are tested and counters->pairs says how
// many there are.
cudaError_t scan_candidates(const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream);

// Adds the number of pairs to counters->pairs.
cudaError_t count_pairs(const Scene &scene, const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream);

// What the host may read of a call that does not wait; pinned host memory.
struct Slot {
  volatile unsigned long long pairs, rejected, ticket;
  volatile unsigned long long longest;  // see BlendOut
};

// Writes the pairs in the order of the rows, counters->pairs and listed, the histograms of the tiles' digits for the
// sort that follows, and `slot` unless it is null. Pairs beyond `capacity` (those of the farthest Gaussians) are left out.
template <typename Key>
cudaError_t emit_pairs(const Scene &scene, const EmitIn &in, uint64_t capacity, const Digits &digits, Key *tiles,
                       uint32_t *rows, void *scratch, uint32_t *histograms, Counters *counters, Slot *slot,
                       unsigned long long ticket, cudaStream_t stream);

}  // namespace splat::own
