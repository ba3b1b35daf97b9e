// Backward of engine `cuda`: which kernels run in which order on which memory. Never waits for the device.
#include "adapter.h"
#include "call.h"
#include "project_backward.cuh"
#include "sort.cuh"

namespace splat::own {
namespace {

class Backward {
 public:
  Backward(splat_backward_args &args, const splat::Scene &scene)
      : args_(args),
        call_(call_of(scene)),
        scene_(call_.scene),
        stream_(static_cast<cudaStream_t>(args.context.stream)),
        memory_(args.context),
        stage_(stream_, call_.debug),
        reproducible_(scene.has(SPLAT_REPRODUCIBLE)) {
    read_saved();
  }

  void run() {
    const uint32_t rows = scene_.rows();
    float *sums = nullptr, *other = nullptr;
    if (rows > 0) {
      sums = zeroed(uint64_t(rows) * SUMS, "the sums over pixels");
      if (reproducible_) order_by_row();
      for (int k = 0; k < groups_.count; k++) {
        const bool wanted = fill(k);
        if (k > 0 && wanted && !other) other = memory_.scratch(uint64_t(rows) * SUMS, "the sums of further channels");
        if (k > 0 && wanted)
          stage_(cudaMemsetAsync(other, 0, sizeof(float) * SUMS * rows, stream_), "clearing the sums");
        if (wanted) group_backward(k, k == 0 ? sums : other);
        const Group &g = groups_.group[k];
        if (g.kind == GroupKind::FEATURES && args_.features)
          stage_(feature_backward(scene_, g.index, args_.radii, wanted ? other : nullptr, args_.features, stream_),
                 "running `feature_backward`");
        if (k > 0 && wanted)
          stage_(add_sums(rows, args_.radii, g.kind == GroupKind::DEPTH ? rows_.channels[k] : nullptr, groups_.fourth,
                          other, sums, stream_),
                 "running `add_sums`");
      }
    }
    if (args_.background) background();
    ProjectBackwardOut out = {};
    out.means3d = args_.means3d, out.means2d = args_.means2d, out.means2d_abs = args_.means2d_abs;
    out.opacities = args_.opacities, out.sh = args_.sh, out.sh_rest = args_.sh_rest, out.colors = args_.colors;
    out.scales = args_.scales, out.rotations = args_.rotations, out.cov3d = args_.cov3d, out.view = args_.view;
    if (rows == 0) {
      if (out.view) stage_(cudaMemsetAsync(out.view, 0, 64ull * scene_.cameras, stream_), "clearing an output");
      return;
    }
    if (out.view)
      out.partial = memory_.scratch(uint64_t(view_partials(scene_.splats)) * scene_.cameras * 12, "the pose's sums");
    const ProjectBackwardIn in = {args_.radii, sums, groups_.fourth};
    stage_(project_backward(scene_, call_.cameras, in, out, stream_), "running `project_backward`");
  }

 private:
  void read_saved() {
    const splat_saved &saved = args_.saved;
    if (saved.buffer_count != SAVED_BUFFERS)
      fail(SPLAT_INVALID_ARGUMENT,
           "`saved` has %u buffers, but engine `cuda` leaves %d: it is not of this engine's forward, or of one with "
           "SPLAT_FORWARD_ONLY",
           saved.buffer_count, SAVED_BUFFERS);
    const uint64_t outputs = saved.bytes[SAVED_OUTPUTS];
    groups_ = groups_of(outputs & SPLAT_OUT_INV_DEPTH, outputs & SPLAT_OUT_DEPTH,
                        outputs & SPLAT_OUT_FEATURES ? scene_.feature_count : 0);
    needs_output("inv_depth", args_.grad_inv_depth, outputs & SPLAT_OUT_INV_DEPTH);
    needs_output("depth", args_.grad_depth, outputs & SPLAT_OUT_DEPTH);
    needs_output("features", args_.grad_features, outputs & SPLAT_OUT_FEATURES);
    if (args_.means2d_abs && groups_.count > 1)
      fail(SPLAT_UNSUPPORTED, "engine `cuda` computes `means2d_abs` for up to four channels, but the call has %d groups",
           groups_.count);
    capacity_ = saved.bytes[SAVED_CAPACITY];
    Arena rows, pairs;
    saved_rows(rows, scene_, groups_);
    saved_pairs(pairs, scene_, groups_, capacity_, true);
    const uint64_t needed[SAVED_BUFFERS] = {rows.used(), pairs.used()};
    for (int i = 0; i < SAVED_BUFFERS; i++) {
      required("saved.buffer", saved.buffer[i]);
      if (saved.bytes[i] != needed[i])
        fail(SPLAT_INVALID_ARGUMENT,
             "`saved.bytes`[%d] is %llu, but %u splats on %dx%d pixels need %llu: forward had other inputs", i,
             (unsigned long long)saved.bytes[i], scene_.splats, scene_.width, scene_.height,
             (unsigned long long)needed[i]);
    }
    Arena at_rows(saved.buffer[SAVED_ROWS]), at_pairs(saved.buffer[SAVED_PAIRS]);
    rows_ = saved_rows(at_rows, scene_, groups_);
    pairs_ = saved_pairs(at_pairs, scene_, groups_, capacity_, true);
  }

  static void needs_output(const char *name, const float *gradient, bool computed) {
    if (gradient && !computed)
      fail(SPLAT_INVALID_ARGUMENT, "there is a gradient for `%s`, but forward was not asked for that output", name);
  }

  float *zeroed(uint64_t floats, const char *what) {
    float *to = memory_.scratch(floats, what);
    stage_(cudaMemsetAsync(to, 0, floats * sizeof(float), stream_), "clearing the sums");
    return to;
  }

