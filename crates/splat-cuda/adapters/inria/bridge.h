// What the Rust bridge (src/ffi/inria.rs) needs beyond adapter.h.
#pragma once

#include "adapter.h"
#include "rust/cxx.h"

namespace splat::inria {

// Bytes that are no UTF-8, which a driver's text could hold, are replaced.
inline rust::String last_error_text() { return rust::String::lossy(last_error()); }

}  // namespace splat::inria
