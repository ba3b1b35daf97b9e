// Adam (Kingma and Ba 2015, algorithm 1) for several tensors in one launch.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace splat::own {

struct AdamGroup {
  float *param;
  const float *grad;
  float *exp_avg, *exp_avg_sq;
  uint64_t count;   // rows * width
  uint32_t width;
  bool aligned;     // all four can be read 16 bytes at a time
  float step_size;  // lr / (1 - beta1^step)
  float beta1, beta2, eps;
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
};

struct AdamGroups {
  static constexpr int MOST = 8;
  AdamGroup group[MOST];
  int count;
};

// Rows r with visible[r] <= 0 are left alone; null: all rows are updated.
cudaError_t adam_step(const AdamGroups &groups, const int32_t *visible, cudaStream_t stream);

}  // namespace splat::own
