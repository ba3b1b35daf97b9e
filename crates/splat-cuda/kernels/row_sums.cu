// See row_sums.cuh.
#include "row_sums.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 128;

__global__ void __launch_bounds__(THREADS) sum_places_kernel(const float *by_place, const uint32_t *places,
                                                             const uint32_t *rows, const Counters *counters,
                                                             float *sums) {
  // A thread has one number of one place; the first place of a row adds up the row's.
  const uint32_t n = counters->listed;
  const uint64_t index = uint64_t(blockIdx.x) * THREADS + threadIdx.x;
  const uint32_t place = uint32_t(index / SUMS), number = index % SUMS;
  if (place >= n) return;
  const uint32_t row = rows[place];
  if (place > 0 && rows[place - 1] == row) return;
  float sum = 0.f;
  for (uint32_t k = place; k < n && rows[k] == row; k++) sum += by_place[uint64_t(places[k]) * SUMS + number];
  sums[uint64_t(row) * SUMS + number] = sum;
}

__global__ void add_sums_kernel(uint32_t rows, const int32_t *radii, const float4 *depth, Fourth fourth,
                                const float *from, float *to) {
  const uint32_t row = blockIdx.x * THREADS + threadIdx.x;
  if (row >= rows || radii[row] == 0) return;
  from += size_t(row) * SUMS, to += size_t(row) * SUMS;
  for (int k = SUM_U; k <= SUM_UYY; k++) to[k] += from[k];
  if (!depth) return;
  // The fourth channel is 1 / z, whose derivative is -1 / z^2.
  const float z = depth[row].x;
  to[SUM_C3] += fourth == Fourth::INV_DEPTH ? -from[SUM_C0] * z * z : from[SUM_C0];
}

__global__ void feature_kernel(const __grid_constant__ Scene s, int group, const int32_t *radii, const float *sums,
                               float *features) {
  const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
  if (i >= s.splats) return;
  float sum[4] = {0.f, 0.f, 0.f, 0.f};
  for (uint32_t c = 0; c < s.cameras; c++) {
    const uint32_t row = c * s.splats + i;
    if (!sums || radii[row] == 0) continue;
    for (int k = 0; k < 4; k++) sum[k] += sums[size_t(row) * SUMS + SUM_C0 + k];
  }
  for (int k = 0; k < 4 && 4 * group + k < s.feature_count; k++)
    features[size_t(s.feature_count) * i + 4 * group + k] = sum[k];
}

uint32_t blocks(uint64_t threads) { return uint32_t((threads + THREADS - 1) / THREADS); }

}  // namespace

cudaError_t sum_places(const float *by_place, const uint32_t *places, const uint32_t *rows, uint64_t capacity,
                       const Counters *counters, float *sums, cudaStream_t stream) {
  if (capacity == 0) return cudaSuccess;
  sum_places_kernel<<<blocks(capacity * SUMS), THREADS, 0, stream>>>(by_place, places, rows, counters, sums);
  return cudaGetLastError();
}

cudaError_t add_sums(uint32_t rows, const int32_t *radii, const float4 *depth, Fourth fourth, const float *from,
                     float *to, cudaStream_t stream) {
  add_sums_kernel<<<blocks(rows), THREADS, 0, stream>>>(rows, radii, depth, fourth, from, to);
  return cudaGetLastError();
}

cudaError_t feature_backward(const Scene &scene, int group, const int32_t *radii, const float *sums, float *features,
                             cudaStream_t stream) {
  feature_kernel<<<blocks(scene.splats), THREADS, 0, stream>>>(scene, group, radii, sums, features);
  return cudaGetLastError();
}

}  // namespace splat::own
