// What engine `inria` takes: everything else is refused, with both values, before the original runs.
#pragma once

#include "common/arguments.h"
#include "common/device.h"
#include "common/scan.h"
#include "common/status.h"
#include "kernels.h"

namespace splat::inria {

constexpr const char *ENGINE = "inria";
constexpr uint32_t CHANNELS = 1u << SPLAT_COLOR | 1u << SPLAT_INV_DEPTH;

// The checked arguments of a whole pass.
struct Call {
  splat_context context;
  Scene scene;
  Channels channels;
};

template <typename Args>
Call open(const Args &args, Pass pass);

// Refuses what was `asked` for: the original has no `what`.
void refuse(bool asked, const char *what);

void add_inputs(FiniteScan &scan, const Scene &scene);

// Searches the inputs at once, for calls where the original does not wait for the device by itself.
void refuse_nonfinite(const FiniteScan &scan, const Memory &memory);

// Says which Gaussian cannot be projected, with the numbers that made it so.
[[noreturn]] void refuse_splat(const Scene &scene, const Projected &projected, int64_t i);

template <typename T>
T read_back(const T *from, const char *stage) {
  T value;
  cuda(cudaMemcpy(&value, from, sizeof value, cudaMemcpyDeviceToHost), stage);
  return value;
}

}  // namespace splat::inria
