// See blend.cuh. Equations: splat-core's `blend_backward`, from front to back.
//
// With v_i the upstream gradient of Gaussian i's channels and R_i what lies at and behind it, dL/dalpha_i = T_i v_i -
// R_{i+1} / (1 - alpha_i). R begins at (channels of the pixel) . (upstream gradient) less what the checkpoint already
// has, and T at the checkpoint's, so that every segment of every list is a work item of its own.
#include <type_traits>

#include "composite.cuh"

namespace splat::own {
namespace {

// One warp has one item. Four lanes have one block of 8x4 pixels, a row of eight each, and walk through those of the
// segment's Gaussians that touch their block: the warp works on eight at a time. A Gaussian's sums are reduced over
// four lanes and its blocks' parts added in global memory.
struct Segment : Batch {
  uint32_t target[SEGMENT];
  uint8_t queue[BLOCKS][SEGMENT];  // places that touch a block
};

// Eight numbers of a row of pixels that begins at a multiple of eight; zeros beyond the image.
__device__ void load_row(const float *plane, uint64_t first, int count, bool aligned, float (&to)[8]) {
  if (plane && aligned && count >= 8) {
    const float4 a = __ldg(reinterpret_cast<const float4 *>(plane + first));
    const float4 b = __ldg(reinterpret_cast<const float4 *>(plane + first) + 1);
    to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w, to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
    return;
  }
#pragma unroll
  for (int k = 0; k < 8; k++) to[k] = plane && k < count ? __ldg(plane + first + k) : 0.f;
}

// Reproducible mode adds a Gaussian's parts of this segment here, block after block, instead of in global memory.
template <bool BY_PLACE>
struct Places {
  float sums[BY_PLACE ? SEGMENT : 1][SUMS];
};

template <int CHANNELS, bool ABSOLUTE, bool BY_PLACE>
__global__ void __launch_bounds__(32) blend_backward_kernel(const __grid_constant__ Scene s,
                                                            const __grid_constant__ BlendBackwardIn in,
                                                            const __grid_constant__ BlendBackwardOut out) {
  constexpr int NUMBERS = ABSOLUTE ? 12 : 6 + CHANNELS;
  __shared__ Segment sh;
  __shared__ Places<BY_PLACE> places;
  const int lane = threadIdx.x, block = lane / 4, row = lane % 4;
  const uint32_t item = blockIdx.x;
  if (item >= in.counters->items) return;
  const Work work = in.work[item];
  const uint32_t tile = work.tile;
  const TileAt corner = tile_at(s, tile);
  const uint2 range = list_of(in.blend.range, tile);
  const uint32_t first = range.x + work.segment * SEGMENT;
  const int m = int(min(uint32_t(SEGMENT), range.y - first));

  for (int place = lane; place < m; place += 32) {
    const uint32_t target = __ldg(in.blend.list + first + place);
    sh.bring_shape(in.blend, place, target);
    sh.bring_channels(in.blend, place, target);
    sh.target[place] = target;
  }
  __pipeline_commit();

  // State of the lane's eight pixels. One that has stopped has T = R = 0 and receives nothing more.
  const int x = corner.x + (block & 1) * BLOCK_X, y = corner.y + (block >> 1) * BLOCK_Y + row;
  const bool live = __ldg(in.alive + uint64_t(tile) * BLOCKS + block) > work.segment;
  float transmittance[8], behind[8], g0[8], g1[8], g2[8], g3[8];
  {
    const int count = live && y < s.height ? s.width - x : 0;
    const uint64_t pixel = uint64_t(y) * s.width + x;
    auto upstream = [&](int c, float(&to)[8]) {
      const float *plane = in.grad.of(corner.camera, c);
      load_row(plane, pixel, count, (reinterpret_cast<uintptr_t>(plane) / 4 + s.width) % 4 == 0 && s.width % 4 == 0, to);
    };
    upstream(0, g0), upstream(1, g1), upstream(2, g2);
    if (CHANNELS == 4) upstream(3, g3);
    float ga[8];
    const float *alpha = in.grad_alpha;
    if (alpha) alpha += corner.camera * (uint64_t(s.width) * s.height);
    load_row(alpha, pixel, count, false, ga);
    const float3 back = background_of(in.blend);
    const uint64_t slot = (uint64_t(range.x / SEGMENT) + work.segment) * TILE_PIXELS;
#pragma unroll
    for (int k = 0; k < 8; k++) {
      transmittance[k] = behind[k] = 0.f;
      if (k >= count) continue;
      const int at = 32 * k + lane;
      float4 before = make_float4(0.f, 0.f, 0.f, 1.f);
      float before3 = 0.f;
      if (work.segment > 0) {
        before = __ldg(in.checkpoints.color_t + slot + at);
        if (CHANNELS == 4) before3 = __ldg(in.checkpoints.fourth + slot + at);
      }
      if (before.w < 0.f) continue;
      const float4 end = __ldg(in.finals.color_t + uint64_t(tile) * TILE_PIXELS + at);
      const float tail = back.x * g0[k] + back.y * g1[k] + back.z * g2[k] - ga[k];
      float r = (end.x - before.x) * g0[k] + (end.y - before.y) * g1[k] + (end.z - before.z) * g2[k];
      if (CHANNELS == 4) r += (__ldg(in.finals.fourth + uint64_t(tile) * TILE_PIXELS + at) - before3) * g3[k];
      behind[k] = fmaf(end.w, tail, r);
      transmittance[k] = before.w;
    }
  }
  __pipeline_wait_prior(0);
  __syncwarp();

  // The queue of each block: lane k of its four has the places of word k.
  int length = fill_queue<4>(in.touched.of(tile, range.x, work.segment)[lane], row, sh.queue[block]);
  if (!live) length = 0;
  const int longest = warp_max(length);

  if (BY_PLACE) {
    for (int k = lane; k < SEGMENT * SUMS; k += 32) (&places.sums[0][0])[k] = 0.f;
    __syncwarp();
  }
  const float left = float(x), line = float(y);
  for (int i = 0; i < longest; i++) {
    const bool busy = i < length;
    const int place = busy ? sh.queue[block][i] : 0;
    const Shape2d g = sh.at(place);
    const float4 color = sh.channels[place];
    const float dx = g.x - left, dy = g.y - line;
    // A lane without work has an exponent under every threshold.
    const ExponentOfRow exponent(g.a, g.b, g.c, busy ? g.level : -1e30f, dy);
    float s0 = 0.f, s1 = 0.f, s2 = 0.f, sc0 = 0.f, sc1 = 0.f, sc2 = 0.f, sc3 = 0.f, ax = 0.f, ay = 0.f;
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float dxk = dx - float(k);
      const Step step(exponent.at(dxk), g.level, transmittance[k]);
      const float t = step.goes_on ? transmittance[k] : 0.f;
      const float w = step.alpha * t;
      float value = color.x * g0[k];
      value = fmaf(color.y, g1[k], value);
      value = fmaf(color.z, g2[k], value);
      if (CHANNELS == 4) value = fmaf(color.w, g3[k], value);
      const float rest = step.goes_on ? fmaf(-w, value, behind[k]) : 0.f;
      const float grad = step.uncapped * fmaf(-rest, reciprocal(1.f - step.alpha), t * value);
      behind[k] = rest;
      transmittance[k] = step.goes_on ? step.next : 0.f;
      s0 += grad;
      const float along = grad * dxk;
      s1 += along;
      s2 = fmaf(along, dxk, s2);
      sc0 = fmaf(w, g0[k], sc0), sc1 = fmaf(w, g1[k], sc1), sc2 = fmaf(w, g2[k], sc2);
      if (CHANNELS == 4) sc3 = fmaf(w, g3[k], sc3);
      if (ABSOLUTE) {
        // Up to the factor ln 2 of the exponent's base: 2 A dx + B dy and B dx + 2 C dy.
        ax += fabsf(grad * fmaf(2.f * g.a, dxk, exponent.sheared));
        ay += fabsf(grad * fmaf(g.b, dxk, 2.f * g.c * dy));
      }
    }
    float sum[NUMBERS];
    sum[SUM_U] = s0, sum[SUM_UX] = s1, sum[SUM_UXX] = s2;
    sum[SUM_UY] = dy * s0, sum[SUM_UXY] = dy * s1, sum[SUM_UYY] = dy * (dy * s0);
    sum[SUM_C0] = sc0, sum[SUM_C1] = sc1, sum[SUM_C2] = sc2;
    if (NUMBERS > 9) sum[SUM_C3 < NUMBERS ? SUM_C3 : 0] = sc3;
    if (ABSOLUTE) sum[SUM_ABS_X < NUMBERS ? SUM_ABS_X : 0] = ax, sum[SUM_ABS_Y < NUMBERS ? SUM_ABS_Y : 0] = ay;
    exchange_sums<2, 1>(sum);
    // Slot k of this lane has number first_number + 4 k.
    const int first_number = 2 * (lane & 1) + (lane >> 1 & 1);
    auto deliver = [&](auto &&add) {
#pragma unroll
      for (int k = 0; k < (NUMBERS + 3) / 4; k++)
        if (NUMBERS - 4 * k == 1 ? lane % 4 == 0 : 4 * k + first_number < NUMBERS) add(4 * k + first_number, sum[k]);
    };
    if (BY_PLACE) {
      for (int b = 0; b < BLOCKS; b++) {
        if (busy && block == b) deliver([&](int number, float value) { places.sums[place][number] += value; });
        __syncwarp();
      }
    } else if (busy) {
      float *to = out.sums + uint64_t(sh.target[place]) * SUMS;
      deliver([&](int number, float value) { atomicAdd(to + number, value); });
    }
  }
  if (BY_PLACE) {
    __syncwarp();
    float *to = out.sums + uint64_t(first) * SUMS;
    for (int k = lane; k < m * SUMS; k += 32) to[k] = (&places.sums[0][0])[k];
  }
}

}  // namespace

