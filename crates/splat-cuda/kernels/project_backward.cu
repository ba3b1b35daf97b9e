// See project_backward.cuh. Equations: splat-core's `projection_backward`, `covariance` and `sh`.
//
// One thread per Gaussian, over all cameras. Bound by memory: about 100 bytes read and 236 written per Gaussian with
// degree 3.
#include "harmonics.cuh"
#include "project_backward.cuh"
#include "records.cuh"
#include "warp.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 128, WARPS = THREADS / 32, POSE = 12;
// Numbers of a Gaussian's SH gradients that can differ from zero, and the row that keeps them: odd, for the banks.
constexpr int SH_NUMBERS = 48, SH_ROW = 49;
// Beside the squared determinant in the original's gradient of the conic.
constexpr float DET_EPSILON = 1e-7f;

struct Grad2d {
  float a, b, c;
};

// Gradient for a symmetric 2x2 matrix (off-diagonal counted once) from that for its inverse [c, -b, a] / det.
__device__ Grad2d inverse_backward(float a, float b, float c, float det, float epsilon, Grad2d g) {
  const float scale = 1.f / (det * det + epsilon);
  return {scale * (-c * c * g.a + b * c * g.b - b * b * g.c),
          scale * (2.f * b * c * g.a - (det + 2.f * b * b) * g.b + 2.f * a * b * g.c),
          scale * (-b * b * g.a + a * b * g.b - a * a * g.c)};
}

// Gradients of one Gaussian, summed over its cameras.
struct Splat {
  Vec3 mean = {0, 0, 0}, color = {0, 0, 0};
  Symmetric sigma = {0, 0, 0, 0, 0, 0};
  float opacity = 0.f;
};

// What one camera's row contributes to the pose.
struct Pose {
  float g[POSE] = {};

  // Row i of the gradient for [R | t].
  __device__ void add(int i, Vec3 rotation, float translation) {
    g[4 * i] += rotation.x, g[4 * i + 1] += rotation.y, g[4 * i + 2] += rotation.z, g[4 * i + 3] += translation;
  }
};

__device__ Vec3 scaled(Vec3 v, float s) { return {v.x * s, v.y * s, v.z * s}; }
__device__ Vec3 plus(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }

// Gradients of the coefficients, into this thread's row of shared memory, and of the direction, through the colour.
template <int DEGREE>
__device__ Vec3 color_backward(const Scene &s, uint32_t i, Vec3 direction, Vec3 grad, bool first, float *sh_row,
                               bool moves) {
  const Loaded<DEGREE> coefficient(Coefficients(s, i));
  const Vec3 before_clamp = sh_color(direction, coefficient);
  if (before_clamp.x < 0.f) grad.x = 0.f;
  if (before_clamp.y < 0.f) grad.y = 0.f;
  if (before_clamp.z < 0.f) grad.z = 0.f;
  Vec3 on_direction = {0, 0, 0};
  if (moves)
    sh_basis_derivatives<DEGREE>(direction, [&](int k, Vec3 slope) {
      on_direction = plus(on_direction, scaled(slope, dot3(coefficient.at(k), grad)));
    });
  sh_basis<DEGREE>(direction, [&](int k, float w) {
    const float v[3] = {w * grad.x, w * grad.y, w * grad.z};
#pragma unroll
    for (int c = 0; c < 3; c++) sh_row[3 * k + c] = first ? v[c] : sh_row[3 * k + c] + v[c];
  });
  if (first)
    for (int k = 3 * Loaded<DEGREE>::COUNT; k < SH_NUMBERS; k++) sh_row[k] = 0.f;
  return on_direction;
}

// Writes columns [skip, skip + length) of the warp's 32 rows of shared memory to rows of `length` numbers; whole lines
// of memory at a time, where a thread alone would touch one number of each.
template <int LENGTH>
__device__ void write_rows(float *to, uint32_t first, uint32_t rows, const float *shared, int skip, int length) {
  const int lane = threadIdx.x % 32;
  if (LENGTH > 0) length = LENGTH;
  to += size_t(first) * length;
  const uint32_t count = rows * length;
  if (LENGTH == SH_NUMBERS && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
#pragma unroll 4
    for (uint32_t k = 4 * lane; k < count; k += 128) {
      const float *from = shared + k / SH_NUMBERS * SH_ROW + k % SH_NUMBERS;
      *reinterpret_cast<float4 *>(to + k) = make_float4(from[0], from[1], from[2], from[3]);
    }
    return;
  }
  for (uint32_t k = lane; k < count; k += 32) {
    const int column = int(k % length) + skip;
    to[k] = column < SH_NUMBERS ? shared[k / length * SH_ROW + column] : 0.f;
  }
}