  // The planes of group k's upstream gradients; false if all of them are zero.
  bool fill(int k) {
    const Group &g = groups_.group[k];
    const uint64_t pixels = uint64_t(scene_.width) * scene_.height;
    grad_ = {};
    auto plane = [&](int channel, const float *images, uint64_t of, uint64_t count) {
      if (!images) return;
      grad_.plane[channel] = images + of * pixels;
      grad_.stride[channel] = count * pixels;
    };
    switch (g.kind) {
      case GroupKind::COLOR:
        for (int c = 0; c < 3; c++) plane(c, args_.grad_color, c, 3);
        if (groups_.fourth == Fourth::INV_DEPTH) plane(3, args_.grad_inv_depth, 0, 1);
        if (groups_.fourth == Fourth::DEPTH) plane(3, args_.grad_depth, 0, 1);
        return args_.grad_color || grad_.plane[3] || args_.grad_alpha;
      case GroupKind::DEPTH: plane(0, args_.grad_depth, 0, 1); return args_.grad_depth;
      case GroupKind::FEATURES:
        for (int c = 0; c < 4 && 4 * g.index + c < scene_.feature_count; c++)
          plane(c, args_.grad_features, 4 * g.index + c, scene_.feature_count);
        return args_.grad_features;
    }
    return false;
  }

  void group_backward(int k, float *sums) {
    const Group &g = groups_.group[k];
    BlendBackwardIn in = {};
    // Without an upstream gradient the fourth channel costs nothing.
    const int channels = g.channel_count == 4 && grad_.plane[3] ? 4 : 3;
    in.blend = {pairs_.range, pairs_.list, rows_.shape, rows_.channels[k], channels,
                g.kind == GroupKind::COLOR ? scene_.background : nullptr};
    in.grad = grad_;
    in.grad_alpha = g.kind == GroupKind::COLOR ? args_.grad_alpha : nullptr;
    in.finals = pairs_.finals[k];
    in.checkpoints = pairs_.checkpoints[k];
    in.alive = pairs_.alive;
    in.touched = pairs_.touched;
    in.work = pairs_.work;
    in.counters = rows_.counters;
    in.most_items = uint32_t(most_items(scene_, capacity_));
    const bool absolute = args_.means2d_abs != nullptr;
    if (!reproducible_) {
      stage_(blend_backward(scene_, in, {sums, false, absolute}, stream_), "running `blend_backward`");
      return;
    }
    stage_(cudaMemsetAsync(by_place_, 0, capacity_ * SUMS * sizeof(float), stream_), "clearing the sums by place");
    stage_(blend_backward(scene_, in, {by_place_, true, absolute}, stream_), "running `blend_backward`");
    stage_(sum_places(by_place_, places_, place_rows_, capacity_, rows_.counters, sums, stream_),
           "running `sum_places`");
  }

  // Reproducible mode: places of the list ordered by row, so that each row's are added in a fixed order.
  void order_by_row() {
    const Digits digits(bits_of(scene_.rows()));
    Sort<uint32_t> s = {};
    char *words = nullptr;
    struct Layout {
      char *words;
      uint32_t *keys[2], *values[2];
      float *by_place;
    };
    const uint64_t word_bytes = sort_scratch_bytes(capacity_, digits);
    const Layout l = allocate(memory_, SPLAT_MEM_SCRATCH, "ordering the pairs by splat", [&](Arena &a) {
      Layout l = {};
      l.words = a.take<char>(word_bytes);
      for (int k = 0; k < 2; k++) l.keys[k] = a.take<uint32_t>(capacity_), l.values[k] = a.take<uint32_t>(capacity_);
      l.by_place = a.take<float>(capacity_ * SUMS);
      return l;
    });
    words = l.words;
    by_place_ = l.by_place;
    stage_(cudaMemsetAsync(words, 0, word_bytes, stream_), "clearing the sort's words");
    stage_(cudaMemcpyAsync(l.keys[0], pairs_.list, capacity_ * sizeof(uint32_t), cudaMemcpyDeviceToDevice, stream_),
           "copying the lists");
    for (int k = 0; k < 2; k++) s.keys[k] = l.keys[k], s.values[k] = l.values[k];
    s.values_are_places = true;
    s.count = &rows_.counters->listed;
    s.capacity = capacity_;
    s.digits = digits;
    s.scratch = words;
    stage_(sort(s, stream_), "running `sort` (by splat)");
    places_ = l.values[digits.passes % 2];
    place_rows_ = l.keys[digits.passes % 2];
  }

  void background() {
    float *partial = memory_.scratch(3 * background_blocks(), "the background's sums");
    fill(0);
    stage_(background_backward(scene_, grad_, pairs_.finals[0], partial, args_.background, stream_),
           "running `background_backward`");
  }

  splat_backward_args &args_;
  const Call call_;
  const own::Scene &scene_;
  const cudaStream_t stream_;
  const Memory memory_;
  const Stages stage_;
  const bool reproducible_;
  Groups groups_;
  uint64_t capacity_ = 0;
  SavedRows rows_ = {};
  SavedPairs pairs_ = {};
  GradPlanes grad_ = {};
  float *by_place_ = nullptr;
  uint32_t *places_ = nullptr, *place_rows_ = nullptr;
};

}  // namespace

void backward_or_throw(splat_backward_args &args) {
  check_size("splat_backward_args", args.struct_size, sizeof args);
  check_size("splat_saved", args.saved.struct_size, sizeof args.saved);
  check_context("cuda", args.context);
  const splat::Scene scene = read_scene("cuda", args.camera_count, args.cameras, args.gaussians, args.settings);
  if (scene.count > 0) required("radii", args.radii);
  const CurrentDevice device(args.context.device);
  Backward(args, scene).run();
}

}  // namespace splat::own
