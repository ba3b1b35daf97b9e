// The C function of splat_engine.h, for the shared library alone. A Rust program links the engine statically, without
// this file.
#include "adapter.h"

extern "C" const void *splat_engine_get(uint32_t interface_id, uint32_t version) {
  return splat::inria::get(interface_id, version);
}
