// See images.h: which kernels run in which order on which memory.
#include "images.h"

#include <algorithm>

#include "scratch.h"
#include "weights.cuh"
#include "workspace.h"

namespace splat::own {
namespace {

// One forward call.
class Images {
 public:
  explicit Images(const ImagesCall &call)
      : call_(call),
        scene_(call.scene),
        data_(call.channels.data),
        stream_(static_cast<cudaStream_t>(call.context.stream)),
        memory_(call.context),
        stage_(stream_, call.flags),
        groups_(groups_of(call.channels.listed[SPLAT_INV_DEPTH], call.channels.listed[SPLAT_DEPTH],
                          call.channels.listed[SPLAT_FEATURES] ? scene_.feature_count : 0)),
        train_(!(call.flags & SPLAT_FORWARD_ONLY)) {}

  splat_saved run(const MakeRows &make_rows) {
    saved_.ticket = -1;
    saved_.buffer_count = train_ ? SAVED_BUFFERS : 0;
    const bool from_records = call_.from_records;
    rows_ = allocate(
        memory_, train_ ? SPLAT_MEM_SAVED : SPLAT_MEM_SCRATCH, "the projected Gaussians",
        [&](Arena &a) { return saved_rows(a, scene_, groups_, from_records); }, &saved_.buffer[SAVED_ROWS],
        &saved_.bytes[SAVED_ROWS]);
    stage_(cudaMemsetAsync(rows_.counters, 0, sizeof(Counters), stream_), "clearing the counters");
    EmitIn emit = {};
    if (scene_.rows() > 0) {
      scratch_ = allocate(memory_, SPLAT_MEM_SCRATCH, "sorting by depth",
                          [&](Arena &a) { return row_scratch(a, scene_); });
      stage_(cudaMemsetAsync(scratch_.zeroed, 0, scratch_.zeroed_end - scratch_.zeroed, stream_),
             "clearing the sort's words");
      fill_rows(make_rows, from_records ? rows_.radii : call_.radii);
      order_rows();
      emit = {scratch_.order[0], rows_.shape, scratch_.rect, scene_.rows(), scratch_.starts, scratch_.rects};
      stage_(scan_candidates(emit, scratch_.emit, rows_.counters, stream_), "running `scan_candidates`");
    }
    const uint64_t capacity = decide_capacity(emit);
    saved_.bytes[SAVED_CAPACITY] = capacity;
    saved_.bytes[SAVED_CHANNELS] = call_.channels.mask() | (from_records ? SAVED_FROM_RECORDS : 0);
    pairs_ = allocate(
        memory_, train_ ? SPLAT_MEM_SAVED : SPLAT_MEM_SCRATCH, "the tiles' lists",
        [&](Arena &a) { return saved_pairs(a, scene_, groups_, capacity, train_); }, &saved_.buffer[SAVED_PAIRS],
        &saved_.bytes[SAVED_PAIRS]);
    stage_(cudaMemsetAsync(pairs_.range, 0, sizeof(uint2) * scene_.all_tiles(), stream_), "clearing the tiles' ranges");
    if (scene_.all_tiles() <= 65536)
      list_pairs<uint16_t>(emit, capacity);
    else
      list_pairs<uint32_t>(emit, capacity);
    // A call for weights alone needs no image.
    const uint32_t images = (1u << SPLAT_WEIGHT_SUM) - 1;
    if (train_ || (call_.channels.mask() & images))
      for (int k = 0; k < groups_.count; k++) blend_group(k);
    if (call_.channels.any_weights() && scene_.rows() > 0) sum_weights_of(capacity);
    return saved_;
  }

 private:
  void fill_rows(const MakeRows &make_rows, int32_t *radii) {
    float4 *depth_channel = nullptr;
    for (int k = 1; k < groups_.count; k++)
      if (groups_.group[k].kind == GroupKind::DEPTH) depth_channel = rows_.channels[k];
    const ProjectOut out = {radii,        scratch_.keys[0], rows_.shape, rows_.channels[0],
                            scratch_.rect, rows_.counters};
    make_rows(out, groups_.fourth, depth_channel, stage_, stream_);
    for (int k = 1; k < groups_.count; k++)
      if (groups_.group[k].kind == GroupKind::FEATURES)
        stage_(gather_features(scene_, groups_.group[k].index, radii, rows_.channels[k], stream_),
               "running `gather_features`");
  }

