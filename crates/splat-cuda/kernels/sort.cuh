// A stable radix sort of (key, value) pairs whose count only the device knows.
//
// Least significant digit first, eight bits a pass, each pass one kernel with a decoupled look-back (Adinets and
// Merrill 2022, "Onesweep"). Keys equal to `drop` vanish in the first pass. Nothing is allocated and nothing waits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace splat::own {

constexpr int SORT_RADIX = 256;
constexpr uint64_t SORT_LIMIT = 1ull << 30;  // pairs; a look-back word keeps two bits for its state

// Scratch for one sort, in bytes; to be zeroed before `sort`.
uint64_t sort_scratch_bytes(uint64_t capacity, int passes);

template <typename Key>
struct Sort {
  // In and out change places every pass: the result is in keys[passes % 2], values[passes % 2].
  Key *keys[2];
  uint32_t *values[2];
  bool values_are_places;    // the first pass takes 0, 1, 2, ... for values[0]
  bool has_drop;
  Key drop;
  const uint32_t *count;     // device memory, or null: the capacity
  uint32_t *kept;            // device memory or null: the count without dropped pairs
  uint64_t capacity;         // most that *count may be
  int passes;
  void *scratch;
};

template <typename Key>
cudaError_t sort(const Sort<Key> &s, cudaStream_t stream);

}  // namespace splat::own
