// See project_backward.cuh; the equations are those of projection_backward.cuh.
//
// One thread per Gaussian, over all cameras. Bound by memory: about 100 bytes read and 236 written per Gaussian with
// degree 3.
#include "projection_backward.cuh"
#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 128, WARPS = THREADS / 32;

// Writes N numbers per lane as rows of N, by way of the warp's shared memory.
template <int N>
__device__ void write_vectors(float *to, size_t first, uint32_t rows, float *shared, const float (&v)[N]) {
  if (!to) return;
  const int lane = threadIdx.x % 32;
  __syncwarp();
#pragma unroll
  for (int k = 0; k < N; k++) shared[N * lane + k] = v[k];
  __syncwarp();
#pragma unroll
  for (int k = 0; k < N; k++)
    if (uint32_t(32 * k + lane) < rows * N) to[N * first + 32 * k + lane] = shared[32 * k + lane];
}

template <bool WITH_POSE, bool STAGED>
__global__ void __launch_bounds__(THREADS) project_backward_kernel(const __grid_constant__ Scene s,
                                                                   const __grid_constant__ Cameras cameras,
                                                                   const __grid_constant__ ProjectBackwardIn in,
                                                                   const __grid_constant__ ProjectBackwardOut out) {
  __shared__ float shared[WARPS][32 * SH_ROW];
  __shared__ float warps[WITH_POSE ? WARPS : 1][POSE];
  const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool exists = i < s.splats;
  // The warp's Gaussians are consecutive: their rows of every output are one piece of memory.
  const uint32_t first = i - lane, rows = first < s.splats ? min(32u, s.splats - first) : 0;
  float *sh_row = shared[warp] + lane * SH_ROW;
  Splat g;
  Posture posture = {{0, 0, 0}, {1, 0, 0, 0}, 1.f};
  bool seen = false;
  Vec3 mean = {0, 0, 0};
  Symmetric sigma = {0, 0, 0, 0, 0, 0};
  float opacity = 0.f;
  Vec3 mean2d = {0, 0, 0};
  for (uint32_t c = 0; c < s.cameras; c++) {
    const size_t row = size_t(c) * s.splats + i;
    Pose pose;
    mean2d = {0, 0, 0};
    if (exists && (STAGED ? in.records[row].radius : in.radii[row]) > 0) {
      if (!seen) {
        mean = load3(s.means3d, i);
        opacity = activate_opacity(__ldg(s.opacities + i), s.raw);
        if (s.cov3d) {
          sigma = load_symmetric(s.cov3d, i);
        } else {
          posture = activate(load3(s.scales, i), load4(s.rotations, i), s.raw);
          sigma = covariance3d(s, posture);
        }
      }
      row_backward<WITH_POSE, STAGED>(s, cameras.camera[c], i, uint32_t(row), mean, sigma, opacity, !seen, in, out, sh_row,
                              mean2d, g, pose);
      seen = true;
    } else if (exists && out.means2d_abs) {
      out.means2d_abs[2 * row] = out.means2d_abs[2 * row + 1] = 0.f;
    }
    // SH gradients of several cameras stay in shared memory till the end; with one, the space is free after them.
    if (c + 1 < s.cameras && out.means2d && exists) {
      float *to = out.means2d + 3 * row;
      to[0] = mean2d.x, to[1] = mean2d.y, to[2] = 0.f;
    }
    if (WITH_POSE) {
      const float total = transposed_sum(pose.g);
      const int number = summed_number(lane);
      if (number < POSE && lane % 2 == 0) warps[warp][number] = total;
      __syncthreads();
      if (threadIdx.x < POSE) {
        float sum = 0.f;
        for (int w = 0; w < WARPS; w++) sum += warps[w][threadIdx.x];
        out.partial[(size_t(c) * gridDim.x + blockIdx.x) * POSE + threadIdx.x] = sum;
      }
      __syncthreads();
    }
  }
  if (rows == 0) return;
  if (s.sh && (out.sh || out.sh_rest)) {
    if (!seen)
      for (int k = 0; k < SH_NUMBERS; k++) sh_row[k] = 0.f;
    __syncwarp();
    write_sh(s, first, rows, shared[warp], out);
  }
  float *space = shared[warp];
  write_vectors<3>(out.means2d, size_t(s.cameras - 1) * s.splats + first, rows, space, {mean2d.x, mean2d.y, mean2d.z});
  write_vectors<3>(out.means3d, first, rows, space, {g.mean.x, g.mean.y, g.mean.z});
  write_vectors<3>(out.colors, first, rows, space, {g.color.x, g.color.y, g.color.z});
  if (out.opacities && exists) out.opacities[i] = s.raw ? g.opacity * opacity * (1.f - opacity) : g.opacity;
  write_vectors<6>(out.cov3d, first, rows, space,
                   {g.sigma.xx, g.sigma.xy, g.sigma.xz, g.sigma.yy, g.sigma.yz, g.sigma.zz});
  Vec3 scale = {0, 0, 0};
  float4 quaternion = {0, 0, 0, 0};
  if (seen && s.scales) shape_backward(s, posture, g.sigma, scale, quaternion);
  write_vectors<3>(out.scales, first, rows, space, {scale.x, scale.y, scale.z});
  write_vectors<4>(out.rotations, first, rows, space, {quaternion.x, quaternion.y, quaternion.z, quaternion.w});
}

// Sums the blocks' parts in their order.
__global__ void view_kernel(const float *partial, uint32_t blocks, float *view) {
  const uint32_t camera = blockIdx.x;
  const int number = threadIdx.x / 32, lane = threadIdx.x % 32;
  double sum = 0;
  for (uint32_t b = lane; b < blocks; b += 32) sum += partial[(size_t(camera) * blocks + b) * POSE + number];
  for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, d);
  // Column-major like the matrix; the last row does not move.
  if (lane == 0) view[16 * camera + 4 * (number % 4) + number / 4] = float(sum);
  if (number == 0 && lane < 4) view[16 * camera + 4 * lane + 3] = 0.f;
}

}  // namespace

uint32_t view_partials(uint32_t splats) { return (splats + THREADS - 1) / THREADS; }

cudaError_t project_backward(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, cudaStream_t stream) {
  const uint32_t grid = view_partials(scene.splats);
  auto *kernel = in.records ? (out.view ? project_backward_kernel<true, true> : project_backward_kernel<false, true>)
                            : (out.view ? project_backward_kernel<true, false> : project_backward_kernel<false, false>);
  kernel<<<grid, THREADS, 0, stream>>>(scene, cameras, in, out);
  if (out.view) view_kernel<<<scene.cameras, 32 * POSE, 0, stream>>>(out.partial, grid, out.view);
  return cudaGetLastError();
}

}  // namespace splat::own
