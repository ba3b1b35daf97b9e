// See project_backward.cuh; the equations are those of projection_backward.cuh.
//
// One thread per Gaussian, over all cameras. Bound by memory: about 100 bytes read and 236 written per Gaussian with
// degree 3; where the pass ends in a step, 236 read and written three times over (stored whole) or about 650 in all
// (compact).
#include "projection_backward.cuh"
#include "step.cuh"
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

struct NoStep {};
template <bool STEP>
using Steps = std::conditional_t<STEP, StepGroups, NoStep>;

// The step of a warp's rows from their gradients; those of SH are in shared memory, which is free afterwards.
__device__ inline void step_rows(const Scene &s, const StepGroups &steps, uint32_t first, uint32_t rows, bool seen,
                                 float *shared, const Splat &g, float opacity, Vec3 scale, float4 quaternion) {
  const int lane = threadIdx.x % 32;
  const uint32_t mask = __ballot_sync(ALL_LANES, seen), live = steps.visible_only ? mask : ALL_LANES;
  const float *own = shared + lane * SH_ROW;
  const float constant[3] = {seen && s.sh ? own[0] : 0.f, seen && s.sh ? own[1] : 0.f, seen && s.sh ? own[2] : 0.f};
  const StepGroup &rest = steps.group[SPLAT_STEP_SH_REST];
  if (rest.param && rest.storage == SPLAT_STORE_COMPACT) {
    if (uint32_t(lane) < rows && (live >> lane & 1)) {
      if (s.coeffs == 16)
        step_compact<45>(rest, first + lane, seen, own + 3);
      else if (s.coeffs == 9)
        step_compact<24>(rest, first + lane, seen, own + 3);
      else
        step_compact<9>(rest, first + lane, seen, own + 3);
    }
  } else if (rest.param) {
    if (!seen)
      for (int k = 0; k < SH_NUMBERS; k++) shared[lane * SH_ROW + k] = 0.f;
    __syncwarp();
    if (s.coeffs == 16)
      step_rest<SH_ROW>(rest, first, rows, live, shared, 45);
    else
      step_rest<SH_ROW>(rest, first, rows, live, shared, 3 * (s.coeffs - 1));
  }
  step_vectors<SPLAT_STEP_SH>(steps.group[SPLAT_STEP_SH], first, rows, live, shared, constant);
  step_vectors<SPLAT_STEP_MEANS3D, 3>(steps.group[SPLAT_STEP_MEANS3D], first, rows, live, shared,
                                      {g.mean.x, g.mean.y, g.mean.z});
  step_vectors<SPLAT_STEP_OPACITIES, 1>(steps.group[SPLAT_STEP_OPACITIES], first, rows, live, shared, {opacity});
  step_vectors<SPLAT_STEP_SCALES, 3>(steps.group[SPLAT_STEP_SCALES], first, rows, live, shared,
                                     {scale.x, scale.y, scale.z});
  step_vectors<SPLAT_STEP_ROTATIONS, 4>(steps.group[SPLAT_STEP_ROTATIONS], first, rows, live, shared,
                                        {quaternion.x, quaternion.y, quaternion.z, quaternion.w});
}

// With STEP no gradient of a parameter is written.
template <bool WITH_POSE, bool STAGED, bool STEP>
__global__ void __launch_bounds__(THREADS) project_backward_kernel(const __grid_constant__ Scene s,
                                                                   const __grid_constant__ Cameras cameras,
                                                                   const __grid_constant__ ProjectBackwardIn in,
                                                                   const __grid_constant__ ProjectBackwardOut out,
                                                                   const __grid_constant__ Steps<STEP> steps) {
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
        opacity = activate_opacity(s.opacities[i], s.raw);
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
  const float of_opacity = s.raw ? g.opacity * opacity * (1.f - opacity) : g.opacity;
  Vec3 scale = {0, 0, 0};
  float4 quaternion = {0, 0, 0, 0};
  if (seen && s.scales) shape_backward(s, posture, g.sigma, scale, quaternion);
  float *space = shared[warp];
  const size_t last = size_t(s.cameras - 1) * s.splats + first;
  if constexpr (STEP) {
    step_rows(s, steps, first, rows, seen, space, g, of_opacity, scale, quaternion);
    write_vectors<3>(out.means2d, last, rows, space, {mean2d.x, mean2d.y, mean2d.z});
  } else {
    if (s.sh && (out.sh || out.sh_rest)) {
      if (!seen)
        for (int k = 0; k < SH_NUMBERS; k++) sh_row[k] = 0.f;
      __syncwarp();
      write_sh(s, first, rows, space, out);
    }
    write_vectors<3>(out.means2d, last, rows, space, {mean2d.x, mean2d.y, mean2d.z});
    write_vectors<3>(out.means3d, first, rows, space, {g.mean.x, g.mean.y, g.mean.z});
    write_vectors<3>(out.colors, first, rows, space, {g.color.x, g.color.y, g.color.z});
    if (out.opacities && exists) out.opacities[i] = of_opacity;
    write_vectors<6>(out.cov3d, first, rows, space,
                     {g.sigma.xx, g.sigma.xy, g.sigma.xz, g.sigma.yy, g.sigma.yz, g.sigma.zz});
    write_vectors<3>(out.scales, first, rows, space, {scale.x, scale.y, scale.z});
    write_vectors<4>(out.rotations, first, rows, space, {quaternion.x, quaternion.y, quaternion.z, quaternion.w});
  }
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

namespace {

template <bool STEP>
cudaError_t launch(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                   const ProjectBackwardOut &out, const Steps<STEP> &steps, cudaStream_t stream) {
  const uint32_t grid = view_partials(scene.splats);
  auto *kernel = in.records ? (out.view ? project_backward_kernel<true, true, STEP> : project_backward_kernel<false, true, STEP>)
                            : (out.view ? project_backward_kernel<true, false, STEP> : project_backward_kernel<false, false, STEP>);
  kernel<<<grid, THREADS, 0, stream>>>(scene, cameras, in, out, steps);
  if (out.view) view_kernel<<<scene.cameras, 32 * POSE, 0, stream>>>(out.partial, grid, out.view);
  return cudaGetLastError();
}

}  // namespace

cudaError_t project_backward(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, const StepGroups *steps, cudaStream_t stream) {
  return steps ? launch<true>(scene, cameras, in, out, *steps, stream)
               : launch<false>(scene, cameras, in, out, {}, stream);
}

}  // namespace splat::own
