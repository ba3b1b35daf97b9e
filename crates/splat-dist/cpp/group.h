// Groups of processes on libtorch's c10d: the store at which they meet, and the exchange of tensors.
//
// No NCCL and no CUDA headers here; nccl.cpp, a library of its own, has them. Every function throws std::exception; cxx turns
// that into a Result.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "rust/cxx.h"
#include "torch-link/errors.h"

namespace splat_dist {

struct TensorRef; // borrowed

// Makes a GPU the current one of this thread, so that nothing is set up on another one by the way.
void make_current(std::int32_t device);

// A connection to the store. One thread at a time.
struct Store {
  explicit Store(c10::intrusive_ptr<c10d::TCPStore> s) : store(std::move(s)) {}
  void set(rust::Str key, rust::Str value) const;
  bool has(rust::Str key) const;
  // Of a key that is there.
  rust::String get(rust::Str key) const;
  c10::intrusive_ptr<c10d::TCPStore> store;
};
std::unique_ptr<Store> connect(rust::Str host, std::uint16_t port, bool serve, std::uint64_t timeout_ms);

// What carries tensors between the processes. `exchange` and `sum` belong to one thread, `abort` may come from another.
struct Carrier {
  // `e` ends the backend, at once or in order: in older torch the base class has no function for it.
  using End = std::function<void(bool at_once)>;
  Carrier(c10::intrusive_ptr<c10d::Backend> b, End e) : backend(std::move(b)), end(std::move(e)) {}
  // Adds up `tensor` over all processes, in place. On a GPU its current stream waits, not the caller.
  void sum(TensorRef tensor) const;
  // Sends `counts_in[r]` rows of `input` to process r, in order, and receives `counts_out[r]` rows from it.
  void exchange(TensorRef output, TensorRef input, rust::Slice<const std::int64_t> counts_out,
                rust::Slice<const std::int64_t> counts_in) const;
  // Ends what is under way, here and now, with an error.
  void abort() const;
  // Waits for what is under way and frees the connections.
  void shutdown() const;
  c10::intrusive_ptr<c10d::Backend> backend;
  End end;
};
// Through the store, on the CPU.
std::unique_ptr<Carrier> carry_by_store(const Store &store, std::int32_t rank, std::int32_t world,
                                        std::uint64_t timeout_ms);
// By NCCL; `library` holds the bytes of the library made of nccl.cpp.
std::unique_ptr<Carrier> carry_by_nccl(const Store &store, std::int32_t rank, std::int32_t world,
                                       std::uint64_t timeout_ms, rust::Slice<const std::uint8_t> library);

} // namespace splat_dist
