// See call.h.
#include "call.h"

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

SavedRows saved_rows(Arena &arena, const own::Scene &scene, const Groups &groups) {
  SavedRows s = {};
  s.counters = arena.take<Counters>(1);
  s.shape = arena.take<Shape2d>(scene.rows());
  for (int k = 0; k < groups.count; k++) s.channels[k] = arena.take<float4>(scene.rows());
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

Call call_of(const splat::Scene &from) {
  Call call = {};
  own::Scene &s = call.scene;
  const int64_t rows = from.count * from.cameras, most = int64_t(1) << 30;
  if (from.count > most || rows > most)
    fail(SPLAT_UNSUPPORTED, "%lld splats seen by %u cameras are %lld rows, but engine `cuda` sorts up to %lld",
         (long long)from.count, from.cameras, (long long)rows, (long long)most);
  const int64_t tiles_x = (int64_t(from.width) + TILE - 1) / TILE, tiles_y = (int64_t(from.height) + TILE - 1) / TILE;
  const int64_t most_tiles = int64_t(1) << 23;
  if (tiles_x > 65535 || tiles_y > 65535 || tiles_x * tiles_y * from.cameras > most_tiles)
    fail(SPLAT_UNSUPPORTED,
         "%u images of %dx%d pixels are %lld tiles of 16x16, but engine `cuda` takes up to %lld, and 65535 in a row",
         from.cameras, from.width, from.height, (long long)(tiles_x * tiles_y * from.cameras), (long long)most_tiles);
  s.means3d = from.means3d;
  s.opacities = from.opacities;
  s.sh = from.sh;
  s.sh_rest = from.sh_rest;
  s.colors = from.colors;
  s.scales = from.scales;
  s.rotations = from.rotations;
  s.cov3d = from.cov3d;
  s.features = from.features;
  s.background = from.background;
  s.splats = uint32_t(from.count);
  s.cameras = from.cameras;
  s.coeffs = int(from.coeffs);
  s.degree = from.sh_degree;
  s.feature_count = int(from.feature_count);
  s.width = from.width;
  s.height = from.height;
  s.tiles_x = int(tiles_x);
  s.tiles_y = int(tiles_y);
  s.scale_modifier = from.scale_modifier;
  s.antialiasing = from.has(SPLAT_ANTIALIASING);
  s.exact = from.has(SPLAT_EXACT);
  s.raw = from.has(SPLAT_RAW);
  s.orthographic = from.camera[0].model == SPLAT_ORTHOGRAPHIC;
  s.sh_aligned = from.sh && !from.sh_rest && from.coeffs % 4 == 0 && reinterpret_cast<uintptr_t>(from.sh) % 16 == 0;
  for (uint32_t c = 0; c < from.cameras; c++) {
    const splat_camera &camera = from.camera[c];
    call.cameras.camera[c] = {camera.view, camera.proj, camera.campos, camera.tan_fovx, camera.tan_fovy};
  }
  call.debug = from.has(SPLAT_DEBUG);
  return call;
}

}  // namespace splat::own
