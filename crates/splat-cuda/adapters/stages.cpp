// The stages of engine `cuda`: the whole passes cut between projection and tiles, with records in between.
#include "images.h"
#include "records.cuh"
#include "steps.h"
#include "sums.h"

namespace splat::own {

void project_or_throw(const splat_project_args *from) {
  const splat_project_args args = read(from, "splat_project_args");
  const splat_context context = read(args.context, "splat_context");
  const splat::Scene scene =
      read_scene(ENGINE, args.camera_count, args.cameras, args.gaussians, args.settings, {false, false, true});
  const Call call = call_of(scene);
  if (call.scene.rows() == 0) return;
  required("records", args.records);
  check_aligned("records", args.records);
  const CurrentDevice device(context.device);
  const auto stream = static_cast<cudaStream_t>(context.stream);
  Stages(stream, scene.flags)(project_records(call.scene, call.cameras, args.records, stream), "running `project`");
}

namespace {

// What both directions of the second stage read.
struct Rasterize {
  splat_rasterize_args args;
  splat_context context;
  splat_settings settings;
  Channels channels;
  own::Scene scene;
};

Rasterize read_rasterize(const splat_rasterize_args *from, Pass pass) {
  Rasterize r = {};
  r.args = read(from, "splat_rasterize_args");
  r.context = read_context(ENGINE, r.args.context);
  r.settings = read_settings(r.args.settings, true);
  const uint32_t images = r.args.image_count;
  const int64_t n = r.args.count, f = r.args.feature_count;
  if (images < 1 || images > SPLAT_MAX_CAMERAS)
    fail(SPLAT_INVALID_ARGUMENT, "`image_count` is %u, but must be 1 to %d", images, SPLAT_MAX_CAMERAS);
  check_image(r.args.width, r.args.height);
  if (n < 0) fail(SPLAT_INVALID_ARGUMENT, "`count` is %lld, but must be at least 0", (long long)n);
  if (f < 0 || f > SPLAT_MAX_FEATURES)
    fail(SPLAT_INVALID_ARGUMENT, "`feature_count` is %lld, but must be 0 to %d", (long long)f, SPLAT_MAX_FEATURES);
  r.channels = read_channels(ENGINE, CHANNELS, pass, r.args.channel_count, r.args.channels, n, f);
  r.scene = scene_of(n, images, r.args.width, r.args.height);
  r.scene.exact = r.settings.flags & SPLAT_EXACT;
  r.scene.background = r.settings.background;
  r.scene.feature_count = int(f);
  if (r.scene.rows() > 0) required("records", r.args.records);
  check_aligned("records", r.args.records);
  if (f > 0 && n > 0) {
    const splat_in &features = r.args.features;
    const bool shared = features.stride[0] == 0 || images == 1;
    // Without the first dimension it is one image's.
    const splat_in one = {features.data, {features.stride[1], features.stride[2], 0}};
    r.scene.features = shared ? contiguous(ENGINE, "features", one, {n, f})
                              : contiguous(ENGINE, "features", features, {images, n, f});
    r.scene.feature_stride = shared ? 0 : uint64_t(n) * uint64_t(f);
  }
  return r;
}

}  // namespace

void rasterize_or_throw(const splat_rasterize_args *from) {
  const Rasterize r = read_rasterize(from, Pass::FORWARD);
  write_whole(splat_saved{}, r.args.saved, "splat_saved");
  const CurrentDevice device(r.context.device);
  const splat_saved saved = render(
      {r.scene, r.context, r.channels, r.settings.flags, true, nullptr},
      [&](const ProjectOut &out, Fourth fourth, float4 *depth_channel, const Stages &stage, cudaStream_t stream) {
        stage(unpack_records(r.scene, r.args.records, fourth, depth_channel, out, stream), "running `unpack_records`");
      });
  write_whole(saved, r.args.saved, "splat_saved");
}

void rasterize_backward_or_throw(const splat_rasterize_args *from) {
  const Rasterize r = read_rasterize(from, Pass::BACKWARD);
  const splat_saved saved = read(r.args.saved, "splat_saved");
  check_aligned("record_gradients", r.args.record_gradients);
  const CurrentDevice device(r.context.device);
  const bool absolute = r.args.absolute != 0;
  const RowSums sums = sum_rows({r.scene, r.context, r.channels, r.settings.flags, saved, true, nullptr, absolute,
                                 r.args.feature_gradients, r.args.background_gradient});
  if (r.scene.rows() == 0 || !r.args.record_gradients) return;
  const auto stream = static_cast<cudaStream_t>(r.context.stream);
  Stages(stream, r.settings.flags)(
      records_backward(r.scene, r.args.records, sums.radii, sums.sums, sums.fourth, absolute, r.args.record_gradients,
                       stream),
      "running `records_backward`");
}

void project_backward_into(const splat_project_backward_args *from, const MakeSteps &make_steps) {
  const splat_project_backward_args args = read(from, "splat_project_backward_args");
  const splat_context context = read_context(ENGINE, args.context);
  const splat::Scene scene =
      read_scene(ENGINE, args.camera_count, args.cameras, args.gaussians, args.settings, {false, false, true});
  const splat_gradients gradients = read(args.gradients, "splat_gradients");
  if (gradients.features || gradients.background)
    fail(SPLAT_INVALID_ARGUMENT, "the gradient of `%s` is wanted, but `rasterize_backward` gives it",
         gradients.features ? "features" : "background");
  const Call call = call_of(scene);
  if (call.scene.rows() > 0) {
    required("records", args.records);
    required("record_gradients", args.record_gradients);
  }
  check_aligned("records", args.records);
  check_aligned("record_gradients", args.record_gradients);
  StepGroups groups;
  const StepGroups *steps = make_steps ? make_steps(call.scene, gradients, groups) : nullptr;
  if (!steps && scene.sh_rest16) fail_half_gradient();
  const CurrentDevice device(context.device);
  finish_backward(call, {nullptr, nullptr, Fourth::NONE, args.records, args.record_gradients}, gradients, steps,
                  context, scene.flags);
}

void project_backward_or_throw(const splat_project_backward_args *from) { project_backward_into(from, nullptr); }

}  // namespace splat::own
