// Forward, backward and mark_visible in terms of CudaRasterizer::Rasterizer.
//
// The original runs on the legacy default stream, waits for the device once in forward, and accumulates into
// gradients; what a caller of splat_engine.h may rely on beyond that is added here: order with the caller's
// stream, refused NaN and infinity, 64-bit counts, the P = 0 image, exact zeros. Its kernels are not touched.
#include "adapter.h"

#include <climits>
#include <cstdio>
#include <cstring>

#include "buffers.h"
#include "identity.h"
#include "inputs.h"

namespace splat::inria {

// See stages.h: the original's own files call it.
void stage_done(const char *stage, const char *file, int line, bool synchronise) {
  cudaError_t code = cudaPeekAtLastError();
  if (code == cudaSuccess && synchronise) code = cudaDeviceSynchronize();
  if (code == cudaSuccess) return;
  const char *slash = std::strrchr(file, '/');
  const char *name = slash ? slash + 1 : file;
  const char *hint = synchronise ? "" : "; SPLAT_DEBUG finds the kernel if it was an earlier one";
  char text[256];
  // "FORWARD::preprocess( P, D, ..." ends at the parenthesis; a launch with <<< >>> stands before an empty stage.
  const size_t length = std::strcspn(stage, "(");
  if (length > 0)
    std::snprintf(text, sizeof text, "running `%.*s` (%s:%d%s)", int(length), stage, name, line, hint);
  else
    std::snprintf(text, sizeof text, "running the kernel launched before %s:%d%s", name, line, hint);
  cuda(code, text);
}

namespace {

using CudaRasterizer::Rasterizer;

void zero(void *memory, size_t bytes) {
  if (bytes) cuda(cudaMemsetAsync(memory, 0, bytes, cudaStreamLegacy), "clearing an output");
}

void forward_or_throw(const splat_forward_args *from) {
  const splat_forward_args args = read(from, "splat_forward_args");
  const auto [context, scene, channels] = open(args, Pass::FORWARD);
  if (scene.count > 0) required("radii", args.radii);
  splat_saved saved = {};
  saved.ticket = -1;
  write_whole(saved, args.saved, "splat_saved");
  const CurrentDevice device(context.device);
  OnCallersStream stream(context.stream);
  const Memory memory(context, &stream);
  // The original always blends colours.
  float *color = channels.data[SPLAT_COLOR], *inv_depth = channels.data[SPLAT_INV_DEPTH];
  if (!color) color = memory.scratch(3 * size_t(scene.pixels()), "an image that is not wanted");

  FiniteScan scan;
  add_inputs(scan, scene);
  if (scene.count == 0) {
    refuse_nonfinite(scan, memory);
    fill_background(color, scene.pixels(), scene.background);
    if (inv_depth) zero(inv_depth, size_t(scene.pixels()) * sizeof(float));
    stream.close();
    return;
  }

  Buffers buffers(scene, memory, scan, args.radii);
  const int rendered = Rasterizer::forward(
      buffers.geometry(), buffers.binning(), buffers.image(), int(scene.count), scene.sh_degree, int(scene.coeffs),
      scene.background, scene.width, scene.height, scene.means3d, scene.sh, scene.colors, scene.opacities,
      scene.scales, scene.scale_modifier, scene.rotations, scene.cov3d, scene.camera[0].view, scene.camera[0].proj,
      scene.camera[0].campos, scene.camera[0].tan_fovx, scene.camera[0].tan_fovy, /*prefiltered=*/false, color, inv_depth,
      scene.has(SPLAT_ANTIALIASING), args.radii, scene.has(SPLAT_DEBUG));
  buffers.hand_over(saved, rendered);
  write_whole(saved, args.saved, "splat_saved");
  stream.close();
}

// A gradient of `floats` numbers that starts as zeros: the caller's, or scratch where it is not wanted but the
// original needs it.
float *gradient(float *wanted, size_t floats, const Memory &memory, const char *name) {
  float *to = wanted ? wanted : memory.scratch(floats, name);
  zero(to, floats * sizeof(float));
  return to;
}

void backward_or_throw(const splat_backward_args *from) {
  const splat_backward_args args = read(from, "splat_backward_args");
  const auto [context, scene, channels] = open(args, Pass::BACKWARD);
  const splat_saved saved = read(args.saved, "splat_saved");
  const splat_gradients out = read(args.gradients, "splat_gradients");
  const size_t p = size_t(scene.count), pixels = size_t(scene.pixels());
  refuse(out.means2d_abs, "absolute gradients");
  refuse(out.background, "gradient for the background");
  refuse(out.view, "gradient for the camera");
  const float *grad_color = channels.gradient[SPLAT_COLOR], *grad_inv_depth = channels.gradient[SPLAT_INV_DEPTH];
  if (p == 0) return;  // every gradient is empty
  required("radii", args.radii);
  const CurrentDevice device(context.device);
  check_saved(saved, scene);
  OnCallersStream stream(context.stream);
  const Memory memory(context, &stream);

  FiniteScan scan;
  scan.add("grad_color", grad_color, int64_t(3 * pixels));
  scan.add("grad_inv_depth", grad_inv_depth, int64_t(pixels));
  if (grad_color || grad_inv_depth) refuse_nonfinite(scan, memory);
  if (!grad_color) grad_color = gradient(nullptr, 3 * pixels, memory, "a zero `grad_color`");

  float *means3d = gradient(out.means3d, 3 * p, memory, "the gradient of `means3d`");
  float *means2d = gradient(out.means2d, 3 * p, memory, "the gradient of `means2d`");
  float *opacities = gradient(out.opacities, p, memory, "the gradient of `opacities`");
  float *colors = gradient(out.colors, 3 * p, memory, "the gradient of `colors`");
  float *cov3d = gradient(out.cov3d, 6 * p, memory, "the gradient of `cov3d`");
  float *conic = gradient(nullptr, 4 * p, memory, "the gradient of the conics");
  float *inv_depth = grad_inv_depth ? gradient(nullptr, p, memory, "the gradient of the inverse depths") : nullptr;
  // The next three are written only where the input was given; a wanted one is zeros otherwise.
  const size_t sh_floats = 3 * size_t(scene.coeffs) * p;
  float *sh = scene.sh || out.sh ? gradient(out.sh, sh_floats, memory, "the gradient of `sh`") : nullptr;
  const bool by_scale = scene.scales != nullptr;
  float *scales =
      by_scale || out.scales ? gradient(out.scales, 3 * p, memory, "the gradient of `scales`") : nullptr;
  // It is stored four numbers at a time: a view that is not aligned to 16 bytes is written through scratch.
  float *wanted = out.rotations;
  const bool detour = wanted && reinterpret_cast<uintptr_t>(wanted) % 16 != 0;
  float *rotations = by_scale || wanted
                         ? gradient(detour ? nullptr : wanted, 4 * p, memory, "the gradient of `rotations`")
                         : nullptr;

  Rasterizer::backward(
      int(scene.count), scene.sh_degree, int(scene.coeffs), int(saved.rendered), scene.background, scene.width,
      scene.height, scene.means3d, scene.sh, scene.colors, scene.opacities, scene.scales, scene.scale_modifier,
      scene.rotations, scene.cov3d, scene.camera[0].view, scene.camera[0].proj, scene.camera[0].campos,
      scene.camera[0].tan_fovx, scene.camera[0].tan_fovy, args.radii,
      static_cast<char *>(saved.buffer[GEOMETRY]), static_cast<char *>(saved.buffer[BINNING]),
      static_cast<char *>(saved.buffer[IMAGE]), grad_color, grad_inv_depth, means2d, conic, opacities, colors,
      inv_depth, means3d, cov3d, sh, scales, rotations, scene.has(SPLAT_ANTIALIASING), scene.has(SPLAT_DEBUG));

  if (detour)
    cuda(cudaMemcpyAsync(wanted, rotations, 4 * p * sizeof(float), cudaMemcpyDeviceToDevice, cudaStreamLegacy),
         "copying the gradient of `rotations`");
  stream.close();
}

void mark_visible_or_throw(const splat_mark_visible_args *from) {
  const splat_mark_visible_args args = read(from, "splat_mark_visible_args");
  const splat_context context = read_context(ENGINE, args.context);
  const int64_t p = args.count;
  if (p < 0 || p > INT_MAX / 3)
    fail(p < 0 ? SPLAT_INVALID_ARGUMENT : SPLAT_UNSUPPORTED, "`count` is %lld, but engine `inria` takes 0 to %d",
         (long long)p, INT_MAX / 3);
  const float *means3d = contiguous(ENGINE, "means3d", args.means3d, {p, 3});
  if (p == 0) return;
  required("view", args.view);
  required("proj", args.proj);
  required("visible", args.visible);
  const CurrentDevice device(context.device);
  OnCallersStream stream(context.stream);
  const Memory memory(context, &stream);
  FiniteScan scan;
  scan.add("view", args.view, 16);
  scan.add("proj", args.proj, 16);
  scan.add("means3d", means3d, 3 * p);
  refuse_nonfinite(scan, memory);
  // The original takes pointers to non-const, but only reads.
  Rasterizer::markVisible(int(p), const_cast<float *>(means3d), const_cast<float *>(args.view),
                          const_cast<float *>(args.proj), reinterpret_cast<bool *>(args.visible));
  stage_done("markVisible", __FILE__, __LINE__, false);
  stream.close();
}

void capabilities_or_throw(splat_capabilities *to) {
  splat_capabilities out = {};
  out.abi = SPLAT_ENGINE_ABI;
  out.device_kind = SPLAT_CUDA;
  out.channels = CHANNELS;
  out.max_sh_degree = SPLAT_MAX_SH_DEGREE;
  out.name = ENGINE;
  out.version = VERSION;
  out.fingerprint = FINGERPRINT;
  write(out, to, "splat_capabilities");
}

void device_ready_or_throw(int32_t device) {
  const CurrentDevice current(device);
  cuda(kernels_load(), "loading the kernels");
}

const splat_engine_table ENGINE_TABLE = {
    sizeof(splat_engine_table), 0, entry<capabilities_or_throw>, entry<device_ready_or_throw>, entry<device_or_throw>,
    last_error};

// The whole passes alone: no stages and no workspaces.
const splat_raster_table RASTER_TABLE = {
    sizeof(splat_raster_table), 0, entry<forward_or_throw>, entry<backward_or_throw>, entry<mark_visible_or_throw>,
    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

const void *get(uint32_t interface_id, uint32_t version) noexcept {
  if (version != SPLAT_ENGINE_ABI) return nullptr;
  switch (interface_id) {
    case SPLAT_ENGINE: return &ENGINE_TABLE;
    case SPLAT_RASTER: return &RASTER_TABLE;
    default: return nullptr;
  }
}

}  // namespace splat::inria
