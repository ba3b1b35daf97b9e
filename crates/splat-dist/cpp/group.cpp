// See group.h.
#include "splat-dist/cpp/group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "splat-dist/src/ffi.rs.h"

#if defined(__linux__)
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace splat_dist {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string text(rust::Str s) { return std::string(s.data(), s.size()); }

at::Tensor of(TensorRef ref) { return *ref.tensor; }

// Work that is done when the call returns.
struct Done : c10d::Work {
  bool isCompleted() override { return true; }
  bool isSuccess() const override { return true; }
  bool wait(milliseconds) override { return true; }
  void synchronize() override {}
};

// Carries tensors of the CPU through the store, for tests of a program's logic on machines without GPUs. Sums are formed in
// the order of the ranks, so they are the same on every rank and in every run.
class StoreBackend : public c10d::Backend {
public:
  StoreBackend(c10::intrusive_ptr<c10d::Store> s, int rank, int size, milliseconds t)
      : Backend(rank, size), store(std::move(s)), timeout(t) {}

  const std::string getBackendName() const override { return "store"; }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor> &tensors,
                                           const c10d::AllreduceOptions &) override {
    ++round;
    for (at::Tensor &tensor : tensors) {
      const at::Tensor own = tensor.contiguous();
      for (int r = 0; r < size_; ++r) {
        if (r != rank_) send(own, r);
      }
      at::Tensor sum = at::zeros_like(own);
      at::Tensor other = at::zeros_like(own);
      for (int r = 0; r < size_; ++r) {
        if (r != rank_) receive(other, r);
        sum.add_(r == rank_ ? own : other);
      }
      tensor.copy_(sum);
    }
    return c10::make_intrusive<Done>();
  }

  c10::intrusive_ptr<c10d::Work> alltoall_base(at::Tensor &output, at::Tensor &input,
                                               std::vector<int64_t> &out_rows, std::vector<int64_t> &in_rows,
                                               const c10d::AllToAllOptions &) override {
    ++round;
    int64_t at = 0;
    for (int r = 0; r < size_; at += in_rows[r], ++r) {
      if (r != rank_) send(input.narrow(0, at, in_rows[r]), r);
    }
    int64_t from = 0;
    for (int r = 0; r < rank_; ++r) from += in_rows[r];
    at = 0;
    for (int r = 0; r < size_; at += out_rows[r], ++r) {
      at::Tensor part = output.narrow(0, at, out_rows[r]);
      if (r == rank_) {
        part.copy_(input.narrow(0, from, in_rows[r]));
      } else {
        receive(part, r);
      }
    }
    return c10::make_intrusive<Done>();
  }

  std::atomic<bool> aborted{false};

private:
  std::string key(int from, int to) const {
    return "t/" + std::to_string(round) + "/" + std::to_string(from) + "/" + std::to_string(to);
  }

  // The store takes 8 MiB at a time.
  static constexpr std::size_t PIECE = 4 << 20;

  void send(const at::Tensor &tensor, int to) {
    const at::Tensor plain = tensor.contiguous();
    const auto *bytes = static_cast<const std::uint8_t *>(plain.const_data_ptr());
    for (std::size_t at = 0, end = plain.nbytes(); at == 0 || at < end; at += PIECE) {
      const std::size_t size = std::min(PIECE, end - at);
      store->set(key(rank_, to) + "/" + std::to_string(at), std::vector<std::uint8_t>(bytes + at, bytes + at + size));
    }
  }

  // Into a contiguous tensor of the size that was sent.
  void receive(at::Tensor &tensor, int from) {
    auto *bytes = static_cast<std::uint8_t *>(tensor.mutable_data_ptr());
    for (std::size_t at = 0, end = tensor.nbytes(); at == 0 || at < end; at += PIECE) {
      const std::vector<std::uint8_t> piece = take(key(from, rank_) + "/" + std::to_string(at), from);
      if (piece.size() != std::min(PIECE, end - at)) {
        throw std::runtime_error("rank " + std::to_string(from) + " sent a piece of " + std::to_string(piece.size()) +
                                 " bytes, but " + std::to_string(std::min(PIECE, end - at)) + " were expected");
      }
      if (!piece.empty()) std::memcpy(bytes + at, piece.data(), piece.size());
    }
  }

  // What is at the key, which is gone then; waits for it.
  std::vector<std::uint8_t> take(const std::string &name, int from) {
    const auto end = Clock::now() + timeout;
    for (auto pause = std::chrono::microseconds(50); !store->check({name}); std::this_thread::sleep_for(pause)) {
      if (aborted) throw std::runtime_error("the exchange was aborted");
      if (Clock::now() > end) {
        throw std::runtime_error("rank " + std::to_string(from) + " sent nothing for " +
                                 std::to_string(timeout.count() / 1000) + " s");
      }
      if (pause < std::chrono::milliseconds(2)) pause *= 2;
    }
    std::vector<std::uint8_t> bytes = store->get(name);
    store->deleteKey(name);
    return bytes;
  }

  c10::intrusive_ptr<c10d::Store> store;
  milliseconds timeout;
  std::uint64_t round = 0;
};

