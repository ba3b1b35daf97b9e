// The tables of engine `cuda`, and the border: no exception leaves it.
#include "adapter.h"
#include "common/arguments.h"
#include "common/device.h"
#include "common/status.h"
#include "project.cuh"
#include "workspace.h"

// CMake defines both.
#ifndef SPLAT_CUDA_VERSION
#error "SPLAT_CUDA_VERSION and SPLAT_FINGERPRINT come from CMakeLists.txt"
#endif

namespace splat::own {

void mark_visible_or_throw(const splat_mark_visible_args *from) {
  const splat_mark_visible_args args = read(from, "splat_mark_visible_args");
  const splat_context context = read(args.context, "splat_context");
  const int64_t p = args.count, most = int64_t(1) << 31;
  if (p < 0 || p > most)
    fail(p < 0 ? SPLAT_INVALID_ARGUMENT : SPLAT_UNSUPPORTED, "`count` is %lld, but engine `cuda` takes 0 to %lld",
         (long long)p, (long long)most);
  const float *means3d = contiguous(ENGINE, "means3d", args.means3d, {p, 3});
  if (p == 0) return;
  required("view", args.view);
  required("visible", args.visible);
  const CurrentDevice device(context.device);
  cuda(mark_visible(uint32_t(p), means3d, args.view, args.visible, static_cast<cudaStream_t>(context.stream)),
       "launching `mark_visible`");
}

namespace {

void capabilities_or_throw(splat_capabilities *to) {
  splat_capabilities out = {};
  out.abi = SPLAT_ENGINE_ABI;
  out.device_kind = SPLAT_CUDA;
  out.channels = CHANNELS;
  out.features = SPLAT_CAN_EXACT | SPLAT_CAN_RAW | SPLAT_CAN_REPRODUCE | SPLAT_CAN_BATCH | SPLAT_CAN_ORTHOGRAPHIC |
                 SPLAT_CAN_SPLIT_SH | SPLAT_CAN_EXTRA_GRADIENTS | SPLAT_CAN_WORKSPACE | SPLAT_CAN_STAGES | SPLAT_CAN_STEP;
  out.max_sh_degree = SPLAT_MAX_SH_DEGREE;
  out.name = ENGINE;
  out.version = SPLAT_CUDA_VERSION;
  out.fingerprint = SPLAT_FINGERPRINT;
  write(out, to, "splat_capabilities");
}

void device_ready_or_throw(int32_t device) {
  const CurrentDevice current(device);
  cuda(kernels_load(), "loading the kernels");
}

void poll_with_number(splat_workspace *workspace, const splat_saved *saved, uint32_t wait, splat_progress *out) {
  poll_or_throw(workspace, saved, wait != 0, out);
}

void workspace_free(splat_workspace *workspace) noexcept { delete workspace; }

const splat_engine_table ENGINE_TABLE = {
    sizeof(splat_engine_table),      0, entry<capabilities_or_throw>, entry<device_ready_or_throw>,
    entry<device_or_throw>, last_error};

const splat_raster_table RASTER_TABLE = {sizeof(splat_raster_table),
                                         0,
                                         entry<forward_or_throw>,
                                         entry<backward_or_throw>,
                                         entry<mark_visible_or_throw>,
                                         entry<project_or_throw>,
                                         entry<rasterize_or_throw>,
                                         entry<rasterize_backward_or_throw>,
                                         entry<project_backward_or_throw>,
                                         entry<workspace_new_or_throw>,
                                         workspace_free,
                                         entry<poll_with_number>};

const splat_optimize_table OPTIMIZE_TABLE = {sizeof(splat_optimize_table), 0, entry<adam_or_throw>,
                                             entry<backward_step_or_throw>};

const splat_image_table IMAGE_TABLE = {sizeof(splat_image_table),
                                       0,
                                       entry<ssim_or_throw>,
                                       entry<ssim_backward_or_throw>,
                                       entry<photometric_or_throw>,
                                       entry<photometric_backward_or_throw>};

}  // namespace

const void *get(uint32_t interface_id, uint32_t version) noexcept {
  if (version != SPLAT_ENGINE_ABI) return nullptr;
  switch (interface_id) {
    case SPLAT_ENGINE: return &ENGINE_TABLE;
    case SPLAT_RASTER: return &RASTER_TABLE;
    case SPLAT_OPTIMIZE: return &OPTIMIZE_TABLE;
    case SPLAT_IMAGE: return &IMAGE_TABLE;
    default: return nullptr;
  }
}

}  // namespace splat::own
