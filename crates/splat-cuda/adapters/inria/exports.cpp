// The C functions of splat_engine.h, for libsplat_inria.so alone. A Rust program links the engine
// statically, without this file.
#include "adapter.h"

extern "C" {

uint32_t splat_engine_abi_version(void) { return SPLAT_ENGINE_ABI; }
splat_status splat_engine_capabilities(splat_capabilities *out) { return splat::inria::capabilities(out); }
splat_status splat_engine_device_ready(int32_t device) { return splat::inria::device_ready(device); }
splat_status splat_engine_forward(splat_forward_args *args) { return splat::inria::forward(args); }
splat_status splat_engine_backward(splat_backward_args *args) { return splat::inria::backward(args); }
splat_status splat_engine_mark_visible(splat_mark_visible_args *args) { return splat::inria::mark_visible(args); }
splat_status splat_engine_workspace_new(int32_t, splat_workspace **) { return splat::inria::has_no("workspaces"); }
void splat_engine_workspace_free(splat_workspace *) {}
splat_status splat_engine_poll(splat_workspace *, const splat_saved *, uint32_t, splat_progress *) {
  return splat::inria::has_no("workspaces");
}
splat_status splat_engine_adam(splat_adam_args *) { return splat::inria::has_no("Adam"); }
splat_status splat_engine_ssim_forward(splat_ssim_args *) { return splat::inria::has_no("SSIM"); }
splat_status splat_engine_ssim_backward(splat_ssim_args *) { return splat::inria::has_no("SSIM"); }
const char *splat_engine_last_error(void) { return splat::inria::last_error(); }

}  // extern "C"
