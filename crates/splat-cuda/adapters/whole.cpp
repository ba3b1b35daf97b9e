// The whole passes of engine `cuda`: projection, then images; sums over pixels, then gradients of the Gaussians.
#include "images.h"
#include "steps.h"
#include "sums.h"

namespace splat::own {

void forward_or_throw(const splat_forward_args *from) {
  const splat_forward_args args = read(from, "splat_forward_args");
  const splat_context context = read_context(ENGINE, args.context);
  const splat::Scene scene =
      read_scene(ENGINE, args.camera_count, args.cameras, args.gaussians, args.settings, {true, true, true});
  const Channels channels = read_channels(ENGINE, CHANNELS, Pass::FORWARD, args.channel_count, args.channels,
                                          scene.count, scene.feature_count);
  if (scene.count > 0) required("radii", args.radii);
  write_whole(splat_saved{}, args.saved, "splat_saved");
  const Call call = call_of(scene);
  const CurrentDevice device(context.device);
  const splat_saved saved = render(
      {call.scene, context, channels, scene.flags, false, args.radii},
      [&](const ProjectOut &out, Fourth fourth, float4 *depth_channel, const Stages &stage, cudaStream_t stream) {
        stage(project(call.scene, call.cameras, fourth, out, stream), "running `project`");
        if (depth_channel)
          stage(gather_depth(call.scene, call.cameras, out.radii, depth_channel, stream), "running `gather_depth`");
      });
  write_whole(saved, args.saved, "splat_saved");
}

void backward_into(const splat_backward_args *from, const MakeSteps &make_steps) {
  const splat_backward_args args = read(from, "splat_backward_args");
  const splat_context context = read_context(ENGINE, args.context);
  const splat::Scene scene =
      read_scene(ENGINE, args.camera_count, args.cameras, args.gaussians, args.settings, {true, true, true});
  const Channels channels = read_channels(ENGINE, CHANNELS, Pass::BACKWARD, args.channel_count, args.channels,
                                          scene.count, scene.feature_count);
  const splat_saved saved = read(args.saved, "splat_saved");
  const splat_gradients gradients = read(args.gradients, "splat_gradients");
  if (scene.count > 0) required("radii", args.radii);
  const Call call = call_of(scene);
  StepGroups groups;
  const StepGroups *steps = make_steps ? make_steps(call.scene, gradients, groups) : nullptr;
  if (!steps && scene.sh_rest16) fail_half_gradient();
  const CurrentDevice device(context.device);
  const RowSums sums = sum_rows({call.scene, context, channels, scene.flags, saved, false, args.radii,
                                 gradients.means2d_abs != nullptr, gradients.features, gradients.background});
  finish_backward(call, {sums.radii, sums.sums, sums.fourth, nullptr, nullptr}, gradients, steps, context, scene.flags);
}

void backward_or_throw(const splat_backward_args *from) { backward_into(from, nullptr); }

}  // namespace splat::own
