// See sums.h: which kernels run in which order on which memory.
#include "sums.h"

namespace splat::own {
namespace {

class Sums {
 public:
  explicit Sums(const SumsCall &call)
      : call_(call),
        scene_(call.scene),
        gradient_(call.channels.gradient),
        stream_(static_cast<cudaStream_t>(call.context.stream)),
        memory_(call.context),
        stage_(stream_, call.flags),
        reproducible_(call.flags & SPLAT_REPRODUCIBLE) {
    read_saved();
  }

  RowSums run() {
    const uint32_t rows = scene_.rows();
    const int32_t *radii = call_.from_records ? rows_.radii : call_.radii;
    // By row, each row is a Gaussian of its own.
    own::Scene of_features = scene_;
    if (call_.from_records) of_features.splats = rows, of_features.cameras = 1;
    float *sums = nullptr, *other = nullptr;
    if (rows > 0) {
      sums = zeroed(uint64_t(rows) * SUMS, "the sums over pixels");
      if (reproducible_) prepare_places();
      for (int k = 0; k < groups_.count; k++) {
        const bool wanted = fill(k);
        if (k > 0 && wanted && !other) other = memory_.scratch(uint64_t(rows) * SUMS, "the sums of further channels");
        if (k > 0 && wanted)
          stage_(cudaMemsetAsync(other, 0, sizeof(float) * SUMS * rows, stream_), "clearing the sums");
        if (wanted) group_backward(k, k == 0 ? sums : other);
        const Group &g = groups_.group[k];
        if (g.kind == GroupKind::FEATURES && call_.features)
          stage_(feature_backward(of_features, g.index, radii, wanted ? other : nullptr, call_.features, stream_),
                 "running `feature_backward`");
        if (k > 0 && wanted)
          stage_(add_sums(rows, radii, g.kind == GroupKind::DEPTH ? rows_.channels[k] : nullptr, groups_.fourth, other,
                          sums, stream_),
                 "running `add_sums`");
      }
      clear_unrendered_features(rows);
    }
    if (call_.background) background();
    return {sums, radii, groups_.fourth};
  }

 private:
  void read_saved() {
    const splat_saved &saved = call_.saved;
    if (saved.buffer_count != SAVED_BUFFERS)
      fail(SPLAT_INVALID_ARGUMENT,
           "`saved` has %u buffers, but engine `cuda` leaves %d: it is not of this engine's forward pass, or of one with "
           "SPLAT_FORWARD_ONLY",
           saved.buffer_count, SAVED_BUFFERS);
    const uint64_t forward = saved.bytes[SAVED_CHANNELS];
    const bool from_records = call_.from_records;
    if (bool(forward & SAVED_FROM_RECORDS) != from_records)
      fail(SPLAT_INVALID_ARGUMENT, "`saved` is of `%s`, but this is the backward pass of `%s`",
           from_records ? "forward" : "rasterize", from_records ? "rasterize" : "forward");
    static const struct {
      uint32_t source;
      const char *name;
    } IMAGES[] = {{SPLAT_COLOR, "color"},
                  {SPLAT_INV_DEPTH, "inv_depth"},
                  {SPLAT_DEPTH, "depth"},
                  {SPLAT_ALPHA, "alpha"},
                  {SPLAT_FEATURES, "features"}};
    for (const auto &image : IMAGES)
      if (gradient_[image.source] && !(forward >> image.source & 1))
        fail(SPLAT_INVALID_ARGUMENT, "there is a gradient for channel `%s`, but forward was not asked for that channel",
             image.name);
    groups_ = groups_of(forward >> SPLAT_INV_DEPTH & 1, forward >> SPLAT_DEPTH & 1,
                        forward >> SPLAT_FEATURES & 1 ? scene_.feature_count : 0);
    if (call_.absolute && groups_.count > 1)
      fail(SPLAT_UNSUPPORTED,
           "engine `cuda` computes absolute gradients for up to four image channels, but the call rendered %d groups of "
           "them",
           groups_.count);
    capacity_ = saved.bytes[SAVED_CAPACITY];
    Arena rows, pairs;
    saved_rows(rows, scene_, groups_, from_records);
    saved_pairs(pairs, scene_, groups_, capacity_, true);
    const uint64_t needed[SAVED_BUFFERS] = {rows.used(), pairs.used()};
    for (int i = 0; i < SAVED_BUFFERS; i++) {
      required("saved.buffer", saved.buffer[i]);
      if (saved.bytes[i] != needed[i])
        fail(SPLAT_INVALID_ARGUMENT,
             "`saved.bytes`[%d] is %llu, but %u Gaussians on %dx%d pixels need %llu: forward had other inputs", i,
             (unsigned long long)saved.bytes[i], scene_.splats, scene_.width, scene_.height,
             (unsigned long long)needed[i]);
    }
    Arena at_rows(saved.buffer[SAVED_ROWS]), at_pairs(saved.buffer[SAVED_PAIRS]);
    rows_ = saved_rows(at_rows, scene_, groups_, from_records);
    pairs_ = saved_pairs(at_pairs, scene_, groups_, capacity_, true);
  }