__device__ void write_sh(const Scene &s, uint32_t first, uint32_t rows, const float *shared,
                         const ProjectBackwardOut &out) {
  if (s.sh_rest) {
    if (out.sh) write_rows<3>(out.sh, first, rows, shared, 0, 3);
    if (!out.sh_rest) return;
    if (s.coeffs == 16)
      write_rows<45>(out.sh_rest, first, rows, shared, 3, 45);
    else
      write_rows<0>(out.sh_rest, first, rows, shared, 3, 3 * (s.coeffs - 1));
  } else if (out.sh) {
    if (s.coeffs == 16)
      write_rows<SH_NUMBERS>(out.sh, first, rows, shared, 0, SH_NUMBERS);
    else
      write_rows<0>(out.sh, first, rows, shared, 0, 3 * s.coeffs);
  }
}

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

// One row: what camera `camera` adds to Gaussian i.
template <bool WITH_POSE, bool STAGED>
__device__ void row_backward(const Scene &s, const Camera &camera, uint32_t i, uint32_t row, Vec3 mean,
                             const Symmetric &sigma, float opacity, bool first, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, float *sh_row, Vec3 &mean2d, Splat &g, Pose &pose) {
  const View view(camera);
  const float tx = view.to_camera(0, mean), ty = view.to_camera(1, mean), tz = view.to_camera(2, mean);
  const Affine j = affine(view, s, camera, tx, ty, tz);
  const Covariance2d raw = project(j, sigma);
  const float a = raw.a + DILATION, b = raw.b, c = raw.c + DILATION;
  const float det = determinant(a, b, c), inv_det = 1.f / det;
  const float xx = c * inv_det, xy = -b * inv_det, yy = a * inv_det;

  const float ratio = determinant(raw.a, raw.b, raw.c) * inv_det;
  const float factor = s.antialiasing ? antialiasing_factor(ratio) : 1.f;
  splat_record_gradient of;
  if (STAGED)
    of = load(in.gradients + row);
  else
    of = from_moments(in.sums + size_t(row) * SUMS, xx, xy, yy, opacity * factor, tz, in.fourth);

  const float half_w = 0.5f * s.width, half_h = 0.5f * s.height;
  const float ndc_x = of.x * half_w, ndc_y = of.y * half_h;
  mean2d = {ndc_x, ndc_y, 0.f};
  if (out.means2d_abs) {
    out.means2d_abs[2 * size_t(row)] = of.abs_x * half_w;
    out.means2d_abs[2 * size_t(row) + 1] = of.abs_y * half_h;
  }
  Grad2d cov = inverse_backward(a, b, c, det, s.exact ? 0.f : DET_EPSILON, {of.inv_cov[0], of.inv_cov[1], of.inv_cov[2]});

  g.opacity += of.opacity * factor;
  if (s.antialiasing && ratio > AA_FLOOR) {
    // dfactor/dratio = 1 / (2 factor); then det(V) / det(V + 0.3 I) for V.
    const float grad_ratio = of.opacity * opacity / (2.f * factor);
    const float va = s.exact ? raw.a : a, vc = s.exact ? raw.c : c;
    const float wide_a = va + DILATION, wide_c = vc + DILATION, wide = 1.f / determinant(wide_a, b, wide_c);
    const float r = determinant(va, b, vc) * wide;
    cov.a += grad_ratio * (vc - r * wide_c) * wide;
    cov.b += grad_ratio * 2.f * b * (r - 1.f) * wide;
    cov.c += grad_ratio * (va - r * wide_a) * wide;
  }

  // Sigma: cov = (u v)^T Sigma (u v), off-diagonals count both halves.
  const Vec3 p = j.u, q = j.v;
  auto off = [&](float pi, float pj, float qi, float qj) {
    return 2.f * cov.a * pi * pj + cov.b * (pi * qj + pj * qi) + 2.f * cov.c * qi * qj;
  };
  auto on = [&](float pi, float qi) { return cov.a * pi * pi + cov.b * pi * qi + cov.c * qi * qi; };
  g.sigma.xx += on(p.x, q.x), g.sigma.yy += on(p.y, q.y), g.sigma.zz += on(p.z, q.z);
  g.sigma.xy += off(p.x, p.y, q.x, q.y);
  g.sigma.xz += off(p.x, p.z, q.x, q.z);
  g.sigma.yz += off(p.y, p.z, q.y, q.z);

  // Rows of J W.
  const Vec3 su = times(sigma, p), sv = times(sigma, q);
  const Vec3 gu = plus(scaled(su, 2.f * cov.a), scaled(sv, cov.b));
  const Vec3 gv = plus(scaled(su, cov.b), scaled(sv, 2.f * cov.c));
  const Vec3 r0 = view.axis(0), r1 = view.axis(1), r2 = view.axis(2);
  const float fx = focal(s.width, camera.tan_fovx), fy = focal(s.height, camera.tan_fovy);
  Vec3 t = {0.f, 0.f, 0.f};
  if (!s.orthographic) {
    const float inv_z = 1.f / tz, inv_z2 = inv_z * inv_z;
    const float depth_u = dot3(gu, r2), depth_v = dot3(gv, r2);
    if (!j.clamped_x) t.x = -fx * inv_z2 * depth_u;
    if (!j.clamped_y) t.y = -fy * inv_z2 * depth_v;
    // Where x/z was clamped, x moves with z: the original keeps the factor 2.
    const float factor_x = s.exact && j.clamped_x ? 1.f : 2.f, factor_y = s.exact && j.clamped_y ? 1.f : 2.f;
    t.z = -fx * inv_z2 * dot3(gu, r0) - fy * inv_z2 * dot3(gv, r1) +
          factor_x * fx * j.x * inv_z2 * inv_z * depth_u + factor_y * fy * j.y * inv_z2 * inv_z * depth_v;
    if (WITH_POSE) {
      pose.add(0, scaled(gu, fx * inv_z), 0.f);
      pose.add(1, scaled(gv, fy * inv_z), 0.f);
      pose.add(2, plus(scaled(gu, -fx * j.x * inv_z2), scaled(gv, -fy * j.y * inv_z2)), 0.f);
    }
  } else if (WITH_POSE) {
    pose.add(0, scaled(gu, fx), 0.f);
    pose.add(1, scaled(gv, fy), 0.f);
  }
  t.z += of.depth;
  g.mean = plus(g.mean, plus(plus(scaled(r0, t.x), scaled(r1, t.y)), scaled(r2, t.z)));

  // ndc = p / (w + epsilon)
  const float inv_w = s.orthographic ? 1.f : 1.f / (view.to_clip(2, mean) + W_EPSILON);
  const float at_x = view.to_clip(0, mean) * inv_w, at_y = view.to_clip(1, mean) * inv_w;
  const Vec3 clip0 = {view.proj[0], view.proj[1], view.proj[2]}, clip1 = {view.proj[4], view.proj[5], view.proj[6]},
             clip3 = {view.proj[8], view.proj[9], view.proj[10]};
  const Vec3 through = plus(scaled(plus(clip0, scaled(clip3, -at_x)), ndc_x * inv_w),
                            scaled(plus(clip1, scaled(clip3, -at_y)), ndc_y * inv_w));
  g.mean = plus(g.mean, through);

  const Vec3 grad = {of.color[0], of.color[1], of.color[2]};
  g.color = plus(g.color, grad);
  Vec3 seen = {0.f, 0.f, 0.f};
  if (!s.colors) {
    float distance;
    const Vec3 direction = sh_direction(view, s.orthographic, mean, distance);
    const bool moves = s.degree > 0 && (distance > 0.f || (WITH_POSE && s.orthographic));
    Vec3 d;
    with_degree(s.degree, [&](auto degree) {
      d = color_backward<decltype(degree)::value>(s, i, direction, grad, first, sh_row, moves);
    });
    if (distance > 0.f) {
      // unit = v / |v|  =>  dL/dv = (g - unit (unit . g)) / |v|
      seen = scaled(plus(d, scaled(direction, -dot3(direction, d))), 1.f / distance);
      g.mean = plus(g.mean, seen);
    } else if (WITH_POSE && s.orthographic && moves) {
      pose.add(2, d, 0.f);
    }
  }
  if (WITH_POSE) {
    // Through the camera-space position, with proj = P V: R turns the world gradient of the pixel into its.
    const Vec3 full = {t.x + dot3(r0, through), t.y + dot3(r1, through), t.z + dot3(r2, through)};
    // campos = -R^-1 t has the gradient -seen: dL/dR = (R seen) campos^T, dL/dt = R seen.
    const Vec3 turned = {dot3(r0, seen), dot3(r1, seen), dot3(r2, seen)};
    const Vec3 eye = {view.campos[0], view.campos[1], view.campos[2]};
    pose.add(0, plus(scaled(mean, full.x), scaled(eye, turned.x)), full.x + turned.x);
    pose.add(1, plus(scaled(mean, full.y), scaled(eye, turned.y)), full.y + turned.y);
    pose.add(2, plus(scaled(mean, full.z), scaled(eye, turned.z)), full.z + turned.z);
  }
}