  void order_rows() {
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

  // How many pairs there will be room for; asks the device unless a workspace knows.
  uint64_t decide_capacity(const EmitIn &emit) {
    splat_workspace *workspace = call_.context.workspace;
    if (workspace && workspace->device != call_.context.device)
      fail(SPLAT_INVALID_ARGUMENT, "the workspace is for device %d, but `context.device` is %d", workspace->device,
           call_.context.device);
    uint64_t capacity = workspace ? workspace->capacity() : 0;
    if (capacity == 0) {
      Counters now = {};
      if (scene_.rows() > 0) {
        stage_(count_pairs(scene_, emit, scratch_.emit, rows_.counters, stream_), "running `count_pairs`");
        cuda(cudaMemcpyAsync(&now, rows_.counters, sizeof now, cudaMemcpyDeviceToHost, stream_), "reading the counts");
        cuda(cudaStreamSynchronize(stream_), "waiting for the counts");
      }
      if (now.pairs >= SORT_LIMIT)
        fail(SPLAT_UNSUPPORTED, "the view has %llu pairs of Gaussian and tile, but engine `cuda` sorts up to %llu",
             now.pairs, (unsigned long long)SORT_LIMIT);
      capacity = now.pairs;
      if (workspace) {
        workspace->learn(now.pairs);
        capacity = workspace->capacity();
      } else {
        saved_.rendered = int64_t(now.pairs);
        saved_.rejected = now.rejected;
      }
    }
    capacity = std::min<uint64_t>(capacity, SORT_LIMIT - 1);
    if (workspace) {
      uint64_t ticket = 0;
      slot_ = workspace->begin(stream_, capacity, ticket);
      saved_.ticket = int64_t(ticket);
      saved_.rendered = saved_.rejected = -1;
      // Without rows no kernel answers.
      if (scene_.rows() == 0) {
        slot_->pairs = slot_->rejected = 0;
        slot_->ticket = ticket;
      }
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
                           reinterpret_cast<uint32_t *>(s.sort), rows_.counters, slot_, uint64_t(saved_.ticket),
                           stream_),
           "running `emit_pairs`");
    stage_(sort(by_tile, stream_), "running `sort` (by tile)");
  }

  void blend_group(int k) {
    const Group &g = groups_.group[k];
    const bool color = g.kind == GroupKind::COLOR;
    const BlendIn in = {pairs_.range, pairs_.list, rows_.shape, rows_.channels[k], g.channel_count,
                        color ? scene_.background : nullptr};
    BlendOut out = {};
    out.planes = planes_of(scene_, groups_, g, data_);
    if (color) out.alpha = data_[SPLAT_ALPHA];
    out.finals = pairs_.finals[k];
    out.checkpoints = pairs_.checkpoints[k];
    out.alive = pairs_.alive;
    if (k == 0) out.touched = pairs_.touched, out.work = pairs_.work;
    out.counters = rows_.counters;
    out.longest = slot_ ? &slot_->longest : nullptr;
    const bool deep = !call_.context.workspace || call_.context.workspace->deep();
    stage_(deep ? blend_deep(scene_, in, out, stream_) : blend(scene_, in, out, stream_), "running `blend`");
  }

  void sum_weights_of(uint64_t capacity) {
    for (uint32_t source : {SPLAT_WEIGHT_SUM, SPLAT_WEIGHT_MAX, SPLAT_WEIGHT_IMAGE})
      if (data_[source])
        stage_(cudaMemsetAsync(data_[source], 0, sizeof(float) * scene_.rows(), stream_), "clearing the weights");
    if (capacity == 0) return;
    const WeightsIn in = {pairs_.range, pairs_.list, rows_.shape, call_.channels.image};
    WeightsOut out = {data_[SPLAT_WEIGHT_SUM], data_[SPLAT_WEIGHT_MAX], data_[SPLAT_WEIGHT_IMAGE], nullptr};
    // The largest weight does not depend on an order.
    const bool by_place = (call_.flags & SPLAT_REPRODUCIBLE) && (out.sum || out.image);
    if (by_place) {
      out.by_place = reinterpret_cast<float2 *>(memory_.scratch(2 * capacity, "the weights by place"));
      stage_(cudaMemsetAsync(out.by_place, 0, sizeof(float2) * capacity, stream_), "clearing the weights by place");
    }
    stage_(weights(scene_, in, out, stream_), "running `weights`");
    if (!by_place) return;
    const PlacesByRow by_row = places_by_row(scene_, pairs_.list, capacity, rows_.counters, memory_, stage_, stream_);
    stage_(sum_weights(out, by_row.places, by_row.rows, capacity, rows_.counters, stream_), "running `sum_weights`");
  }

  const ImagesCall &call_;
  const own::Scene &scene_;
  float *const *const data_;
  const cudaStream_t stream_;
  const Memory memory_;
  const Stages stage_;
  const Groups groups_;
  const bool train_;
  splat_saved saved_ = {};
  RowScratch scratch_ = {};
  SavedRows rows_ = {};
  SavedPairs pairs_ = {};
  Slot *slot_ = nullptr;
};

}  // namespace

splat_saved render(const ImagesCall &call, const MakeRows &make_rows) { return Images(call).run(make_rows); }

}  // namespace splat::own
