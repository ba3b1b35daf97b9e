// The CUDA side of a call: which device, whose stream, whose memory, and what an error code means.
//
// Allocates no device memory itself: `Memory` asks the caller's allocator.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "splat_engine.h"

namespace splat {
inline namespace SPLAT_COPY {

// Throws unless `code` is cudaSuccess. `stage` says what was being done, as in "forward: sorting".
void cuda(cudaError_t code, const char *stage);

// Makes `device` current for a scope. Throws SPLAT_NO_DEVICE, with both versions, where there is none.
class CurrentDevice {
 public:
  explicit CurrentDevice(int32_t device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice &) = delete;
  CurrentDevice &operator=(const CurrentDevice &) = delete;

 private:
  int previous_, device_;
};

// The body of splat_engine_table.device: name, multiprocessors and memory.
void device_or_throw(int32_t device, splat_device *to);

// Runs a scope's work on the legacy default stream (the one that kernels without a stream use) as if it stood
// on the caller's stream: after what the caller queued before, and before what the caller queues next.
// Host and device are not synchronised.
class OnCallersStream {
 public:
  explicit OnCallersStream(void *stream);
  // Also after a failure the caller's stream waits: what was queued still uses the caller's memory.
  ~OnCallersStream();
  // Lets the work that follows here wait for what the caller's stream holds by now.
  void catch_up() const;
  // Closes the bracket with an error where the destructor could only be silent.
  void close();
  OnCallersStream(const OnCallersStream &) = delete;
  OnCallersStream &operator=(const OnCallersStream &) = delete;

 private:
  cudaStream_t stream_;
  cudaEvent_t event_;
  bool open_;
};

// The caller's allocator. The engine may write the memory until the call ends (SCRATCH) or the backward pass has run
// (SAVED). It may be ordered by the caller's stream (cudaMallocAsync, or an allocator that fills what it gives):
// with a bracket, every allocation is followed by a catch_up.
class Memory {
 public:
  explicit Memory(const splat_context &context, const OnCallersStream *bracket = nullptr);
  // Never NULL; throws SPLAT_OUT_OF_MEMORY, naming `what`.
  void *get(uint32_t kind, size_t bytes, const char *what) const;
  float *scratch(size_t floats, const char *what) const;

 private:
  splat_context context_;
  const OnCallersStream *bracket_;
};

}  // namespace SPLAT_COPY
}  // namespace splat
