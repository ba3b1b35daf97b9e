// The autograd node of `render` and `ssim`, and what only torch can tell: the current stream and device.
//
// No maths, no CUDA headers, no engine here: the forward has already run when `attach` is called, and the
// backward calls back into Rust. Every function throws std::exception; cxx turns that into a Result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/DeviceGuard.h>

#include "rust/cxx.h"
#include "torch-link/errors.h"

namespace splat {

struct Call;        // Rust: what one forward left besides tensors
struct TensorRef;   // borrowed, null = absent
struct OwnedTensor; // owned, null = absent

// Puts one node between `inputs` and `outputs`, if any input requires a gradient and gradients are enabled. `kept` lives in
// the node, guarded by version counters, until backward has run without retain_graph or the graph is dropped.
// `without_gradient` lists the outputs that are not differentiable. Its backward calls back into Rust with one flag per
// input, and takes as many gradients.
rust::Vec<OwnedTensor> attach(rust::Box<Call> call, rust::Slice<const TensorRef> inputs,
                              rust::Slice<const TensorRef> outputs,
                              rust::Slice<const std::size_t> without_gradient,
                              rust::Slice<const TensorRef> kept);

// Whether graphs are recorded on this thread.
bool grad_enabled();

// Whether this thread's backward calls hand the GPU part of the graph to another thread; returns the previous setting.
bool set_backward_threads(bool enabled);

// Counts a change behind torch's back, so that graphs that kept the tensors notice.
void changed_in_place(rust::Slice<const TensorRef> tensors);

// Torch's current stream of a CUDA device, as a cudaStream_t.
std::size_t current_stream(std::int32_t device);

// Makes a CUDA device current for a while.
struct DeviceScope {
  explicit DeviceScope(std::int32_t device)
      : guard(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(device))) {}
  c10::DeviceGuard guard;
};
std::unique_ptr<DeviceScope> device_scope(std::int32_t device);

// Asks torch's CUDA allocator to let its segments grow, if the environment says nothing else. Before any CUDA tensor.
void prefer_growing_segments();

// A point in the current stream of a CUDA device, and when the device reached it.
struct Mark {
  explicit Mark(std::int32_t device);
  // Milliseconds of the device's clock between the two; waits until the device has reached both.
  double milliseconds_since(const Mark &earlier) const;

private:
  c10::Event event;
};
std::unique_ptr<Mark> mark(std::int32_t device);

} // namespace splat
