// The border of engine `cuda`: capabilities, and every call wrapped so that no exception leaves it.
#include "adapter.h"

#include "common/arguments.h"
#include "common/device.h"
#include "common/status.h"
#include "project.cuh"

// CMake defines both.
#ifndef SPLAT_CUDA_VERSION
#error "SPLAT_CUDA_VERSION and SPLAT_FINGERPRINT come from CMakeLists.txt"
#endif

namespace splat::own {
namespace {

void capabilities_or_throw(splat_capabilities &out) {
  check_size("splat_capabilities", out.struct_size, sizeof out);
  out.abi = SPLAT_ENGINE_ABI;
  out.device_kind = SPLAT_CUDA;
  out.outputs = SPLAT_OUT_COLOR | SPLAT_OUT_RADII | SPLAT_OUT_INV_DEPTH | SPLAT_OUT_DEPTH | SPLAT_OUT_ALPHA |
                SPLAT_OUT_FEATURES;
  out.features = SPLAT_CAN_EXACT | SPLAT_CAN_RAW | SPLAT_CAN_REPRODUCE | SPLAT_CAN_BATCH | SPLAT_CAN_ORTHOGRAPHIC |
                 SPLAT_CAN_SPLIT_SH | SPLAT_CAN_EXTRA_GRADIENTS | SPLAT_CAN_WORKSPACE | SPLAT_CAN_OPTIMIZE;
  out.max_sh_degree = 3;
  out.name = "cuda";
  out.version = SPLAT_CUDA_VERSION;
  out.fingerprint = SPLAT_FINGERPRINT;
}

void mark_visible_or_throw(splat_mark_visible_args &args) {
  check_size("splat_mark_visible_args", args.struct_size, sizeof args);
  check_size("splat_context", args.context.struct_size, sizeof args.context);
  const int64_t p = args.count, most = int64_t(1) << 31;
  if (p < 0 || p > most)
    fail(p < 0 ? SPLAT_INVALID_ARGUMENT : SPLAT_UNSUPPORTED, "`count` is %lld, but engine `cuda` takes 0 to %lld",
         (long long)p, (long long)most);
  const float *means3d = contiguous("cuda", "means3d", args.means3d, {p, 3});
  if (p == 0) return;
  required("view", args.view);
  required("visible", args.visible);
  const CurrentDevice device(args.context.device);
  cuda(mark_visible(uint32_t(p), means3d, args.view, args.visible, static_cast<cudaStream_t>(args.context.stream)),
       "launching `mark_visible`");
}

}  // namespace

splat_status capabilities(splat_capabilities *out) noexcept {
  return border([&] { capabilities_or_throw(given(out, "out")); });
}

splat_status device_ready(int32_t device) noexcept {
  return border([&] {
    const CurrentDevice current(device);
    cuda(kernels_load(), "loading the kernels");
  });
}

splat_status forward(splat_forward_args *args) noexcept {
  return border([&] { forward_or_throw(given(args, "args")); });
}

splat_status backward(splat_backward_args *args) noexcept {
  return border([&] { backward_or_throw(given(args, "args")); });
}

splat_status mark_visible(splat_mark_visible_args *args) noexcept {
  return border([&] { mark_visible_or_throw(given(args, "args")); });
}

splat_status workspace_new(int32_t device, splat_workspace **out) noexcept {
  return border([&] { workspace_new_or_throw(device, given(out, "out")); });
}

splat_status poll(splat_workspace *workspace, const splat_saved *saved, uint32_t wait, splat_progress *out) noexcept {
  return border([&] {
    poll_or_throw(given(workspace, "workspace"), given(saved, "saved"), wait != 0, given(out, "out"));
  });
}

splat_status adam(splat_adam_args *args) noexcept {
  return border([&] { adam_or_throw(given(args, "args")); });
}

splat_status ssim_forward(splat_ssim_args *args) noexcept {
  return border([&] { ssim_or_throw(given(args, "args"), false); });
}

splat_status ssim_backward(splat_ssim_args *args) noexcept {
  return border([&] { ssim_or_throw(given(args, "args"), true); });
}

const char *last_error() noexcept { return splat::last_error(); }

}  // namespace splat::own
