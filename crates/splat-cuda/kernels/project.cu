// See project.cuh. Equations: splat-core's `projection::project`.
//
// Bound by memory: 44 bytes per row, then 12 to 192 of colour for those in view; 64 bytes out.
#include "harmonics.cuh"
#include "project.cuh"
#include "records.cuh"
#include "rows.cuh"

namespace splat::own {
namespace {

// Either what the next stages of a whole call take (`out`), or records.
template <bool FEATURES, bool RECORDS>
__global__ void __launch_bounds__(256) project_kernel(const __grid_constant__ Scene s,
                                                      const __grid_constant__ Cameras cameras, Fourth fourth,
                                                      const ProjectOut out, splat_record *records) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= s.splats) return;
  const Camera &camera = cameras.camera[blockIdx.y];
  const uint32_t row = blockIdx.y * s.splats + i;
  const View view(camera);
  const Vec3 mean = load3(s.means3d, i);
  bool visible = false, bad = false;
  int radius = 0;
  float depth = 0.f;
  splat_record record = {};
  do {
    depth = view.to_camera(2, mean);
    bad = !(finite(mean.x) && finite(mean.y) && finite(mean.z));
    if (bad || !(depth > NEAR) || !finite(depth)) break;
    const float tx = view.to_camera(0, mean), ty = view.to_camera(1, mean);
    const float inv_w = s.orthographic ? 1.f : __fdiv_rn(1.f, view.to_clip(2, mean) + W_EPSILON);
    // In f64 as the original: a pixel's place decides tiles and thresholds.
    const float x = float(((double(__fmul_rn(view.to_clip(0, mean), inv_w)) + 1.0) * s.width - 1.0) * 0.5);
    const float y = float(((double(__fmul_rn(view.to_clip(1, mean), inv_w)) + 1.0) * s.height - 1.0) * 0.5);

    Symmetric sigma;
    const float given_opacity = __ldg(s.opacities + i);
    float sick = poison(given_opacity);
    if (s.cov3d) {
      sigma = load_symmetric(s.cov3d, i);
      sick += poison(sigma.xx) + poison(sigma.xy) + poison(sigma.xz) + poison(sigma.yy) + poison(sigma.yz) +
              poison(sigma.zz);
    } else {
      const Vec3 scale = load3(s.scales, i);
      const float4 q = load4(s.rotations, i);
      sick += poison(scale.x) + poison(scale.y) + poison(scale.z) + poison(q.x) + poison(q.y) + poison(q.z) +
              poison(q.w);
      sigma = covariance3d(s, activate(scale, q, s.raw));
    }
    bad = sick != 0.f;
    if (bad) break;
    const Affine j = affine(view, s, camera, tx, ty, depth);
    const Covariance2d raw = project(j, sigma);
    const float a = raw.a + DILATION, b = raw.b, c = raw.c + DILATION;
    const float det = determinant(a, b, c);
    if (det == 0.f) break;
    float opacity = activate_opacity(given_opacity, s.raw);
    if (s.antialiasing) opacity *= antialiasing_factor(__fdiv_rn(determinant(raw.a, raw.b, raw.c), det));
    const float mid = 0.5f * (a + c);
    const float lambda = mid + sqrtf(fmaxf(__fmaf_rn(mid, mid, -det), 0.1f));
    const float r = ceilf(3.f * sqrtf(lambda));
    if (!(r >= 1.f && r < 2147483648.f)) break;
    const float inv_det = __fdiv_rn(1.f, det);
    const float xx = c * inv_det, xy = -b * inv_det, yy = a * inv_det;
    const float level = log2f(opacity);
    ushort4 rect;
    float half_x = r, half_y = r;
    if (s.exact) {
      // Half sides of { exponent >= log2(1/255) }: sqrt(2 ln(255 o) cov), a little wider for the roundings.
      const float reach = 2.f * 0.6931471805599453f * (level - LOG2_ALPHA_MIN) + 1e-3f;
      if (!(reach >= 0.f)) break;
      half_x = sqrtf(reach * a) + 0.02f, half_y = sqrtf(reach * c) + 0.02f;
      if (!box(s, x, y, half_x, half_y, rect)) break;
    } else if (!square(s, x, y, r, rect)) {
      break;
    }

    Vec3 rgb;
    if (s.colors) {
      rgb = load3(s.colors, i);
    } else {
      float distance;
      const Vec3 direction = sh_direction(view, s.orthographic, mean, distance);
      const Coefficients coefficients(s, i);
      with_degree(s.degree, [&](auto degree) {
        rgb = sh_color(direction, Loaded<decltype(degree)::value>(coefficients));
      });
      // Before the clamp: fmaxf would turn NaN into 0.
      sick += poison(rgb.x) + poison(rgb.y) + poison(rgb.z);
      rgb = {fmaxf(rgb.x, 0.f), fmaxf(rgb.y, 0.f), fmaxf(rgb.z, 0.f)};
    }
    if (FEATURES)
      for (int k = 0; k < s.feature_count; k++) sick += poison(__ldg(s.features + size_t(s.feature_count) * i + k));
    bad = sick + poison(rgb.x) + poison(rgb.y) + poison(rgb.z) != 0.f;
    if (bad) break;

    const Shape2d shape = shape_of(x, y, xx, xy, yy, level);
    if (!blendable(shape, xx, xy, yy, opacity)) break;

    visible = true;
    radius = int(r);
    if (RECORDS) {
      record = {x, y, {xx, xy, yy}, opacity, depth, {rgb.x, rgb.y, rgb.z}, half_x, half_y, radius, {0, 0, 0}};
    } else {
      out.shape[row] = shape;
      out.channels[row] = make_float4(rgb.x, rgb.y, rgb.z, fourth_channel(fourth, depth));
      out.rect[row] = rect;
    }
  } while (false);
  if (RECORDS) {
    store(records + row, record);
    return;
  }
  out.radii[row] = visible ? radius : 0;
  out.depth_key[row] = visible ? depth_key(depth) : CULLED;
  // Once per Gaussian, not once per camera.
  if (bad && blockIdx.y == 0) atomicAdd(&out.counters->rejected, 1u);
}

