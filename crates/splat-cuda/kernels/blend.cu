// See blend.cuh. Equations: splat-core's `blend`. Two warps per tile; a warp has four of its eight blocks of 8x4
// pixels, eight lanes each, and each lane four pixels of a row.
//
// A batch of the list is tested first, each Gaussian against the eight blocks; then every block walks through the Gaussians
// that touch it, so that a warp works on four at a time. Most Gaussians of a tile touch only two or three blocks. Where
// one tile's list takes longer than all others together, blend_deep.cu is faster: eight warps per tile, same results.
#include "composite.cuh"

namespace splat::own {
namespace {

constexpr int THREADS = 64, LANES = 8, PIXELS = 4, ROW = BLOCK_X / PIXELS, BRINGS = SEGMENT / THREADS;
// Iterations between two looks at whether a block's pixels have all stopped.
constexpr int PATIENCE = 16;

// Four numbers of a row of pixels, `count` of them inside the image.
__device__ void store_row(float *plane, uint64_t first, int count, bool aligned, const float (&v)[PIXELS]) {
  if (!plane) return;
  if (aligned && count >= PIXELS && reinterpret_cast<uintptr_t>(plane) % 16 == 0) {
    *reinterpret_cast<float4 *>(plane + first) = make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
#pragma unroll
  for (int k = 0; k < PIXELS; k++)
    if (k < count) plane[first + k] = v[k];
}

template <int CHANNELS, bool TRAIN>
__global__ void __launch_bounds__(THREADS, 14) blend_kernel(const __grid_constant__ Scene s,
                                                            const __grid_constant__ BlendIn in,
                                                            const __grid_constant__ BlendOut out) {
  __shared__ Batch batches[2];
  __shared__ uint32_t touched[BLOCKS][SEGMENT / 32];
  __shared__ uint8_t queue[BLOCKS][SEGMENT];  // places of the batch that touch a block
  __shared__ uint32_t alive[BLOCKS], work_base;
  const int t = threadIdx.x, lane = t % 32, warp = t / 32;
  const int block = t / LANES, in_block = t % LANES, row = in_block / ROW, column = in_block % ROW * PIXELS;
  const uint32_t tile = blockIdx.x;
  const TileAt at = tile_at(s, tile);
  const int x = at.x + (block & 1) * BLOCK_X + column, y = at.y + (block >> 1) * BLOCK_Y + row;
  const int inside = y < s.height ? s.width - x : 0;  // pixels of this lane, if positive

  const uint2 range = list_of(in.range, tile);
  const int n = int(range.y - range.x);
  const uint32_t *list = in.list + range.x;

  struct Rows {
    uint32_t of[BRINGS];
  };
  auto rows_of = [&](int batch) {
    Rows rows;
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = batch * SEGMENT + k * THREADS + t;
      rows.of[k] = place < n ? __ldg(list + place) : 0u;
    }
    return rows;
  };
  auto bring = [&](int batch, const Rows &rows) {
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = k * THREADS + t;
      if (batch * SEGMENT + place < n) {
        batches[batch & 1].bring_shape(in, place, rows.of[k]);
        batches[batch & 1].bring_channels(in, place, rows.of[k]);
      }
    }
    __pipeline_commit();
  };

  Pixel<CHANNELS> pixel[PIXELS];
#pragma unroll
  for (int k = 0; k < PIXELS; k++) pixel[k].begin(k < inside);
  // Whether all pixels of this lane's block have stopped.
  auto block_stopped = [&] {
    bool all = true;
#pragma unroll
    for (int k = 0; k < PIXELS; k++) all = all && pixel[k].stopped();
    const uint32_t ours = ((1u << LANES) - 1) << (lane / LANES * LANES);
    return (__ballot_sync(ALL_LANES, all) & ours) == ours;
  };
  uint32_t segments = 0;
  bool stopped = block_stopped();

