// See ssim.cuh. A block of threads has 32x32 pixels of one plane: the window is separable, so rows are blurred from
// and to shared memory first, then columns.
//
// Floor: 8 bytes read and 16 written per pixel forward, 20 read and 4 written backward; 2 x 11 x 5 (x 3) multiply-adds.
#include "ssim.cuh"

#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int SIDE = 32, REACH = 5, HALO = SIDE + 2 * REACH, ROWS = 8, THREADS = SIDE * ROWS;
constexpr float C1 = 0.01f * 0.01f, C2 = 0.03f * 0.03f;
// exp(-k^2 / (2 1.5^2)) for k = 0..5, normalised over the eleven.
__constant__ float WINDOW[REACH + 1] = {0.26601172486179436f, 0.2130055377112537f,    0.10936068950970002f,
                                        0.03600077212843083f, 0.007598758135239185f, 0.00102838008447911f};

__device__ float tap(int k) { return WINDOW[k < REACH ? REACH - k : k - REACH]; }

struct Place {
  int x0, y0;
  uint64_t plane;

  __device__ explicit Place(const SsimImages &i)
      : x0(blockIdx.x * SIDE), y0(blockIdx.y * SIDE), plane(uint64_t(blockIdx.z) * i.width * i.height) {}
};

__device__ bool counts(const SsimImages &i, int x, int y) {
  return x >= i.border && x < i.width - i.border && y >= i.border && y < i.height - i.border;
}

