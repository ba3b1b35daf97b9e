// A stable radix sort of (key, value) pairs whose count only the device knows.
//
// Least significant digit first, at most eight bits per pass, each pass one kernel with a decoupled look-back (Adinets
// and Merrill 2022, "Onesweep"). Keys equal to `drop` vanish in the first pass. Nothing is allocated and nothing waits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace splat::own {

constexpr int SORT_RADIX = 256;
constexpr uint64_t SORT_LIMIT = 1ull << 30;  // pairs; a look-back word keeps two bits for its state

// How the bits of a key are shared out over the passes: few and even ones, because a digit's pairs are written together
// and long runs fill whole lines of memory.
struct Digits {
  int passes, width;

  Digits(int bits = 1) : passes((bits + 7) / 8), width((bits + passes - 1) / passes) {}
  __host__ __device__ uint32_t of(uint32_t key, int pass) const {
    return (key >> (width * pass)) & ((1u << width) - 1);
  }
};

// Scratch for one sort, in bytes; to be zeroed before `sort`. The histograms of the digits, SORT_RADIX numbers per
// pass, come first.
uint64_t sort_scratch_bytes(uint64_t capacity, const Digits &digits);

template <typename Key>
struct Sort {
  // In and out change places every pass: the result is in keys[passes % 2], values[passes % 2].
  Key *keys[2];
  uint32_t *values[2];
  Digits digits;
  bool values_are_places;    // the first pass takes 0, 1, 2, ... for values[0]
  bool counted;              // the histograms have been filled already
  bool has_drop;
  Key drop;
  const uint32_t *count;     // device memory, or null: the capacity
  uint32_t *kept;            // device memory or null: the count without dropped pairs
  uint64_t capacity;         // most that *count may be
  void *scratch;
  // Or null: [keys, 2] words that begin as 0; a key's become ~(its first place) and its last place + 1.
  uint2 *ranges;
};

template <typename Key>
cudaError_t sort(const Sort<Key> &s, cudaStream_t stream);

}  // namespace splat::own
