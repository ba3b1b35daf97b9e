// The one place that sees NCCL's and CUDA's headers: makes torch's NCCL backend. A library of its own, opened by group.cpp
// after libtorch_cuda, which has everything that is left undefined here.
#include <cstdint>
#include <cstdlib>
#include <string>

#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

// Null, or why it failed; the text lives until the thread's next call.
extern "C" __attribute__((visibility("default"))) const char *
splat_nccl_make(c10::intrusive_ptr<c10d::Store> *store, int rank, int world, std::int64_t timeout_ms,
                c10::intrusive_ptr<c10d::Backend> *out) {
  static thread_local std::string why;
  try {
    // The watch over the group is Rust's, which names rank, host and cause. Torch's own would end the process by an uncaught
    // exception as soon as a connection breaks. What the user has set stays.
    for (const char *name : {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "TORCH_NCCL_ENABLE_MONITORING",
                             "TORCH_NCCL_DUMP_ON_TIMEOUT"}) {
      setenv(name, "0", 0);
    }
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(timeout_ms);
    *out = c10::make_intrusive<c10d::ProcessGroupNCCL>(*store, rank, world, options);
    return nullptr;
  } catch (const c10::Error &e) {
    why = e.what_without_backtrace();
  } catch (const std::exception &e) {
    why = e.what();
  }
  return why.c_str();
}

// Ends a backend of `splat_nccl_make`: at once, with whatever is under way, or in order.
extern "C" __attribute__((visibility("default"))) void splat_nccl_end(c10d::Backend *backend, bool at_once) {
  auto *nccl = static_cast<c10d::ProcessGroupNCCL *>(backend);
  if (at_once) {
    nccl->abort();
  } else {
    nccl->shutdown();
  }
}
