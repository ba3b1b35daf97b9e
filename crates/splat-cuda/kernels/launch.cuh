// How large a launch is: what the current device has. Host functions alone.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>

namespace splat::own {

// Multiprocessors of the current device, at least 1. Asked once per device; threads may ask at the same time.
inline uint32_t multiprocessors() {
  constexpr int REMEMBERED = 64;
  static std::atomic<uint32_t> known[REMEMBERED];
  int device = 0, count = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 1;
  const bool kept = device >= 0 && device < REMEMBERED;
  if (kept)
    if (const uint32_t before = known[device].load(std::memory_order_relaxed)) return before;
  if (cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) != cudaSuccess || count < 1) return 1;
  if (kept) known[device].store(uint32_t(count), std::memory_order_relaxed);
  return uint32_t(count);
}

// Blocks that fill the device, `each` per multiprocessor, but no more than the work needs.
inline uint32_t enough_blocks(uint32_t each, uint64_t needed = UINT64_MAX) {
  const uint64_t most = uint64_t(multiprocessors()) * each;
  return uint32_t(needed < most ? needed : most);
}

}  // namespace splat::own