__global__ void __launch_bounds__(THREADS) forward_kernel(const SsimImages in, float *map, float *partials,
                                                          float *block_sums) {
  __shared__ float image[HALO][HALO + 1], target[HALO][HALO + 1];
  __shared__ float blurred[5][HALO][SIDE];
  __shared__ float warps[ROWS];
  const Place at(in);
  const int tx = threadIdx.x, ty = threadIdx.y, t = ty * SIDE + tx;
  for (int k = t; k < HALO * HALO; k += THREADS) {
    const int row = k / HALO, column = k % HALO, x = at.x0 + column - REACH, y = at.y0 + row - REACH;
    const bool inside = x >= 0 && x < in.width && y >= 0 && y < in.height;
    const uint64_t pixel = at.plane + uint64_t(y) * in.width + x;
    image[row][column] = inside ? __ldg(in.image + pixel) : 0.f;
    target[row][column] = inside ? __ldg(in.target + pixel) : 0.f;
  }
  __syncthreads();
  for (int row = ty; row < HALO; row += ROWS) {
    float a = 0.f, b = 0.f, aa = 0.f, bb = 0.f, ab = 0.f;
#pragma unroll
    for (int k = 0; k < 2 * REACH + 1; k++) {
      const float w = tap(k), p = image[row][tx + k], q = target[row][tx + k];
      const float wp = w * p, wq = w * q;
      a += wp, b += wq;
      aa = fmaf(wp, p, aa), bb = fmaf(wq, q, bb), ab = fmaf(wp, q, ab);
    }
    blurred[0][row][tx] = a, blurred[1][row][tx] = b;
    blurred[2][row][tx] = aa, blurred[3][row][tx] = bb, blurred[4][row][tx] = ab;
  }
  __syncthreads();
  float sum = 0.f;
  const uint64_t all = uint64_t(in.planes) * in.width * in.height;
  for (int row = ty; row < SIDE; row += ROWS) {
    const int x = at.x0 + tx, y = at.y0 + row;
    float v[5] = {0.f, 0.f, 0.f, 0.f, 0.f};
#pragma unroll
    for (int k = 0; k < 2 * REACH + 1; k++) {
      const float w = tap(k);
#pragma unroll
      for (int j = 0; j < 5; j++) v[j] = fmaf(w, blurred[j][row + k][tx], v[j]);
    }
    if (x >= in.width || y >= in.height) continue;
    const float m1 = v[0], m2 = v[1];
    const float s11 = v[2] - m1 * m1, s22 = v[3] - m2 * m2, s12 = v[4] - m1 * m2;
    const float a = 2.f * m1 * m2 + C1, b = 2.f * s12 + C2;
    const float c = m1 * m1 + m2 * m2 + C1, d = s11 + s22 + C2;
    const float inverse = 1.f / (c * d), s = a * b * inverse;
    const uint64_t pixel = at.plane + uint64_t(y) * in.width + x;
    if (map) map[pixel] = s;
    if (counts(in, x, y))
      sum += in.mean.similarity * s +
             in.mean.difference * fabsf(image[row + REACH][tx + REACH] - target[row + REACH][tx + REACH]);
    if (partials) {
      // S = A B / (C D) for mu, E[x^2], E[xy] as free variables.
      const float on_square = -s / d, on_product = 2.f * a * inverse;
      partials[pixel] = 2.f * m2 * b * inverse - 2.f * m1 * s / c - 2.f * m1 * on_square - m2 * on_product;
      partials[all + pixel] = on_square;
      partials[2 * all + pixel] = on_product;
    }
  }
  if (!block_sums) return;
  sum = warp_sum(sum);
  if (tx == 0) warps[ty] = sum;
  __syncthreads();
  if (t == 0) {
    float total = 0.f;
    for (int w = 0; w < ROWS; w++) total += warps[w];
    block_sums[(uint64_t(blockIdx.z) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = total;
  }
}

// Adds the blocks' sums in a fixed order.
__global__ void mean_kernel(const float *block_sums, uint64_t count, double pixels, float offset, float *mean) {
  __shared__ double part[256];
  double sum = 0;
  for (uint64_t k = threadIdx.x; k < count; k += 256) sum += block_sums[k];
  part[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 128; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *mean = float(part[0] / pixels + offset);
}

__global__ void __launch_bounds__(THREADS) backward_kernel(const SsimImages in, const float *partials,
                                                           const float *grad_map, const float *grad_mean,
                                                           float inverse_pixels, float *grad_image) {
  __shared__ float weighted[3][HALO][HALO + 1];
  __shared__ float blurred[3][HALO][SIDE];
  const Place at(in);
  const int tx = threadIdx.x, ty = threadIdx.y, t = ty * SIDE + tx;
  const uint64_t all = uint64_t(in.planes) * in.width * in.height;
  const float even = grad_mean ? *grad_mean * inverse_pixels : 0.f;
  const float similarity = even * in.mean.similarity, difference = even * in.mean.difference;
  for (int k = t; k < HALO * HALO; k += THREADS) {
    const int row = k / HALO, column = k % HALO, x = at.x0 + column - REACH, y = at.y0 + row - REACH;
    const bool inside = x >= 0 && x < in.width && y >= 0 && y < in.height;
    const uint64_t pixel = at.plane + uint64_t(y) * in.width + x;
    float g = 0.f;
    if (inside) {
      g = counts(in, x, y) ? similarity : 0.f;
      if (grad_map) g += __ldg(grad_map + pixel);
    }
#pragma unroll
    for (int j = 0; j < 3; j++) weighted[j][row][column] = g != 0.f ? g * __ldg(partials + j * all + pixel) : 0.f;
  }
  __syncthreads();
  for (int row = ty; row < HALO; row += ROWS) {
    float v[3] = {0.f, 0.f, 0.f};
#pragma unroll
    for (int k = 0; k < 2 * REACH + 1; k++) {
      const float w = tap(k);
#pragma unroll
      for (int j = 0; j < 3; j++) v[j] = fmaf(w, weighted[j][row][tx + k], v[j]);
    }
#pragma unroll
    for (int j = 0; j < 3; j++) blurred[j][row][tx] = v[j];
  }
  __syncthreads();
  for (int row = ty; row < SIDE; row += ROWS) {
    const int x = at.x0 + tx, y = at.y0 + row;
    if (x >= in.width || y >= in.height) continue;
    float v[3] = {0.f, 0.f, 0.f};
#pragma unroll
    for (int k = 0; k < 2 * REACH + 1; k++) {
      const float w = tap(k);
#pragma unroll
      for (int j = 0; j < 3; j++) v[j] = fmaf(w, blurred[j][row + k][tx], v[j]);
    }
    const uint64_t pixel = at.plane + uint64_t(y) * in.width + x;
    // mu = G x, E[x^2] = G x^2, E[xy] = G xy, and G is its own transpose.
    const float p = __ldg(in.image + pixel), q = __ldg(in.target + pixel);
    float g = v[0] + 2.f * p * v[1] + q * v[2];
    if (p != q && counts(in, x, y)) g += p > q ? difference : -difference;
    grad_image[pixel] = g;
  }
}

dim3 grid_of(const SsimImages &i) {
  return dim3((i.width + SIDE - 1) / SIDE, (i.height + SIDE - 1) / SIDE, i.planes);
}

double counted(const SsimImages &i) {
  return double(i.planes) * (i.width - 2 * i.border) * double(i.height - 2 * i.border);
}

}  // namespace

uint64_t ssim_partials(const SsimImages &images) {
  const dim3 g = grid_of(images);
  return uint64_t(g.x) * g.y * g.z;
}

cudaError_t ssim_forward(const SsimImages &images, float *map, float *partials, float *scratch, float *mean,
                         cudaStream_t stream) {
  forward_kernel<<<grid_of(images), dim3(SIDE, ROWS), 0, stream>>>(images, map, partials, mean ? scratch : nullptr);
  if (mean) mean_kernel<<<1, 256, 0, stream>>>(scratch, ssim_partials(images), counted(images),
                                           images.mean.offset, mean);
  return cudaGetLastError();
}

cudaError_t ssim_backward(const SsimImages &images, const float *partials, const float *grad_map,
                          const float *grad_mean, float *grad_image, cudaStream_t stream) {
  backward_kernel<<<grid_of(images), dim3(SIDE, ROWS), 0, stream>>>(images, partials, grad_map, grad_mean,
                                                                    float(1.0 / counted(images)), grad_image);
  return cudaGetLastError();
}

}  // namespace splat::own
