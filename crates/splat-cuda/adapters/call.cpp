// See call.h.
#include "call.h"

#include "sort.cuh"

namespace splat::own {

Groups groups_of(bool inv_depth, bool depth, int64_t features) {
  Groups g;
  g.fourth = inv_depth ? Fourth::INV_DEPTH : depth ? Fourth::DEPTH : Fourth::NONE;
  g.group[g.count++] = {GroupKind::COLOR, g.fourth == Fourth::NONE ? 3 : 4, 0};
  if (inv_depth && depth) g.group[g.count++] = {GroupKind::DEPTH, 3, 0};
  for (int k = 0; 4 * k < features; k++)
    g.group[g.count++] = {GroupKind::FEATURES, features - 4 * k < 4 ? 3 : 4, k};
  return g;
}

SavedRows saved_rows(Arena &arena, const own::Scene &scene, const Groups &groups, bool with_radii) {
  SavedRows s = {};
  s.counters = arena.take<Counters>(1);
  s.shape = arena.take<Shape2d>(scene.rows());
  for (int k = 0; k < groups.count; k++) s.channels[k] = arena.take<float4>(scene.rows());
  if (with_radii) s.radii = arena.take<int32_t>(scene.rows());
  return s;
}

uint64_t most_items(const own::Scene &scene, uint64_t capacity) { return capacity / SEGMENT + scene.all_tiles(); }

SavedPairs saved_pairs(Arena &arena, const own::Scene &scene, const Groups &groups, uint64_t capacity, bool train) {
  SavedPairs s = {};
  s.range = arena.take<uint2>(scene.all_tiles());
  s.list = arena.take<uint32_t>(capacity);
  if (!train) return s;
  s.alive = arena.take<uint32_t>(uint64_t(scene.all_tiles()) * BLOCKS);
  s.touched.first = arena.take<uint32_t>(uint64_t(scene.all_tiles()) * 32);
  s.touched.later = arena.take<uint32_t>((capacity / SEGMENT + 1) * 32);
  s.work = arena.take<Work>(most_items(scene, capacity));
  const uint64_t pixels = uint64_t(scene.all_tiles()) * TILE_PIXELS, slots = (capacity / SEGMENT + 1) * TILE_PIXELS;
  for (int k = 0; k < groups.count; k++) {
    s.finals[k].color_t = arena.take<float4>(pixels);
    s.checkpoints[k].color_t = arena.take<float4>(slots);
    if (groups.group[k].channel_count == 4) {
      s.finals[k].fourth = arena.take<float>(pixels);
      s.checkpoints[k].fourth = arena.take<float>(slots);
    }
  }
  return s;
}

own::Scene scene_of(int64_t count, uint32_t images, int32_t width, int32_t height) {
  const int64_t most = int64_t(1) << 30, most_tiles = int64_t(1) << 23;
  if (count > most || count * images > most)
    fail(SPLAT_UNSUPPORTED, "%lld Gaussians in %u images are %lld rows, but engine `cuda` sorts up to %lld",
         (long long)count, images, (long long)(count > most ? count : count * images), (long long)most);
  const int64_t tiles_x = (int64_t(width) + TILE - 1) / TILE, tiles_y = (int64_t(height) + TILE - 1) / TILE;
  if (tiles_x > 65535 || tiles_y > 65535 || tiles_x * tiles_y * images > most_tiles)
    fail(SPLAT_UNSUPPORTED,
         "%u images of %dx%d pixels are %lld tiles of 16x16, but engine `cuda` takes up to %lld, and 65535 in a row",
         images, width, height, (long long)(tiles_x * tiles_y * images), (long long)most_tiles);
  own::Scene s = {};
  s.splats = uint32_t(count);
  s.cameras = images;
  s.width = width;
  s.height = height;
  s.tiles_x = int(tiles_x);
  s.tiles_y = int(tiles_y);
  return s;
}

Call call_of(const splat::Scene &from) {
  Call call = {};
  own::Scene &s = call.scene = scene_of(from.count, from.cameras, from.width, from.height);
  s.means3d = from.means3d;
  s.opacities = from.opacities;
  s.sh = from.sh;
  s.sh_rest = from.sh_rest;
  s.sh_rest16 = from.sh_rest16;
  s.colors = from.colors;
  s.scales = from.scales;
  s.rotations = from.rotations;
  s.cov3d = from.cov3d;
  s.features = from.features;
  s.background = from.background;
  s.coeffs = int(from.coeffs);
  s.degree = from.sh_degree;
  s.feature_count = int(from.feature_count);
  s.scale_modifier = from.scale_modifier;
  s.antialiasing = from.has(SPLAT_ANTIALIASING);
  s.exact = from.has(SPLAT_EXACT);
  s.raw = from.has(SPLAT_RAW);
  s.orthographic = from.camera[0].model == SPLAT_ORTHOGRAPHIC;
  s.sh_aligned = from.sh && !from.sh_rest && !from.sh_rest16 && from.coeffs % 4 == 0 && reinterpret_cast<uintptr_t>(from.sh) % 16 == 0;
  for (uint32_t c = 0; c < from.cameras; c++) {
    const splat_camera &camera = from.camera[c];
    call.cameras.camera[c] = {camera.view, camera.proj, camera.campos, camera.tan_fovx, camera.tan_fovy};
  }
  return call;
}

void check_aligned(const char *name, const void *pointer) {
  if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0)
    fail(SPLAT_INVALID_ARGUMENT, "`%s` is at address 0x%llx, but engine `cuda` needs a multiple of 16", name,
         (unsigned long long)reinterpret_cast<uintptr_t>(pointer));
}

PlacesByRow places_by_row(const own::Scene &scene, const uint32_t *list, uint64_t capacity, const Counters *counters,
                          const Memory &memory, const Stages &stage, cudaStream_t stream) {
  const Digits digits(bits_of(scene.rows()));
  struct Layout {
    char *words;
    uint32_t *keys[2], *values[2];
  };
  const uint64_t word_bytes = sort_scratch_bytes(capacity, digits);
  const Layout l = allocate(memory, SPLAT_MEM_SCRATCH, "ordering the pairs by Gaussian", [&](Arena &a) {
    Layout l = {};
    l.words = a.take<char>(word_bytes);
    for (int k = 0; k < 2; k++) l.keys[k] = a.take<uint32_t>(capacity), l.values[k] = a.take<uint32_t>(capacity);
    return l;
  });
  stage(cudaMemsetAsync(l.words, 0, word_bytes, stream), "clearing the sort's words");
  stage(cudaMemcpyAsync(l.keys[0], list, capacity * sizeof(uint32_t), cudaMemcpyDeviceToDevice, stream),
        "copying the lists");
  Sort<uint32_t> s = {};
  for (int k = 0; k < 2; k++) s.keys[k] = l.keys[k], s.values[k] = l.values[k];
  s.values_are_places = true;
  s.count = &counters->listed;
  s.capacity = capacity;
  s.digits = digits;
  s.scratch = l.words;
  stage(sort(s, stream), "running `sort` (by Gaussian)");
  return {l.values[digits.passes % 2], l.keys[digits.passes % 2]};
}

}  // namespace splat::own