  for_batches((n + SEGMENT - 1) / SEGMENT, rows_of, bring, [&](int batch) {
    const Batch &b = batches[batch & 1];
    const int m = min(SEGMENT, n - batch * SEGMENT);
#pragma unroll
    for (int k = 0; k < BRINGS; k++) {
      const int place = t + k * THREADS;
      uint32_t hit = 0;
      if (place < m) {
        const Shape2d shape = b.at(place);
#pragma unroll
        for (int j = 0; j < BLOCKS; j++) {
          const float x0 = float(at.x + (j & 1) * BLOCK_X), y0 = float(at.y + (j >> 1) * BLOCK_Y);
          if (touches(shape, x0, y0, x0 + BLOCK_X - 1, y0 + BLOCK_Y - 1)) hit |= 1u << j;
        }
      }
#pragma unroll
      for (int j = 0; j < BLOCKS; j++) {
        const uint32_t mask = __ballot_sync(ALL_LANES, hit >> j & 1);
        if (lane == j) touched[j][warp + k * (THREADS / 32)] = mask;
      }
    }
    __syncthreads();
    if (TRAIN && warp == 0 && out.touched.first)
      out.touched.of(tile, range.x, batch)[lane] = touched[lane / 4][lane % 4];
    if (!stopped) segments = batch + 1;
    if (TRAIN && !stopped && batch > 0) {
      const uint64_t slot = (uint64_t(range.x / SEGMENT) + batch) * TILE_PIXELS;
#pragma unroll
      for (int k = 0; k < PIXELS; k++)
        pixel[k].keep(out.checkpoints, slot + kept_place(block, row, column + k), pixel[k].transmittance);
    }
    // The block's queue: its first four lanes have a word of 32 places each.
    int length = fill_queue<LANES>(in_block < 4 && !stopped ? touched[block][in_block] : 0, in_block, queue[block]);
    int longest = warp_max(length);
    const float fx = float(x), fy = float(y);
    for (int i = 0; i < longest; i++) {
      const bool busy = i < length;
      const int place = busy ? queue[block][i] : 0;
      const Shape2d g = b.at(place);
      const float4 c = b.channels[place];
      const float dx = g.x - fx;
      // A block without work has an exponent under every threshold.
      const ExponentOfRow exponent(g.a, g.b, g.c, busy ? g.level : -1e30f, g.y - fy);
#pragma unroll
      for (int k = 0; k < PIXELS; k++) pixel[k].blend(exponent.at(dx - float(k)), g.level, c);
      if (i % PATIENCE == PATIENCE - 1) {
        if (block_stopped()) length = 0;
        longest = warp_max(length);
      }
    }
    stopped = block_stopped();
    return stopped;
  });

  float final_t[PIXELS], alpha[PIXELS], c0[PIXELS], c1[PIXELS], c2[PIXELS], c3[PIXELS];
#pragma unroll
  for (int k = 0; k < PIXELS; k++) final_t[k] = fabsf(pixel[k].transmittance), alpha[k] = 1.f - final_t[k];
  if (TRAIN) {
#pragma unroll
    for (int k = 0; k < PIXELS; k++)
      pixel[k].keep(out.finals, uint64_t(tile) * TILE_PIXELS + kept_place(block, row, column + k), final_t[k]);
  }
  const float3 back = background_of(in);
#pragma unroll
  for (int k = 0; k < PIXELS; k++)
    c0[k] = fmaf(final_t[k], back.x, pixel[k].c0), c1[k] = fmaf(final_t[k], back.y, pixel[k].c1),
    c2[k] = fmaf(final_t[k], back.z, pixel[k].c2), c3[k] = pixel[k].c3;
  const uint64_t first = uint64_t(y) * s.width + x;
  const bool aligned = s.width % 4 == 0;
  store_row(out.planes.of(at.camera, 0), first, inside, aligned, c0);
  store_row(out.planes.of(at.camera, 1), first, inside, aligned, c1);
  store_row(out.planes.of(at.camera, 2), first, inside, aligned, c2);
  if (CHANNELS == 4) store_row(out.planes.of(at.camera, 3), first, inside, aligned, c3);
  if (out.alpha) store_row(out.alpha + at.camera * (uint64_t(s.width) * s.height), first, inside, aligned, alpha);
  if (in_block == 0) alive[block] = segments;
  leave_work<THREADS, TRAIN>(out, tile, alive, work_base);
}

}  // namespace

cudaError_t blend(const Scene &scene, const BlendIn &in, const BlendOut &out, cudaStream_t stream) {
  return launch_variant(blend_kernel<3, false>, blend_kernel<3, true>, blend_kernel<4, false>, blend_kernel<4, true>,
                        THREADS, scene, in, out, stream);
}

}  // namespace splat::own