cudaError_t blend_backward(const Scene &scene, const BlendBackwardIn &in, const BlendBackwardOut &out,
                           cudaStream_t stream) {
  if (in.most_items == 0) return cudaSuccess;
  const bool four = in.blend.channel_count == 4;
  auto choose = [&](auto channels, auto absolute, auto by_place) {
    return blend_backward_kernel<decltype(channels)::value, decltype(absolute)::value, decltype(by_place)::value>;
  };
  using Three = std::integral_constant<int, 3>;
  using Four = std::integral_constant<int, 4>;
  using Yes = std::true_type;
  using No = std::false_type;
  auto *kernel = choose(Three{}, No{}, No{});
  if (four && out.absolute)
    kernel = out.by_place ? choose(Four{}, Yes{}, Yes{}) : choose(Four{}, Yes{}, No{});
  else if (four)
    kernel = out.by_place ? choose(Four{}, No{}, Yes{}) : choose(Four{}, No{}, No{});
  else if (out.absolute)
    kernel = out.by_place ? choose(Three{}, Yes{}, Yes{}) : choose(Three{}, Yes{}, No{});
  else if (out.by_place)
    kernel = choose(Three{}, No{}, Yes{});
  kernel<<<in.most_items, 32, 0, stream>>>(scene, in, out);
  return cudaGetLastError();
}

}  // namespace splat::own
