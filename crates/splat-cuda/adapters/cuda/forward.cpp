// Forward of engine `cuda`: which kernels run in which order on which memory.
//
// Without a workspace it waits once, to learn how many (splat, tile) pairs there are. With one it does not.
#include <algorithm>

#include "adapter.h"
#include "call.h"
#include "project.cuh"
#include "sort.cuh"
#include "tiles.cuh"
#include "workspace.h"

namespace splat::own {
namespace {

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

RowScratch row_scratch(Arena &arena, const own::Scene &scene) {
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

// One forward call.
class Forward {
 public:
  Forward(splat_forward_args &args, const splat::Scene &scene)
      : args_(args),
        call_(call_of(scene)),
        scene_(call_.scene),
        stream_(static_cast<cudaStream_t>(args.context.stream)),
        memory_(args.context),
        stage_(stream_, call_.debug),
        groups_(groups_of(args.inv_depth, args.depth, args.features ? scene.feature_count : 0)),
        train_(!scene.has(SPLAT_FORWARD_ONLY)) {}

  void run() {
    splat_saved &saved = args_.saved;
    saved = {};
    saved.struct_size = sizeof saved;
    saved.ticket = -1;
    saved.buffer_count = train_ ? SAVED_BUFFERS : 0;
    rows_ = allocate(
        memory_, train_ ? SPLAT_MEM_SAVED : SPLAT_MEM_SCRATCH, "the projected splats",
        [&](Arena &a) { return saved_rows(a, scene_, groups_); }, &saved.buffer[SAVED_ROWS], &saved.bytes[SAVED_ROWS]);
    stage_(cudaMemsetAsync(rows_.counters, 0, sizeof(Counters), stream_), "clearing the counters");
    EmitIn emit = {};
    if (scene_.rows() > 0) {
      scratch_ = allocate(memory_, SPLAT_MEM_SCRATCH, "sorting by depth",
                          [&](Arena &a) { return row_scratch(a, scene_); });
      stage_(cudaMemsetAsync(scratch_.zeroed, 0, scratch_.zeroed_end - scratch_.zeroed, stream_),
             "clearing the sort's words");
      project_and_order();
      emit = {scratch_.order[0], rows_.shape, scratch_.rect, scene_.rows(), scratch_.starts, scratch_.rects};
      stage_(scan_candidates(emit, scratch_.emit, rows_.counters, stream_), "running `scan_candidates`");
    }
    const uint64_t capacity = decide_capacity(emit);
    saved.bytes[SAVED_CAPACITY] = capacity;
    saved.bytes[SAVED_OUTPUTS] = (args_.inv_depth ? SPLAT_OUT_INV_DEPTH : 0) | (args_.depth ? SPLAT_OUT_DEPTH : 0) |
                                 (args_.features ? SPLAT_OUT_FEATURES : 0);
    pairs_ = allocate(
        memory_, train_ ? SPLAT_MEM_SAVED : SPLAT_MEM_SCRATCH, "the tiles' lists",
        [&](Arena &a) { return saved_pairs(a, scene_, groups_, capacity, train_); }, &saved.buffer[SAVED_PAIRS],
        &saved.bytes[SAVED_PAIRS]);
    stage_(cudaMemsetAsync(pairs_.range, 0, sizeof(uint2) * scene_.all_tiles(), stream_), "clearing the tiles' ranges");
    if (scene_.all_tiles() <= 65536)
      list_pairs<uint16_t>(emit, capacity);
    else
      list_pairs<uint32_t>(emit, capacity);
    for (int k = 0; k < groups_.count; k++) blend_group(k);
  }

 private:
  void project_and_order() {
    const ProjectOut out = {args_.radii,       scratch_.keys[0], rows_.shape,
                            rows_.channels[0], scratch_.rect,    rows_.counters};
    stage_(project(scene_, call_.cameras, groups_.fourth, out, stream_), "running `project`");
    for (int k = 1; k < groups_.count; k++) {
      const Group &g = groups_.group[k];
      stage_(g.kind == GroupKind::DEPTH
                 ? gather_depth(scene_, call_.cameras, args_.radii, rows_.channels[k], stream_)
                 : gather_features(scene_, g.index, args_.radii, rows_.channels[k], stream_),
             "running `gather_features`");
    }
    Sort<uint32_t> s = {};
    for (int k = 0; k < 2; k++) s.keys[k] = scratch_.keys[k], s.values[k] = scratch_.order[k];
    s.values_are_places = true;
    s.has_drop = true;
    s.drop = CULLED;
    s.kept = &rows_.counters->visible;
    s.capacity = scene_.rows();
    s.digits = Digits(DEPTH_KEY_BITS);
    s.scratch = scratch_.sort;
    stage_(sort(s, stream_), "running `sort` (by depth)");
  }

  // Room for how many pairs; asks the device unless a workspace knows.
  uint64_t decide_capacity(const EmitIn &emit) {
    splat_workspace *workspace = args_.context.workspace;
    if (workspace && workspace->device != args_.context.device)
      fail(SPLAT_INVALID_ARGUMENT, "the workspace is for device %d, but `context.device` is %d", workspace->device,
           args_.context.device);
    uint64_t capacity = workspace ? workspace->capacity() : 0;
    if (capacity == 0) {
      Counters now = {};
      if (scene_.rows() > 0) {
        stage_(count_pairs(scene_, emit, scratch_.emit, rows_.counters, stream_), "running `count_pairs`");
        cuda(cudaMemcpyAsync(&now, rows_.counters, sizeof now, cudaMemcpyDeviceToHost, stream_), "reading the counts");
        cuda(cudaStreamSynchronize(stream_), "waiting for the counts");
      }
      if (now.pairs >= SORT_LIMIT)
        fail(SPLAT_UNSUPPORTED, "the view has %llu (splat, tile) pairs, but engine `cuda` sorts up to %llu", now.pairs,
             (unsigned long long)SORT_LIMIT);
      capacity = now.pairs;
      if (workspace) {
        workspace->learn(now.pairs);
        capacity = workspace->capacity();
      } else {
        args_.saved.rendered = int64_t(now.pairs);
        args_.saved.rejected = now.rejected;
      }
    }
    capacity = std::min<uint64_t>(capacity, SORT_LIMIT - 1);
    if (workspace) {
      uint64_t ticket = 0;
      slot_ = workspace->begin(stream_, capacity, ticket);
      args_.saved.ticket = int64_t(ticket);
      args_.saved.rendered = args_.saved.rejected = -1;
    }
    return capacity;
  }

  template <typename Key>
  void list_pairs(const EmitIn &emit, uint64_t capacity) {
    if (scene_.rows() == 0 || (capacity == 0 && !slot_)) return;
    const Digits digits(bits_of(scene_.all_tiles()));
    const int last = digits.passes % 2;
    const auto s = allocate(memory_, SPLAT_MEM_SCRATCH, "sorting by tile",
                            [&](Arena &a) { return pair_scratch<Key>(a, capacity, digits); });
    Sort<Key> by_tile = {};
    by_tile.keys[0] = s.tiles[0], by_tile.keys[1] = s.tiles[1];
    // The last pass leaves the rows in the saved list.
    by_tile.values[last] = pairs_.list, by_tile.values[1 - last] = s.rows;
    by_tile.digits = digits;
    by_tile.counted = true;
    by_tile.count = &rows_.counters->listed;
    by_tile.capacity = capacity;
    by_tile.scratch = s.sort;
    by_tile.ranges = pairs_.range;
    stage_(cudaMemsetAsync(s.sort, 0, s.sort_end - s.sort, stream_), "clearing the sort's words");
    stage_(emit_pairs<Key>(scene_, emit, capacity, digits, by_tile.keys[0], by_tile.values[0], scratch_.emit,
                           reinterpret_cast<uint32_t *>(s.sort), rows_.counters, slot_, uint64_t(args_.saved.ticket),
                           stream_),
           "running `emit_pairs`");
    stage_(sort(by_tile, stream_), "running `sort` (by tile)");
  }

  void blend_group(int k) {
    const Group &g = groups_.group[k];
    const uint64_t pixels = uint64_t(scene_.width) * scene_.height;
    BlendIn in = {pairs_.range, pairs_.list, rows_.shape, rows_.channels[k], g.channel_count,
                  g.kind == GroupKind::COLOR ? scene_.background : nullptr};
    BlendOut out = {};
    auto plane = [&](int channel, float *images, uint64_t of, uint64_t count) {
      out.planes.plane[channel] = images + of * pixels;
      out.planes.stride[channel] = count * pixels;
    };
    switch (g.kind) {
      case GroupKind::COLOR:
        for (int c = 0; c < 3; c++) plane(c, args_.color, c, 3);
        if (g.channel_count == 4) plane(3, groups_.fourth == Fourth::DEPTH ? args_.depth : args_.inv_depth, 0, 1);
        out.alpha = args_.alpha;
        break;
      case GroupKind::DEPTH: plane(0, args_.depth, 0, 1); break;
      case GroupKind::FEATURES:
        for (int c = 0; c < 4 && 4 * g.index + c < scene_.feature_count; c++)
          plane(c, args_.features, 4 * g.index + c, scene_.feature_count);
        break;
    }
    out.finals = pairs_.finals[k];
    out.checkpoints = pairs_.checkpoints[k];
    out.alive = pairs_.alive;
    if (k == 0) out.touched = pairs_.touched, out.work = pairs_.work;
    out.counters = rows_.counters;
    out.longest = slot_ ? &slot_->longest : nullptr;
    const bool deep = !args_.context.workspace || args_.context.workspace->deep();
    stage_(deep ? blend_deep(scene_, in, out, stream_) : blend(scene_, in, out, stream_), "running `blend`");
  }

  splat_forward_args &args_;
  const Call call_;
  const own::Scene &scene_;
  const cudaStream_t stream_;
  const Memory memory_;
  const Stages stage_;
  const Groups groups_;
  const bool train_;
  RowScratch scratch_ = {};
  SavedRows rows_ = {};
  SavedPairs pairs_ = {};
  Slot *slot_ = nullptr;
};

}  // namespace

void forward_or_throw(splat_forward_args &args) {
  check_size("splat_forward_args", args.struct_size, sizeof args);
  check_size("splat_saved", args.saved.struct_size, sizeof args.saved);
  check_context("cuda", args.context);
  const splat::Scene scene = read_scene("cuda", args.camera_count, args.cameras, args.gaussians, args.settings);
  required("color", args.color);
  if (scene.count > 0) required("radii", args.radii);
  if (args.features && scene.feature_count == 0)
    fail(SPLAT_INVALID_ARGUMENT, "output `features` is wanted, but `feature_count` is 0");
  const CurrentDevice device(args.context.device);
  Forward(args, scene).run();
}

}  // namespace splat::own
