// The C functions of splat_engine.h, for the shared library alone. A Rust program links the engine statically,
// without this file.
#include "adapter.h"

extern "C" {

uint32_t splat_engine_abi_version(void) { return SPLAT_ENGINE_ABI; }
splat_status splat_engine_capabilities(splat_capabilities *out) { return splat::own::capabilities(out); }
splat_status splat_engine_device_ready(int32_t device) { return splat::own::device_ready(device); }
splat_status splat_engine_forward(splat_forward_args *args) { return splat::own::forward(args); }
splat_status splat_engine_backward(splat_backward_args *args) { return splat::own::backward(args); }
splat_status splat_engine_mark_visible(splat_mark_visible_args *args) { return splat::own::mark_visible(args); }
splat_status splat_engine_workspace_new(int32_t device, splat_workspace **out) {
  return splat::own::workspace_new(device, out);
}
void splat_engine_workspace_free(splat_workspace *workspace) { splat::own::workspace_free(workspace); }
splat_status splat_engine_poll(splat_workspace *workspace, const splat_saved *saved, uint32_t wait,
                               splat_progress *out) {
  return splat::own::poll(workspace, saved, wait, out);
}
splat_status splat_engine_adam(splat_adam_args *args) { return splat::own::adam(args); }
splat_status splat_engine_ssim_forward(splat_ssim_args *args) { return splat::own::ssim_forward(args); }
splat_status splat_engine_ssim_backward(splat_ssim_args *args) { return splat::own::ssim_backward(args); }
const char *splat_engine_last_error(void) { return splat::own::last_error(); }

}  // extern "C"
