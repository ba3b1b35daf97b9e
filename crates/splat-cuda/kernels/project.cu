// See project.cuh. Equations: splat-core's `projection::project`.
//
// Bound by memory: 44 bytes a row, then 12 to 192 of colour for those in view; 64 bytes out.
#include "harmonics.cuh"
#include "project.cuh"

namespace splat::own {
namespace {

// Tiles [low, high) of 16 pixels, cut to [0, most). Compared as floats first: a far away mean must not overflow.
__device__ uint2 cut(float low, float high, int most) {
  const float m = float(most);
  return {unsigned(fminf(fmaxf(low, 0.f), m)), unsigned(fminf(fmaxf(high, 0.f), m))};
}

// Tiles of the square of the 3-sigma radius, truncated toward zero as the original does.
__device__ bool square(const Scene &s, float x, float y, float r, ushort4 &rect) {
  const uint2 h = cut((x - r) / TILE, (x + r + TILE - 1) / TILE, s.tiles_x);
  const uint2 v = cut((y - r) / TILE, (y + r + TILE - 1) / TILE, s.tiles_y);
  rect = make_ushort4(h.x, v.x, h.y, v.y);
  return h.x < h.y && v.x < v.y;
}

// Tiles of the pixels within (half_x, half_y) of the centre.
__device__ bool box(const Scene &s, float x, float y, float half_x, float half_y, ushort4 &rect) {
  const float x0 = fmaxf(ceilf(x - half_x), 0.f), x1 = fminf(floorf(x + half_x), float(s.width - 1));
  const float y0 = fmaxf(ceilf(y - half_y), 0.f), y1 = fminf(floorf(y + half_y), float(s.height - 1));
  if (!(x0 <= x1 && y0 <= y1)) return false;
  rect = make_ushort4(unsigned(x0) / TILE, unsigned(y0) / TILE, unsigned(x1) / TILE + 1, unsigned(y1) / TILE + 1);
  return true;
}

__device__ uint32_t depth_key(float depth) {
  return min(__float_as_uint(depth) - __float_as_uint(NEAR), (1u << DEPTH_KEY_BITS) - 1);
}

// NaN if a number is not finite, else 0.
__device__ float poison(float x) { return x * 0.f; }

template <bool FEATURES>
__global__ void __launch_bounds__(256) project_kernel(const __grid_constant__ Scene s,
                                                      const __grid_constant__ Cameras cameras, Fourth fourth,
                                                      const ProjectOut out) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= s.splats) return;
  const Camera &camera = cameras.camera[blockIdx.y];
  const uint32_t row = blockIdx.y * s.splats + i;
  const View view(camera);
  const Vec3 mean = load3(s.means3d, i);
  bool visible = false, bad = false;
  int radius = 0;
  float depth = 0.f;
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
    if (s.exact) {
      // Half sides of { exponent >= log2(1/255) }: sqrt(2 ln(255 o) cov), a little wider for the roundings.
      const float reach = 2.f * 0.6931471805599453f * (level - LOG2_ALPHA_MIN) + 1e-3f;
      if (!(reach >= 0.f) || !box(s, x, y, sqrtf(reach * a) + 0.02f, sqrtf(reach * c) + 0.02f, rect)) break;
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

    Shape2d shape;
    shape.x = x, shape.y = y;
    shape.a = -0.5f * LOG2E * xx, shape.b = -LOG2E * xy, shape.c = -0.5f * LOG2E * yy;
    shape.level = level;
    shape.slope_y = -0.5f * shape.b / shape.c;
    shape.slope_x = -0.5f * shape.b / shape.a;
    const float sum = x + y + xx + xy + yy + opacity + shape.slope_x + shape.slope_y;
    if (!finite(sum) || !(xx > 0.f && yy > 0.f)) break;  // finite inputs that leave the range of f32

    visible = true;
    radius = int(r);
    out.shape[row] = shape;
    const float extra = fourth == Fourth::NONE ? 0.f : fourth == Fourth::DEPTH ? depth : __fdiv_rn(1.f, depth);
    out.channels[row] = make_float4(rgb.x, rgb.y, rgb.z, extra);
    out.rect[row] = rect;
  } while (false);
  out.radii[row] = visible ? radius : 0;
  out.depth_key[row] = visible ? depth_key(depth) : CULLED;
  // Once a splat, not once a camera.
  if (bad && blockIdx.y == 0) atomicAdd(&out.counters->rejected, 1u);
}

__global__ void gather_features_kernel(const __grid_constant__ Scene s, int group, const int32_t *radii,
                                       float4 *channels) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= s.rows() || radii[row] == 0) return;
  const float *from = s.features + size_t(s.feature_count) * (row % s.splats);
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
    project_kernel<true><<<grid, 256, 0, stream>>>(scene, cameras, fourth, out);
  else
    project_kernel<false><<<grid, 256, 0, stream>>>(scene, cameras, fourth, out);
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
