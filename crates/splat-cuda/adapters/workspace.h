// How a call that does not wait learns what earlier calls needed: pinned words that the device writes.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <mutex>

#include "splat_engine.h"
#include "tiles.cuh"

// Opaque to callers.
struct splat_workspace {
  static constexpr uint64_t SLOTS = 256;

  explicit splat_workspace(int32_t device);
  ~splat_workspace();
  splat_workspace(const splat_workspace &) = delete;
  splat_workspace &operator=(const splat_workspace &) = delete;

  // How many pairs the next call makes room for; 0 before the first.
  uint64_t capacity();
  // Begins a call on this stream with room for `capacity` pairs; gives its slot and ticket.
  splat::own::Slot *begin(cudaStream_t stream, uint64_t capacity, uint64_t &ticket);
  // Whether one tile's list takes long compared with all the others, as far as the last finished calls tell.
  bool deep();
  // The most that is known to have been needed.
  void learn(uint64_t pairs);
  void poll(int64_t ticket, bool wait, splat_progress &out);

  const int32_t device;

 private:
  void look_back();

  std::mutex mutex_;
  splat::own::Slot *slots_ = nullptr;
  cudaStream_t stream_[SLOTS] = {};
  uint64_t given_[SLOTS] = {};
  uint64_t tickets_ = 0, seen_ = 0, capacity_ = 0;
  bool deep_ = true;
};
