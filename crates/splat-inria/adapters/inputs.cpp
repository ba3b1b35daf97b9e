// See inputs.h.
#include "inputs.h"

#include <climits>

namespace splat::inria {
namespace {

// The original indexes with `int`: refuses what it would count wrongly.
void check_extent(const Scene &scene) {
  const int64_t widest = scene.coeffs > 6 ? scene.coeffs : 6;
  if (scene.count > INT_MAX / widest)
    fail(SPLAT_UNSUPPORTED, "engine `inria` indexes with 32 bits: %lld Gaussians of %lld numbers or coefficients are over %d",
         (long long)scene.count, (long long)widest, INT_MAX);
  const int64_t rows = (int64_t(scene.height) + 15) / 16;
  if (3 * scene.pixels() > INT_MAX || rows > 65535)
    fail(SPLAT_UNSUPPORTED, "engine `inria` indexes with 32 bits: an image of %dx%d pixels is too large for it",
         scene.width, scene.height);
}

void refuse_extensions(const Scene &scene, const splat_context &context) {
  refuse(scene.has(SPLAT_EXACT), "mode exact");
  refuse(scene.has(SPLAT_RAW), "raw parameters");
  refuse(scene.has(SPLAT_REPRODUCIBLE), "reproducible gradients");
  refuse(scene.cameras > 1, "calls with several cameras");
  refuse(scene.camera[0].model == SPLAT_ORTHOGRAPHIC, "orthographic camera");
  refuse(scene.sh_rest, "split `sh`");
  refuse(scene.feature_count > 0, "features");
  refuse(context.workspace, "workspaces");
}

}  // namespace

void refuse(bool asked, const char *what) {
  if (asked)
    fail(SPLAT_UNSUPPORTED, "engine `inria` is the original and has no %s, which engines `cuda` and `cpu` have", what);
}

template <typename Args>
Call open(const Args &args, Pass pass) {
  Call call = {read_context(ENGINE, args.context),
               read_scene(ENGINE, args.camera_count, args.cameras, args.gaussians, args.settings, {true, true}),
               {}};
  check_extent(call.scene);
  refuse_extensions(call.scene, call.context);
  call.channels = read_channels(ENGINE, CHANNELS, pass, args.channel_count, args.channels, call.scene.count,
                                call.scene.feature_count);
  return call;
}
template Call open(const splat_forward_args &, Pass);
template Call open(const splat_backward_args &, Pass);

void add_inputs(FiniteScan &scan, const Scene &scene) {
  const int64_t p = scene.count;
  scan.add("view", scene.camera[0].view, 16);
  scan.add("proj", scene.camera[0].proj, 16);
  scan.add("campos", scene.camera[0].campos, 3);
  scan.add("background", scene.background, 3);
  scan.add("means3d", scene.means3d, 3 * p);
  scan.add("opacities", scene.opacities, p);
  scan.add("sh", scene.sh, 3 * scene.coeffs * p);
  scan.add("colors", scene.colors, 3 * p);
  scan.add("scales", scene.scales, 3 * p);
  scan.add("rotations", scene.rotations, 4 * p);
  scan.add("cov3d", scene.cov3d, 6 * p);
}

void refuse_nonfinite(const FiniteScan &scan, const Memory &memory) {
  auto *first =
      static_cast<unsigned long long *>(memory.get(SPLAT_MEM_SCRATCH, sizeof(unsigned long long), "the input check"));
  scan.launch(first);
  scan.report(read_back(first, "searching the inputs for NaN and infinity"));
}

[[noreturn]] void refuse_splat(const Scene &scene, const Projected &projected, int64_t i) {
  const char *stage = "reading the Gaussian that cannot be projected";
  struct Row {
    float value[6];
  } row = {};
  if (projected.rgb) {
    float rgb[3];
    cuda(cudaMemcpy(rgb, projected.rgb + 3 * i, sizeof rgb, cudaMemcpyDeviceToHost), stage);
    for (float channel : rgb)
      if (!(channel - channel == 0))
        fail(SPLAT_INVALID_ARGUMENT,
             "the colour of Gaussian %lld is (%g, %g, %g): its `sh` leave the range of f32, or it is at `campos`",
             (long long)i, rgb[0], rgb[1], rgb[2]);
  }
  if (scene.cov3d) {
    cuda(cudaMemcpy(&row, scene.cov3d + 6 * i, 6 * sizeof(float), cudaMemcpyDeviceToHost), stage);
    fail(SPLAT_INVALID_ARGUMENT,
         "`cov3d`[%lld..] = (%g, %g, %g, %g, %g, %g) cannot be projected: it is not positive semi-definite, or its "
         "projection leaves the range of f32",
         (long long)(6 * i), row.value[0], row.value[1], row.value[2], row.value[3], row.value[4], row.value[5]);
  }
  cuda(cudaMemcpy(&row, scene.scales + 3 * i, 3 * sizeof(float), cudaMemcpyDeviceToHost), stage);
  fail(SPLAT_INVALID_ARGUMENT,
       "`scales`[%lld..] = (%g, %g, %g) with scale_modifier %g cannot be projected: the Gaussian's covariance in the "
       "image leaves the range of f32",
       (long long)(3 * i), row.value[0], row.value[1], row.value[2], scene.scale_modifier);
}

}  // namespace splat::inria
