// See scan.h. Bound by memory bandwidth: every input is read once, coalesced, with four loads in flight per thread.
#include <cuda_runtime.h>

#include <cmath>

#include "device.h"
#include "scan.h"
#include "status.h"

namespace splat {
inline namespace SPLAT_COPY {
namespace {

struct Spans {
  const uint32_t *data[FiniteScan::MOST];
  unsigned long long count[FiniteScan::MOST];
  int n;
};

// Where: the span in the upper 8 bits, the index in the lower 56, so that the smallest is the first.
constexpr int SPAN_SHIFT = 56;

__device__ bool nonfinite(uint32_t bits) { return (bits & 0x7f800000u) == 0x7f800000u; }

__global__ void find_first_nonfinite(Spans spans, unsigned long long *first) {
  const unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;
  const unsigned long long start = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
  for (int s = 0; s < spans.n; s++) {
    const uint32_t *data = spans.data[s];
    const unsigned long long count = spans.count[s];
    for (unsigned long long i = start; i < count; i += 4 * step) {
      uint32_t bits[4];
      for (int k = 0; k < 4; k++) bits[k] = i + k * step < count ? __ldg(data + i + k * step) : 0;
      for (int k = 0; k < 4; k++)
        if (nonfinite(bits[k])) {
          atomicMin(first, ((unsigned long long)s << SPAN_SHIFT) | (i + k * step));
          return;
        }
    }
  }
}

}  // namespace

void FiniteScan::add(const char *name, const float *data, int64_t count) {
  if (!data || count == 0) return;
  if (n_ == MOST) fail(SPLAT_INTERNAL, "more than %d inputs to search", MOST);
  name_[n_] = name;
  data_[n_] = data;
  count_[n_++] = count;
}

void FiniteScan::launch(unsigned long long *first) const {
  Spans spans = {};
  unsigned long long total = 0;
  for (int s = 0; s < n_; s++) {
    spans.data[s] = reinterpret_cast<const uint32_t *>(data_[s]);
    spans.count[s] = count_[s];
    total += count_[s];
  }
  spans.n = n_;
  constexpr unsigned threads = 256, per_thread = 16, most_blocks = 4096;
  const unsigned long long blocks = total / (threads * per_thread) + 1;
  cuda(cudaMemsetAsync(first, 0xff, sizeof *first, cudaStreamLegacy), "clearing the search for NaN and infinity");
  find_first_nonfinite<<<blocks < most_blocks ? unsigned(blocks) : most_blocks, threads, 0, cudaStreamLegacy>>>(spans,
                                                                                                             first);
  cuda(cudaGetLastError(), "launching `find_first_nonfinite`");
}

void FiniteScan::report(unsigned long long first) const {
  if (first == NOTHING) return;
  const int s = int(first >> SPAN_SHIFT);
  const unsigned long long index = first & ((1ull << SPAN_SHIFT) - 1);
  float value = 0;
  cuda(cudaMemcpy(&value, data_[s] + index, sizeof value, cudaMemcpyDeviceToHost), "reading the value found");
  const char *text = std::isnan(value) ? "NaN" : value > 0 ? "inf" : "-inf";
  fail(SPLAT_INVALID_ARGUMENT, "`%s`[%llu] is %s, but must be finite", name_[s], index, text);
}

}  // namespace SPLAT_COPY
}  // namespace splat