// splat-core's `covariance_backward`, and the activations of SPLAT_RAW.
__device__ void shape_backward(const Scene &s, const Posture &posture, const Symmetric &grad, Vec3 &scale,
                               float4 &quaternion) {
  const Rotation r = rotation(posture.rotation);
  const float m = s.scale_modifier;
  const Vec3 dev = scaled(posture.scale, m);
  const Vec3 g[3] = {{grad.xx, 0.5f * grad.xy, 0.5f * grad.xz},
                     {0.5f * grad.xy, grad.yy, 0.5f * grad.yz},
                     {0.5f * grad.xz, 0.5f * grad.yz, grad.zz}};
  // Sigma = L L^T with L = R S  =>  dL/dL = 2 G L for symmetric G; with G R first, scales come last.
  Vec3 gr[3];
#pragma unroll
  for (int k = 0; k < 3; k++)
    gr[k] = plus(plus(scaled(r.row[0], 2.f * g[k].x), scaled(r.row[1], 2.f * g[k].y)), scaled(r.row[2], 2.f * g[k].z));
  {
    Vec3 d = {dev.x * (gr[0].x * r.row[0].x + gr[1].x * r.row[1].x + gr[2].x * r.row[2].x),
              dev.y * (gr[0].y * r.row[0].y + gr[1].y * r.row[1].y + gr[2].y * r.row[2].y),
              dev.z * (gr[0].z * r.row[0].z + gr[1].z * r.row[1].z + gr[2].z * r.row[2].z)};
    if (s.exact) d = scaled(d, m);  // the original's is for modifier * scale
    if (s.raw) d = {d.x * posture.scale.x, d.y * posture.scale.y, d.z * posture.scale.z};
    scale = d;
  }
  {
    const Vec3 sq = {dev.x * dev.x, dev.y * dev.y, dev.z * dev.z};
    Vec3 d[3];
#pragma unroll
    for (int k = 0; k < 3; k++) d[k] = {gr[k].x * sq.x, gr[k].y * sq.y, gr[k].z * sq.z};
    const float w = posture.rotation.x, x = posture.rotation.y, y = posture.rotation.z, z = posture.rotation.w;
    float4 q = {2.f * (x * (d[2].y - d[1].z) + y * (d[0].z - d[2].x) + z * (d[1].x - d[0].y)),
                2.f * (y * (d[0].y + d[1].x) + z * (d[0].z + d[2].x) + w * (d[2].y - d[1].z)) -
                    4.f * x * (d[1].y + d[2].z),
                2.f * (x * (d[0].y + d[1].x) + z * (d[1].z + d[2].y) + w * (d[0].z - d[2].x)) -
                    4.f * y * (d[0].x + d[2].z),
                2.f * (x * (d[0].z + d[2].x) + y * (d[1].z + d[2].y) + w * (d[1].x - d[0].y)) -
                    4.f * z * (d[0].x + d[1].y)};
    if (s.raw) {
      // q / |q|: the part along q does nothing.
      const float along = q.x * w + q.y * x + q.z * y + q.w * z;
      const float inverse = posture.length > 0.f ? 1.f / posture.length : 0.f;
      q = {(q.x - w * along) * inverse, (q.y - x * along) * inverse, (q.z - y * along) * inverse,
           (q.w - z * along) * inverse};
    }
    quaternion = q;
  }
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

uint32_t view_partials(uint32_t splats) { return blocks(splats); }

cudaError_t project_backward(const Scene &scene, const Cameras &cameras, const ProjectBackwardIn &in,
                             const ProjectBackwardOut &out, cudaStream_t stream) {
  const uint32_t grid = blocks(scene.splats);
  auto *kernel = in.records ? (out.view ? project_backward_kernel<true, true> : project_backward_kernel<false, true>)
                            : (out.view ? project_backward_kernel<true, false> : project_backward_kernel<false, false>);
  kernel<<<grid, THREADS, 0, stream>>>(scene, cameras, in, out);
  if (out.view) view_kernel<<<scene.cameras, 32 * POSE, 0, stream>>>(out.partial, grid, out.view);
  return cudaGetLastError();
}

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
