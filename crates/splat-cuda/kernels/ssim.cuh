// Structural similarity (Wang et al. 2004) of images in planes, the photometric loss made of it (`ssim` and
// `photometric` of splat-core), and their gradients for the first image.
//
// Gaussian window 11x11, sigma 1.5, zero padding; C1 = 0.01^2, C2 = 0.03^2 for values in 0..1.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace splat::own {

// What the mean is of: similarity * S + difference * |image - target|, plus offset.
struct SsimMean {
  float similarity, difference, offset;
};
// The mean similarity, and the loss (1 - lambda) mean |image - target| + lambda (1 - mean S).
constexpr SsimMean MEAN_SIMILARITY = {1.f, 0.f, 0.f};
constexpr SsimMean photometric_mean(float lambda) { return {-lambda, 1.f - lambda, lambda}; }

struct SsimImages {
  const float *image, *target;  // [planes, height, width]
  uint32_t planes;
  int width, height;
  int border;    // pixels at every side that do not count in the mean
  SsimMean mean;
};

// Numbers of scratch for the mean.
uint64_t ssim_partials(const SsimImages &images);

// partials [3, planes, height, width] or null: dS/dmu, dS/dE[x^2], dS/dE[xy] of every pixel. map, mean: or null.
cudaError_t ssim_forward(const SsimImages &images, float *map, float *partials, float *scratch, float *mean,
                         cudaStream_t stream);

// grad_map [planes, height, width] or null: then *grad_mean over the pixels that count, or nothing if that is null.
cudaError_t ssim_backward(const SsimImages &images, const float *partials, const float *grad_map,
                          const float *grad_mean, float *grad_image, cudaStream_t stream);

}  // namespace splat::own
