// The seven C functions of splat_engine.h, for libsplat_inria.so alone. A Rust program links the engine
// statically, without this file.
#include "adapter.h"

extern "C" {

uint32_t splat_engine_abi_version(void) { return SPLAT_ENGINE_ABI; }
splat_status splat_engine_capabilities(splat_capabilities *out) { return splat::inria::capabilities(out); }
splat_status splat_engine_device_ready(int32_t device) { return splat::inria::device_ready(device); }
splat_status splat_engine_forward(splat_forward_args *args) { return splat::inria::forward(args); }
splat_status splat_engine_backward(splat_backward_args *args) { return splat::inria::backward(args); }
splat_status splat_engine_mark_visible(splat_mark_visible_args *args) { return splat::inria::mark_visible(args); }
const char *splat_engine_last_error(void) { return splat::inria::last_error(); }

}  // extern "C"
