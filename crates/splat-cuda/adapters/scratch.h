// Scratch memory of a forward call, laid out in one block per stage.
#pragma once

#include "call.h"
#include "sort.cuh"
#include "tiles.cuh"

namespace splat::own {

// Scratch of the stages before the pairs.
struct RowScratch {
  char *zeroed;  // the two regions that must be zero, and where they end
  char *zeroed_end;
  void *sort, *emit;
  uint32_t *keys[2], *order[2];
  ushort4 *rect;
  uint32_t *starts;
  ushort4 *rects;
};

inline RowScratch row_scratch(Arena &arena, const own::Scene &scene) {
  const uint32_t rows = scene.rows();
  RowScratch s = {};
  s.sort = s.zeroed = arena.take<char>(sort_scratch_bytes(rows, Digits(DEPTH_KEY_BITS)));
  s.emit = arena.take<char>(emit_scratch_bytes(rows));
  s.zeroed_end = arena.take<char>(0);
  for (int k = 0; k < 2; k++) {
    s.keys[k] = arena.take<uint32_t>(rows);
    s.order[k] = arena.take<uint32_t>(rows);
  }
  s.rect = arena.take<ushort4>(rows);
  s.starts = arena.take<uint32_t>(rows);
  s.rects = arena.take<ushort4>(rows);
  return s;
}

template <typename Key>
struct PairScratch {
  char *sort, *sort_end;
  Key *tiles[2];
  uint32_t *rows;
};

template <typename Key>
PairScratch<Key> pair_scratch(Arena &arena, uint64_t capacity, const Digits &digits) {
  PairScratch<Key> s = {};
  s.sort = arena.take<char>(sort_scratch_bytes(capacity, digits));
  s.sort_end = arena.take<char>(0);
  s.tiles[0] = arena.take<Key>(capacity);
  s.tiles[1] = arena.take<Key>(capacity);
  s.rows = arena.take<uint32_t>(capacity);
  return s;
}

}  // namespace splat::own