#if defined(__linux__)
using MakeNccl = const char *(*)(c10::intrusive_ptr<c10d::Store> *store, int rank, int world, std::int64_t timeout_ms,
                                 c10::intrusive_ptr<c10d::Backend> *out);
using EndNccl = void (*)(c10d::Backend *backend, bool at_once);

struct Nccl {
  MakeNccl make;
  EndNccl end;
};

// Opens the library from memory: no file is left behind.
Nccl open_nccl(rust::Slice<const std::uint8_t> library) {
  const int file = memfd_create("splat_nccl", MFD_CLOEXEC);
  std::size_t written = 0;
  while (file >= 0 && written < library.size()) {
    const ssize_t n = write(file, library.data() + written, library.size() - written);
    if (n <= 0) throw std::runtime_error("the library for NCCL could not be unpacked into memory");
    written += static_cast<std::size_t>(n);
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  void *opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!opened) {
    const char *why = dlerror();
    throw std::runtime_error(std::string("this libtorch has no NCCL that fits: ") + (why ? why : "no reason given"));
  }
  close(file);
  return {reinterpret_cast<MakeNccl>(dlsym(opened, "splat_nccl_make")),
          reinterpret_cast<EndNccl>(dlsym(opened, "splat_nccl_end"))};
}
#endif

} // namespace

void make_current(std::int32_t device) {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  cuda.setDevice(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)));
}

void Store::set(rust::Str key, rust::Str value) const {
  const std::string bytes = text(value);
  store->set(text(key), std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

bool Store::has(rust::Str key) const { return store->check({text(key)}); }

rust::String Store::get(rust::Str key) const {
  const std::vector<std::uint8_t> bytes = store->get(text(key));
  return rust::String::lossy(std::string(bytes.begin(), bytes.end()));
}

std::unique_ptr<Store> connect(rust::Str host, std::uint16_t port, bool serve, std::uint64_t timeout_ms) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = milliseconds(timeout_ms);
  return std::make_unique<Store>(c10::make_intrusive<c10d::TCPStore>(text(host), options));
}

void Carrier::sum(TensorRef tensor) const {
  std::vector<at::Tensor> tensors{of(tensor)};
  if (!backend->allreduce(tensors)->wait()) throw std::runtime_error("the sum was aborted");
}

void Carrier::exchange(TensorRef output, TensorRef input, rust::Slice<const std::int64_t> counts_out,
                       rust::Slice<const std::int64_t> counts_in) const {
  at::Tensor out = of(output), in = of(input);
  std::vector<std::int64_t> to(counts_out.begin(), counts_out.end()), from(counts_in.begin(), counts_in.end());
  if (!backend->alltoall_base(out, in, to, from)->wait()) throw std::runtime_error("the exchange was aborted");
}

void Carrier::abort() const { end(true); }

void Carrier::shutdown() const { end(false); }

std::unique_ptr<Carrier> carry_by_store(const Store &store, std::int32_t rank, std::int32_t world,
                                        std::uint64_t timeout_ms) {
  auto backend = c10::make_intrusive<StoreBackend>(store.store, rank, world, milliseconds(timeout_ms));
  return std::make_unique<Carrier>(backend, [backend](bool at_once) {
    if (at_once) backend->aborted = true;
  });
}

std::unique_ptr<Carrier> carry_by_nccl(const Store &store, std::int32_t rank, std::int32_t world,
                                       std::uint64_t timeout_ms, rust::Slice<const std::uint8_t> library) {
#if defined(__linux__)
  static const Nccl nccl = open_nccl(library);
  c10::intrusive_ptr<c10d::Store> base = store.store;
  c10::intrusive_ptr<c10d::Backend> backend;
  if (const char *why = nccl.make(&base, rank, world, static_cast<std::int64_t>(timeout_ms), &backend)) {
    throw std::runtime_error(why);
  }
  return std::make_unique<Carrier>(backend, [backend](bool at_once) { nccl.end(backend.get(), at_once); });
#else
  (void)store, (void)rank, (void)world, (void)timeout_ms, (void)library;
  throw std::runtime_error("NCCL exists on Linux alone");
#endif
}

} // namespace splat_dist
