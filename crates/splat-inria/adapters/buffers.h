// The buffers that the original leaves for backward, and the checks while it makes them.
#pragma once

#include <climits>
#include <functional>

#include "cuda_rasterizer/rasterizer.h"
#include "cuda_rasterizer/rasterizer_impl.h"
#include "inputs.h"
#include "kernels.h"

namespace splat::inria {

using CudaRasterizer::BinningState;
using CudaRasterizer::GeometryState;
using CudaRasterizer::ImageState;

// Order of the buffers in splat_saved.
enum { GEOMETRY, BINNING, IMAGE, BUFFERS };

// Buffers that the original asks for during forward, kept for backward. Between its projection and its sorting
// it has just waited for the device: there, at the request for the sorting buffer, everything is checked that
// could make it read or write where it must not.
class Buffers {
 public:
  Buffers(const Scene &scene, const Memory &memory, const FiniteScan &scan, const int *radii)
      : scene_(scene),
        memory_(memory),
        scan_(scan),
        radii_(radii),
        findings_(static_cast<Findings *>(memory.get(SPLAT_MEM_SCRATCH, sizeof(Findings), "the checks of the inputs"))) {
    scan_.launch(&findings_->nonfinite);
  }

  std::function<char *(size_t)> geometry() {
    return [this](size_t bytes) { return keep(GEOMETRY, bytes, "the projected Gaussians"); };
  }
  std::function<char *(size_t)> image() {
    return [this](size_t bytes) { return keep(IMAGE, bytes, "the image's state"); };
  }
  std::function<char *(size_t)> binning() {
    return [this](size_t bytes) {
      check(bytes);
      return keep(BINNING, bytes, "the sorted list of Gaussians");
    };
  }

  void hand_over(splat_saved &saved, int rendered) const {
    saved.rejected = 0;  // refused before
    saved.ticket = -1;
    saved.buffer_count = BUFFERS;
    saved.rendered = rendered;
    for (int i = 0; i < BUFFERS; i++) {
      saved.buffer[i] = buffer_[i];
      saved.bytes[i] = bytes_[i];
    }
  }

 private:
  char *keep(int which, size_t bytes, const char *what) {
    buffer_[which] = static_cast<char *>(memory_.get(SPLAT_MEM_SAVED, bytes, what));
    bytes_[which] = bytes;
    return buffer_[which];
  }

  void check(size_t binning_bytes) const {
    char *chunk = buffer_[GEOMETRY];
    const GeometryState state = GeometryState::fromChunk(chunk, size_t(scene_.count));
    const Projected projected = {state.tiles_touched, radii_, state.conic_opacity, scene_.sh ? state.rgb : nullptr};
    check_projection(int(scene_.count), projected, findings_);
    const Findings found = read_back(findings_, "checking the projected Gaussians");
    scan_.report(found.nonfinite);
    if (found.bad_splat != FiniteScan::NOTHING) refuse_splat(scene_, projected, int64_t(found.bad_splat));
    if (found.pairs > INT_MAX)
      fail(SPLAT_UNSUPPORTED, "the view has %llu pairs of Gaussian and tile, but engine `inria` counts them up to %d",
           found.pairs, INT_MAX);
    if (binning_bytes != CudaRasterizer::required<BinningState>(size_t(found.pairs)))
      fail(SPLAT_DEVICE_ERROR, "the sum over tiles went wrong: %llu pairs of Gaussian and tile, yet %zu bytes to sort them",
           found.pairs, binning_bytes);
  }

  const Scene &scene_;
  const Memory &memory_;
  const FiniteScan &scan_;
  const int *radii_;
  Findings *findings_;
  char *buffer_[BUFFERS] = {};
  size_t bytes_[BUFFERS] = {};
};

inline void check_saved(const splat_saved &saved, const Scene &scene) {
  if (saved.buffer_count != BUFFERS)
    fail(SPLAT_INVALID_ARGUMENT,
         "`saved` has %u buffers, but engine `inria` leaves %d: it is not of this engine's forward", saved.buffer_count,
         BUFFERS);
  if (saved.rendered < 0 || saved.rendered > INT_MAX)
    fail(SPLAT_INVALID_ARGUMENT, "`saved.rendered` is %lld: it is not of this engine's forward",
         (long long)saved.rendered);
  const size_t needed[BUFFERS] = {CudaRasterizer::required<GeometryState>(size_t(scene.count)),
                                  CudaRasterizer::required<BinningState>(size_t(saved.rendered)),
                                  CudaRasterizer::required<ImageState>(size_t(scene.pixels()))};
  for (int i = 0; i < BUFFERS; i++) {
    required("saved.buffer", saved.buffer[i]);
    if (saved.bytes[i] != needed[i])
      fail(SPLAT_INVALID_ARGUMENT,
           "`saved.bytes`[%d] is %llu, but %lld Gaussians on %dx%d pixels need %zu: forward had other inputs", i,
           (unsigned long long)saved.bytes[i], (long long)scene.count, scene.width, scene.height, needed[i]);
  }
}

}  // namespace splat::inria
