// The autograd node: what it keeps, what its backward pass hands to Rust, and what it refuses. See render.h.
#include "splat-tch/cpp/render.h"

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <c10/core/AutogradState.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "splat-tch/src/ffi/bridge.rs.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace splat {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

variable_list tensors(rust::Slice<const TensorRef> refs) {
  variable_list out;
  out.reserve(refs.size());
  for (const TensorRef &r : refs) {
    out.push_back(r.tensor ? *r.tensor : at::Tensor());
  }
  return out;
}

std::vector<TensorRef> borrowed(const variable_list &list) {
  std::vector<TensorRef> out;
  out.reserve(list.size());
  for (const at::Tensor &t : list) {
    out.push_back(TensorRef{t.defined() ? &t : nullptr});
  }
  return out;
}

template <typename T> rust::Slice<const T> slice(const std::vector<T> &v) {
  return rust::Slice<const T>(v.data(), v.size());
}

// Owns the Rust half in the context's map of IValues.
struct Holder : torch::CustomClassHolder {
  explicit Holder(rust::Box<Call> c) : call(std::move(c)) {}
  rust::Box<Call> call;
};

struct Pending {
  rust::Box<Call> call;
  variable_list outputs;
  variable_list without_gradient;
  variable_list kept;
};

// grad_fn of the gradients when backward ran with create_graph: usable as they are, not differentiable.
struct RefuseDoubleBackward : torch::autograd::Node {
  RefuseDoubleBackward(torch::autograd::edge_list &&edges, std::string name)
      : Node(std::move(edges)), operation(std::move(name)) {}
  variable_list apply(variable_list &&) override {
    throw std::runtime_error(operation +
                             " has first derivatives only: its gradients were differentiated again "
                             "(double backward); detach them, or run backward without create_graph");
  }
  std::string operation;
};

void refuse_double_backward(variable_list &gradients, const variable_list &saved,
                            const variable_list &upstream, std::string operation) {
  // Edges to everything the gradients depend on, so that no path of a second backward misses this node.
  variable_list sources = saved;
  sources.insert(sources.end(), upstream.begin(), upstream.end());
  auto node = std::shared_ptr<RefuseDoubleBackward>(
      new RefuseDoubleBackward(torch::autograd::collect_next_edges(sources), std::move(operation)),
      torch::autograd::deleteNode);
  for (at::Tensor &g : gradients) {
    if (g.defined()) {
      torch::autograd::create_gradient_edge(g, node);
    }
  }
}

class Operation : public torch::autograd::Function<Operation> {
public:
  static variable_list forward(AutogradContext *ctx, Pending &pending, at::TensorList inputs) {
    ctx->set_materialize_grads(false);
    ctx->mark_non_differentiable(pending.without_gradient);
    ctx->saved_data["inputs"] = static_cast<std::int64_t>(inputs.size());
    ctx->saved_data["call"] =
        c10::IValue::make_capsule(c10::make_intrusive<Holder>(std::move(pending.call)));
    ctx->save_for_backward(std::move(pending.kept));
    return pending.outputs;
  }

  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const bool create_graph = torch::autograd::GradMode::is_enabled();
    // Fails with torch's own sentence if an input was modified in place or the buffers were freed.
    const variable_list saved = ctx->get_saved_variables();
    const auto capsule = ctx->saved_data.at("call").toCapsule();
    const Call &call = *static_cast<Holder &>(*capsule).call;
    const auto inputs = static_cast<std::size_t>(ctx->saved_data.at("inputs").toInt());

    const auto wanted = std::make_unique<bool[]>(inputs);
    for (std::size_t i = 0; i < inputs; ++i) {
      wanted[i] = ctx->needs_input_grad(i);
    }
    variable_list gradients(1 + inputs); // the first stands for `pending`, no tensor
    {
      torch::autograd::AutoGradMode no_grad(false);
      const std::vector<TensorRef> saved_refs = borrowed(saved);
      const std::vector<TensorRef> upstream_refs = borrowed(upstream);
      rust::Vec<OwnedTensor> got =
          splat::backward(call, slice(saved_refs), slice(upstream_refs),
                          rust::Slice<const bool>(wanted.get(), inputs));
      for (std::size_t i = 0; i < inputs && i < got.size(); ++i) {
        if (got[i].tensor) {
          gradients[1 + i] = std::move(*got[i].tensor);
        }
      }
    }
    if (create_graph) {
      refuse_double_backward(gradients, saved, upstream, std::string(call.operation()));
    }
    return gradients;
  }
};