__global__ void gather_features_kernel(const __grid_constant__ Scene s, int group, const int32_t *radii,
                                       float4 *channels) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= s.rows() || radii[row] == 0) return;
  const float *from = s.features_of(row / s.splats, row % s.splats);
  float v[4];
#pragma unroll
  for (int k = 0; k < 4; k++) v[k] = 4 * group + k < s.feature_count ? __ldg(from + 4 * group + k) : 0.f;
  channels[row] = make_float4(v[0], v[1], v[2], v[3]);
}

__global__ void gather_depth_kernel(const __grid_constant__ Scene s, const __grid_constant__ Cameras cameras,
                                    const int32_t *radii, float4 *channels) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= s.rows() || radii[row] == 0) return;
  const View view(cameras.camera[row / s.splats]);
  channels[row] = make_float4(view.to_camera(2, load3(s.means3d, row % s.splats)), 0.f, 0.f, 0.f);
}

__global__ void mark_visible_kernel(uint32_t count, const float *means3d, const float *view, uint8_t *visible) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const Vec3 axis = {__ldg(view + 2), __ldg(view + 6), __ldg(view + 10)};
  visible[i] = dot3(axis, load3(means3d, i)) + __ldg(view + 14) > NEAR;
}

uint32_t blocks(uint64_t threads, uint32_t block) { return uint32_t((threads + block - 1) / block); }

}  // namespace

cudaError_t project(const Scene &scene, const Cameras &cameras, Fourth fourth, const ProjectOut &out,
                    cudaStream_t stream) {
  const dim3 grid(blocks(scene.splats, 256), scene.cameras);
  if (scene.feature_count)
    project_kernel<true, false><<<grid, 256, 0, stream>>>(scene, cameras, fourth, out, nullptr);
  else
    project_kernel<false, false><<<grid, 256, 0, stream>>>(scene, cameras, fourth, out, nullptr);
  return cudaGetLastError();
}

cudaError_t project_records(const Scene &scene, const Cameras &cameras, splat_record *records, cudaStream_t stream) {
  const dim3 grid(blocks(scene.splats, 256), scene.cameras);
  project_kernel<false, true><<<grid, 256, 0, stream>>>(scene, cameras, Fourth::NONE, {}, records);
  return cudaGetLastError();
}

cudaError_t gather_features(const Scene &scene, int group, const int32_t *radii, float4 *channels,
                            cudaStream_t stream) {
  gather_features_kernel<<<blocks(scene.rows(), 256), 256, 0, stream>>>(scene, group, radii, channels);
  return cudaGetLastError();
}

cudaError_t gather_depth(const Scene &scene, const Cameras &cameras, const int32_t *radii, float4 *channels,
                         cudaStream_t stream) {
  gather_depth_kernel<<<blocks(scene.rows(), 256), 256, 0, stream>>>(scene, cameras, radii, channels);
  return cudaGetLastError();
}

cudaError_t kernels_load() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, mark_visible_kernel);
}

cudaError_t mark_visible(uint32_t count, const float *means3d, const float *view, uint8_t *visible,
                         cudaStream_t stream) {
  mark_visible_kernel<<<blocks(count, 256), 256, 0, stream>>>(count, means3d, view, visible);
  return cudaGetLastError();
}

}  // namespace splat::own
