// Stage `tiles`: from rows in depth order to (tile, row) pairs, and after the sort to each tile's part of the list.
#pragma once

#include <cuda_runtime.h>

#include "types.h"

namespace splat::own {

struct EmitIn {
  const uint32_t *order;   // rows, nearest first
  const Shape2d *shape;
  const ushort4 *rect;
  uint32_t *starts;        // where each row's candidates begin, in that order; written by scan_candidates
  uint32_t most_rows;      // counters->visible is how many there are
};

// Scratch of the three below, to be zeroed before the first.
uint64_t emit_scratch_bytes(uint32_t most_rows);

// Fills in.starts and counters->candidates. From 2^32 candidates on, none are tested and counters->pairs says how
// many there are.
cudaError_t scan_candidates(const EmitIn &in, void *scratch, Counters *counters, cudaStream_t stream);

// Adds the number of pairs to counters->pairs.
cudaError_t count_pairs(const Scene &scene, const EmitIn &in, Counters *counters, cudaStream_t stream);

// Writes the pairs in the order of the rows, and counters->pairs and listed. Pairs beyond `capacity` (those of the
// farthest splats) are left out.
template <typename Key>
cudaError_t emit_pairs(const Scene &scene, const EmitIn &in, uint64_t capacity, Key *tiles, uint32_t *rows,
                       void *scratch, Counters *counters, cudaStream_t stream);

// What the host may read of a call that does not wait; pinned host memory.
struct Slot {
  volatile unsigned long long pairs, rejected, ticket;
};

// range[tile] = first and last + 1 place in the sorted list; to be zeroed before. Fills `slot` unless it is null.
template <typename Key>
cudaError_t find_ranges(const Key *tiles, uint64_t capacity, uint2 *range, const Counters *counters, Slot *slot,
                        unsigned long long ticket, cudaStream_t stream);

}  // namespace splat::own