  float *zeroed(uint64_t floats, const char *what) {
    float *to = memory_.scratch(floats, what);
    stage_(cudaMemsetAsync(to, 0, floats * sizeof(float), stream_), "clearing the sums");
    return to;
  }

  // Features that forward was not asked to blend have zero gradients.
  void clear_unrendered_features(uint32_t rows) {
    if (!call_.features || groups_.group[groups_.count - 1].kind == GroupKind::FEATURES) return;
    const uint64_t count = uint64_t(call_.from_records ? rows : scene_.splats) * scene_.feature_count;
    stage_(cudaMemsetAsync(call_.features, 0, sizeof(float) * count, stream_), "clearing an output");
  }

  // The planes of group k's upstream gradients; false if all of them are zero.
  bool fill(int k) {
    const Group &g = groups_.group[k];
    grad_ = planes_of(scene_, groups_, g, gradient_);
    return grad_.plane[0] || grad_.plane[3] || (g.kind == GroupKind::COLOR && gradient_[SPLAT_ALPHA]);
  }

  void group_backward(int k, float *sums) {
    const Group &g = groups_.group[k];
    BlendBackwardIn in = {};
    // Without an upstream gradient the fourth channel costs nothing.
    const int channels = g.channel_count == 4 && grad_.plane[3] ? 4 : 3;
    in.blend = {pairs_.range, pairs_.list, rows_.shape, rows_.channels[k], channels,
                g.kind == GroupKind::COLOR ? scene_.background : nullptr};
    in.grad = grad_;
    in.grad_alpha = g.kind == GroupKind::COLOR ? gradient_[SPLAT_ALPHA] : nullptr;
    in.finals = pairs_.finals[k];
    in.checkpoints = pairs_.checkpoints[k];
    in.alive = pairs_.alive;
    in.touched = pairs_.touched;
    in.work = pairs_.work;
    in.counters = rows_.counters;
    in.most_items = uint32_t(most_items(scene_, capacity_));
    const bool absolute = call_.absolute;
    if (!reproducible_) {
      stage_(blend_backward(scene_, in, {sums, false, absolute}, stream_), "running `blend_backward`");
      return;
    }
    stage_(cudaMemsetAsync(by_place_, 0, capacity_ * SUMS * sizeof(float), stream_), "clearing the sums by place");
    stage_(blend_backward(scene_, in, {by_place_, true, absolute}, stream_), "running `blend_backward`");
    stage_(sum_places(by_place_, by_row_.places, by_row_.rows, capacity_, rows_.counters, sums, stream_),
           "running `sum_places`");
  }

  void prepare_places() {
    by_row_ = places_by_row(scene_, pairs_.list, capacity_, rows_.counters, memory_, stage_, stream_);
    by_place_ = memory_.scratch(capacity_ * SUMS, "the sums by place");
  }

  void background() {
    float *partial = memory_.scratch(3 * background_blocks(), "the background's sums");
    fill(0);
    stage_(background_backward(scene_, grad_, pairs_.finals[0], partial, call_.background, stream_),
           "running `background_backward`");
  }

  const SumsCall &call_;
  const own::Scene &scene_;
  const float *const *const gradient_;
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
  PlacesByRow by_row_ = {};
};

}  // namespace

RowSums sum_rows(const SumsCall &call) { return Sums(call).run(); }

void finish_backward(const Call &call, const ProjectBackwardIn &in, const splat_gradients &gradients,
                     const StepGroups *steps, const splat_context &context, uint32_t flags) {
  const auto stream = static_cast<cudaStream_t>(context.stream);
  const Stages stage(stream, flags);
  ProjectBackwardOut out = {};
  out.means3d = gradients.means3d, out.means2d = gradients.means2d, out.means2d_abs = gradients.means2d_abs;
  out.opacities = gradients.opacities, out.sh = gradients.sh, out.sh_rest = gradients.sh_rest;
  out.colors = gradients.colors, out.scales = gradients.scales, out.rotations = gradients.rotations;
  out.cov3d = gradients.cov3d, out.view = gradients.view;
  if (call.scene.rows() == 0) {
    if (out.view) stage(cudaMemsetAsync(out.view, 0, 64ull * call.scene.cameras, stream), "clearing an output");
    return;
  }
  if (out.view)
    out.partial = Memory(context).scratch(uint64_t(view_partials(call.scene.splats)) * call.scene.cameras * 12,
                                          "the pose's sums");
  stage(project_backward(call.scene, call.cameras, in, out, steps, stream), "running `project_backward`");
}

}  // namespace splat::own
