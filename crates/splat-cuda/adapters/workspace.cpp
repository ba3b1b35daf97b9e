// See workspace.h.
#include "workspace.h"

#include <thread>

#include "adapter.h"
#include "common/device.h"
#include "common/status.h"
#include "common/structs.h"

splat_workspace::splat_workspace(int32_t device) : device(device) {
  const splat::CurrentDevice current(device);
  void *memory = nullptr;
  splat::cuda(cudaHostAlloc(&memory, SLOTS * sizeof *slots_, cudaHostAllocPortable | cudaHostAllocMapped),
              "pinning a workspace's host memory");
  slots_ = static_cast<splat::own::Slot *>(memory);
  for (uint64_t k = 0; k < SLOTS; k++) slots_[k].ticket = 0;
}

splat_workspace::~splat_workspace() {
  // A call still under way would write into the slots.
  int before = 0;
  const bool switched = cudaGetDevice(&before) == cudaSuccess && before != device && cudaSetDevice(device) == cudaSuccess;
  if (tickets_ > 0) cudaDeviceSynchronize();
  cudaFreeHost(slots_);
  if (switched) cudaSetDevice(before);
}

uint64_t splat_workspace::capacity() {
  const std::lock_guard<std::mutex> lock(mutex_);
  look_back();
  return capacity_;
}

// Takes in what has finished since the last look.
void splat_workspace::look_back() {
  const uint64_t oldest = tickets_ > SLOTS ? tickets_ - SLOTS : 0;
  if (seen_ < oldest) seen_ = oldest;
  while (seen_ < tickets_ && slots_[(seen_ + 1) % SLOTS].ticket == seen_ + 1) {
    const uint64_t pairs = slots_[(seen_ + 1) % SLOTS].pairs;
    // A tenth is kept free: needs change slowly from call to call.
    if (pairs + pairs / 10 > capacity_) capacity_ = pairs + pairs / 4;
    // Blending a segment of one list takes as long as blending about this many pairs on a whole large GPU (measured on
    // an H100; the results do not depend on it).
    constexpr uint64_t PAIRS_A_SEGMENT = 192 * 1024;
    const uint64_t longest = slots_[(seen_ + 1) % SLOTS].longest;
    if (longest > 0) deep_ = pairs < longest * PAIRS_A_SEGMENT;
    seen_++;
  }
}

bool splat_workspace::deep() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return deep_;
}

void splat_workspace::learn(uint64_t pairs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t least = 4096;
  const uint64_t wanted = pairs + pairs / 4 + least;
  if (wanted > capacity_) capacity_ = wanted;
}

splat::own::Slot *splat_workspace::begin(cudaStream_t stream, uint64_t capacity, uint64_t &ticket) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ticket = ++tickets_;
  stream_[ticket % SLOTS] = stream;
  given_[ticket % SLOTS] = capacity;
  slots_[ticket % SLOTS].longest = 0;
  return slots_ + ticket % SLOTS;
}

void splat_workspace::poll(int64_t ticket, bool wait, splat_progress &out) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ticket < 1 || uint64_t(ticket) > tickets_)
    splat::fail(SPLAT_INVALID_ARGUMENT, "`saved.ticket` is %lld, but this workspace has given 1 to %llu",
                (long long)ticket, (unsigned long long)tickets_);
  if (uint64_t(ticket) + SLOTS <= tickets_)
    splat::fail(SPLAT_INVALID_ARGUMENT, "`saved.ticket` is %lld, but a workspace remembers %llu calls and is at %llu",
                (long long)ticket, (unsigned long long)SLOTS, (unsigned long long)tickets_);
  const splat::own::Slot &slot = slots_[ticket % SLOTS];
  while (wait && slot.ticket != uint64_t(ticket)) {
    const cudaError_t code = cudaStreamQuery(stream_[ticket % SLOTS]);
    if (code == cudaSuccess && slot.ticket != uint64_t(ticket))
      splat::fail(SPLAT_INTERNAL, "the stream has passed call %lld, yet its counts did not arrive", (long long)ticket);
    if (code != cudaErrorNotReady) splat::cuda(code, "waiting for a call's counts");
    std::this_thread::yield();
  }
  out.done = slot.ticket == uint64_t(ticket);
  out.overflow = 0;
  out.capacity = int64_t(given_[ticket % SLOTS]);
  if (!out.done) return;
  out.rendered = int64_t(slot.pairs);
  out.rejected = int64_t(slot.rejected);
  out.overflow = slot.pairs > given_[ticket % SLOTS];
  if (slot.pairs + slot.pairs / 10 > capacity_) capacity_ = slot.pairs + slot.pairs / 4;
}

namespace splat::own {

void workspace_new_or_throw(int32_t device, splat_workspace **out) {
  given(out, "out") = nullptr;
  *out = new splat_workspace(device);
}

void poll_or_throw(splat_workspace *workspace, const splat_saved *saved, bool wait, splat_progress *out) {
  required("workspace", workspace);
  const int64_t ticket = read(saved, "splat_saved").ticket;
  required("out", out);
  const CurrentDevice current(workspace->device);
  splat_progress progress = {};
  workspace->poll(ticket, wait, progress);
  write(progress, out, "splat_progress");
}

}  // namespace splat::own
