// What the passes of engine `cuda` share: the scene as kernels take it, the groups of channels, the layout of the saved
// memory, and the check after a launch.
#pragma once

#include <cuda_runtime_api.h>

#include "adapter.h"
#include "blend.cuh"
#include "common/arguments.h"
#include "common/device.h"
#include "common/status.h"
#include "types.h"

namespace splat::own {

// Takes typed arrays from one block, each aligned to 256 bytes. With a null base it only adds up.
class Arena {
 public:
  explicit Arena(void *base = nullptr) : base_(static_cast<char *>(base)) {}
  template <typename T>
  T *take(uint64_t count) {
    char *at = base_ ? base_ + used_ : nullptr;
    used_ += (count * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T *>(at);
  }
  uint64_t used() const { return used_; }

 private:
  char *base_;
  uint64_t used_ = 0;
};

// Allocates what `layout(arena)` takes and returns the layout filled in. Bytes are reported in *bytes.
template <typename Layout>
auto allocate(const Memory &memory, uint32_t kind, const char *what, Layout &&layout, void **block = nullptr,
              uint64_t *bytes = nullptr) {
  Arena sizes;
  layout(sizes);
  void *base = memory.get(kind, sizes.used(), what);
  if (block) *block = base;
  if (bytes) *bytes = sizes.used();
  Arena arena(base);
  return layout(arena);
}

// One group of channels that is blended in one go; see blend.cuh.
enum class GroupKind { COLOR, DEPTH, FEATURES };
struct Group {
  GroupKind kind;
  int channel_count;  // 3 or 4
  int index;          // of the group of features
};

struct Groups {
  Fourth fourth = Fourth::NONE;
  int count = 0;
  Group group[18];
};

// Color first, with inverse depth or depth as its fourth channel; depth apart when both are wanted; then features.
Groups groups_of(bool inv_depth, bool depth, int64_t features);

// The channels of a group among a call's images, by source: what is blended into, or the upstream gradients.
template <typename Number>
PlanesOf<Number> planes_of(const own::Scene &scene, const Groups &groups, const Group &group, Number *const *images) {
  const uint64_t pixels = uint64_t(scene.width) * scene.height;
  PlanesOf<Number> planes = {};
  auto plane = [&](int channel, uint32_t source, uint64_t of, uint64_t count) {
    if (!images[source]) return;
    planes.plane[channel] = images[source] + of * pixels;
    planes.stride[channel] = count * pixels;
  };
  switch (group.kind) {
    case GroupKind::COLOR:
      for (int c = 0; c < 3; c++) plane(c, SPLAT_COLOR, c, 3);
      if (group.channel_count == 4) plane(3, groups.fourth == Fourth::DEPTH ? SPLAT_DEPTH : SPLAT_INV_DEPTH, 0, 1);
      break;
    case GroupKind::DEPTH: plane(0, SPLAT_DEPTH, 0, 1); break;
    case GroupKind::FEATURES:
      for (int c = 0; c < 4 && 4 * group.index + c < scene.feature_count; c++)
        plane(c, SPLAT_FEATURES, 4 * group.index + c, scene.feature_count);
      break;
  }
  return planes;
}

// Kept for backward. What depends on the number of rows, and what depends on that of pairs.
struct SavedRows {
  Counters *counters;
  Shape2d *shape;
  float4 *channels[18];
  int32_t *radii;  // of calls that start from records; a whole call's caller keeps them
};
struct SavedPairs {
  uint32_t *list;
  uint2 *range;
  uint32_t *alive;
  Touched touched;
  Work *work;
  Pixels finals[18], checkpoints[18];
};

SavedRows saved_rows(Arena &arena, const own::Scene &scene, const Groups &groups, bool with_radii);
SavedPairs saved_pairs(Arena &arena, const own::Scene &scene, const Groups &groups, uint64_t capacity, bool train);
uint64_t most_items(const own::Scene &scene, uint64_t capacity);

// The scene and cameras for kernels.
struct Call {
  own::Scene scene;
  Cameras cameras;
};
Call call_of(const splat::Scene &scene);

// A scene of `count` rows per image without Gaussians; refuses what 32-bit indices cannot count.
own::Scene scene_of(int64_t count, uint32_t images, int32_t width, int32_t height);

// Refuses records and their gradients that are not aligned to 16 bytes: kernels move them 16 bytes at a time.
void check_aligned(const char *name, const void *pointer);

// After a launch: throws with the stage's name; with SPLAT_DEBUG also waits, so that the stage is the guilty one.
class Stages {
 public:
  Stages(cudaStream_t stream, uint32_t flags) : stream_(stream), debug_(flags & SPLAT_DEBUG) {}
  void operator()(cudaError_t code, const char *stage) const {
    if (code == cudaSuccess && debug_) code = cudaStreamSynchronize(stream_);
    cuda(code, stage);
  }

 private:
  cudaStream_t stream_;
  bool debug_;
};

// Places of the tiles' lists ordered by row, and the row of each: sums over a row's places in a fixed order.
struct PlacesByRow {
  const uint32_t *places, *rows;
};
PlacesByRow places_by_row(const own::Scene &scene, const uint32_t *list, uint64_t capacity, const Counters *counters,
                          const Memory &memory, const Stages &stage, cudaStream_t stream);

// Bits that hold the numbers under n, at least 1.
inline int bits_of(uint64_t n) {
  int bits = 1;
  while (n > (uint64_t(1) << bits)) bits++;
  return bits;
}

// Where `saved` keeps what backward must know again.
enum { SAVED_ROWS, SAVED_PAIRS, SAVED_BUFFERS };
constexpr int SAVED_CAPACITY = 4, SAVED_CHANNELS = 5;  // in saved.bytes; of the latter, this bit says "from records":
constexpr uint64_t SAVED_FROM_RECORDS = uint64_t(1) << 31;

}  // namespace splat::own
