// See device.h.
#include "device.h"

#include <cstdio>

#include "status.h"
#include "structs.h"

namespace splat {
inline namespace SPLAT_COPY {
namespace {

// Codes that mean: no GPU here that this library can use, whatever the call was.
bool means_no_device(cudaError_t code) {
  switch (code) {
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInitializationError:
    case cudaErrorStubLibrary:
    case cudaErrorDevicesUnavailable:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return true;
    default:
      return false;
  }
}

void version(char (&text)[16], int number) {
  std::snprintf(text, sizeof text, "%d.%d", number / 1000, number % 1000 / 10);
}

[[noreturn]] void no_device(cudaError_t code, const char *stage) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  char ours[16], theirs[16] = "none";
  version(ours, runtime);
  if (driver) version(theirs, driver);
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorUnsupportedPtxVersion) {
    int device = 0, major = 0, minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    fail(SPLAT_NO_DEVICE,
         "no code for this GPU while %s: %s (GPU %d has compute capability %d.%d, this library was built for %s; "
         "driver supports CUDA: %s, this library's runtime: %s)",
         stage, cudaGetErrorString(code), device, major, minor, SPLAT_CUDA_ARCHS, theirs, ours);
  }
  fail(SPLAT_NO_DEVICE, "no usable CUDA device while %s: %s (driver supports CUDA: %s, this library's runtime: %s)",
       stage, cudaGetErrorString(code), theirs, ours);
}

}  // namespace

void cuda(cudaError_t code, const char *stage) {
  if (code == cudaSuccess) return;
  // Clears an error that is not sticky, so that the next call does not report it again.
  cudaGetLastError();
  if (means_no_device(code)) no_device(code, stage);
  if (code == cudaErrorMemoryAllocation)
    fail(SPLAT_OUT_OF_MEMORY, "CUDA error %d (%s) while %s", code, cudaGetErrorString(code), stage);
  fail(SPLAT_DEVICE_ERROR, "CUDA error %d (%s) while %s", code, cudaGetErrorString(code), stage);
}

CurrentDevice::CurrentDevice(int32_t device) : previous_(0), device_(device) {
  int count = 0;
  cuda(cudaGetDeviceCount(&count), "looking for devices");
  if (device < 0 || device >= count)
    fail(SPLAT_NO_DEVICE, "`context.device` is %d, but this machine has %d CUDA device%s", device, count,
         count == 1 ? "" : "s");
  cuda(cudaGetDevice(&previous_), "asking for the current device");
  if (previous_ != device_) cuda(cudaSetDevice(device_), "choosing the device");
}

CurrentDevice::~CurrentDevice() {
  if (previous_ != device_) cudaSetDevice(previous_);
}

void device_or_throw(int32_t device, splat_device *to) {
  required("out", to);
  const CurrentDevice current(device);
  splat_device out = {};
  cudaDeviceProp properties;
  cuda(cudaGetDeviceProperties(&properties, device), "asking for the device's properties");
  size_t free = 0, total = 0;
  cuda(cudaMemGetInfo(&free, &total), "asking for the device's memory");
  out.multiprocessors = uint32_t(properties.multiProcessorCount);
  out.memory_free = free;
  out.memory_total = total;
  std::snprintf(out.name, sizeof out.name, "%.63s", properties.name);
  write(out, to, "splat_device");
}

OnCallersStream::OnCallersStream(void *stream)
    : stream_(static_cast<cudaStream_t>(stream)), event_(nullptr), open_(stream_ && stream_ != cudaStreamLegacy) {
  if (!open_) return;
  cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event");
  try {
    catch_up();
  } catch (...) {
    cudaEventDestroy(event_);
    throw;
  }
}

void OnCallersStream::catch_up() const {
  if (!open_) return;
  const char *stage = "waiting for the caller's stream (work queued before this call, or the allocator's)";
  cuda(cudaEventRecord(event_, stream_), stage);
  cuda(cudaStreamWaitEvent(cudaStreamLegacy, event_, 0), stage);
}

void OnCallersStream::close() {
  if (!open_) return;
  const char *stage = "handing the results to the caller's stream";
  cuda(cudaEventRecord(event_, cudaStreamLegacy), stage);
  cuda(cudaStreamWaitEvent(stream_, event_, 0), stage);
  open_ = false;
}

OnCallersStream::~OnCallersStream() {
  if (open_ && cudaEventRecord(event_, cudaStreamLegacy) == cudaSuccess) cudaStreamWaitEvent(stream_, event_, 0);
  // Released by the driver once it has passed.
  if (event_) cudaEventDestroy(event_);
}

Memory::Memory(const splat_context &context, const OnCallersStream *bracket) : context_(context), bracket_(bracket) {}

void *Memory::get(uint32_t kind, size_t bytes, const char *what) const {
  void *memory = context_.alloc(context_.user, kind, bytes);
  if (!memory && bytes)
    fail(SPLAT_OUT_OF_MEMORY, "the caller's allocator gave no memory for %s (%zu bytes)", what, bytes);
  if (bracket_) bracket_->catch_up();
  return memory;
}

float *Memory::scratch(size_t floats, const char *what) const {
  return static_cast<float *>(get(SPLAT_MEM_SCRATCH, floats * sizeof(float), what));
}

}  // namespace SPLAT_COPY
}  // namespace splat