using StreamOf = std::int32_t (*)(std::int32_t device, void **stream);

// Of torch's C shim; a libtorch without CUDA does not have it, so it is looked up, not linked.
StreamOf find_stream_of() {
  constexpr const char *name = "aoti_torch_get_current_cuda_stream";
#if defined(_WIN32)
  HMODULE library = GetModuleHandleA("torch_cuda.dll");
  return library ? reinterpret_cast<StreamOf>(reinterpret_cast<void *>(GetProcAddress(library, name)))
                 : nullptr;
#else
  return reinterpret_cast<StreamOf>(dlsym(RTLD_DEFAULT, name));
#endif
}

} // namespace

rust::Vec<OwnedTensor> attach(rust::Box<Call> call, rust::Slice<const TensorRef> inputs,
                              rust::Slice<const TensorRef> outputs,
                              rust::Slice<const std::size_t> without_gradient,
                              rust::Slice<const TensorRef> kept) {
  Pending pending{std::move(call), tensors(outputs), {}, tensors(kept)};
  for (const std::size_t i : without_gradient) {
    pending.without_gradient.push_back(pending.outputs.at(i));
  }
  const variable_list in = tensors(inputs);
  variable_list linked = Operation::apply(pending, at::TensorList(in));
  rust::Vec<OwnedTensor> out;
  out.reserve(linked.size());
  for (at::Tensor &t : linked) {
    out.push_back(OwnedTensor{std::make_unique<at::Tensor>(std::move(t))});
  }
  return out;
}

bool grad_enabled() { return torch::autograd::GradMode::is_enabled(); }

bool set_backward_threads(bool enabled) {
  c10::AutogradState &state = c10::AutogradState::get_tls_state();
  const bool before = state.get_multithreading_enabled();
  state.set_multithreading_enabled(enabled);
  return before;
}

void changed_in_place(rust::Slice<const TensorRef> tensors) {
  for (const TensorRef &r : tensors) {
    if (r.tensor && !r.tensor->is_inference()) {
      r.tensor->unsafeGetTensorImpl()->bump_version();
    }
  }
}

std::size_t current_stream(std::int32_t device) {
  static const StreamOf stream_of = find_stream_of();
  if (!stream_of) {
    throw std::runtime_error("torch does not give its CUDA stream to other libraries: "
                             "`aoti_torch_get_current_cuda_stream` is not in the libtorch_cuda that is loaded");
  }
  void *stream = nullptr;
  if (stream_of(device, &stream) != 0) {
    throw std::runtime_error("torch does not name the current stream of CUDA device " +
                             std::to_string(device));
  }
  return reinterpret_cast<std::size_t>(stream);
}

std::unique_ptr<DeviceScope> device_scope(std::int32_t device) {
  return std::make_unique<DeviceScope>(device);
}

// Torch reads the variable when it first allocates on a GPU. A second thread that reads the environment meanwhile is the
// caller's to exclude.
void prefer_growing_segments() {
#if !defined(_WIN32)
  const char *name = "PYTORCH_CUDA_ALLOC_CONF";
  if (!std::getenv(name) && !std::getenv("PYTORCH_ALLOC_CONF")) setenv(name, "expandable_segments:True", 0);
#endif
}

// Events of the backend's own default, which have a time.
Mark::Mark(std::int32_t device) : event(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT) {
  const c10::Device on(c10::kCUDA, static_cast<c10::DeviceIndex>(device));
  event.record(c10::impl::getDeviceGuardImpl(c10::kCUDA)->getStream(on));
}

double Mark::milliseconds_since(const Mark &earlier) const {
  event.synchronize();
  return earlier.event.elapsedTime(event);
}

std::unique_ptr<Mark> mark(std::int32_t device) { return std::make_unique<Mark>(device); }

} // namespace splat
