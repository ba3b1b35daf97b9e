// What the Rust bridge (src/ffi/cuda.rs) needs beyond adapter.h.
#pragma once

#include "adapter.h"
#include "rust/cxx.h"

namespace splat::own {

// Bytes that are no UTF-8, which a driver's text could hold, are replaced.
inline rust::String last_error_text() { return rust::String::lossy(last_error()); }

// A workspace is opaque: Rust holds its address.
inline size_t workspace_address(int32_t device, int32_t &status) noexcept {
  splat_workspace *workspace = nullptr;
  status = workspace_new(device, &workspace);
  return reinterpret_cast<size_t>(workspace);
}
inline void workspace_free_at(size_t workspace) noexcept {
  workspace_free(reinterpret_cast<splat_workspace *>(workspace));
}
inline int32_t poll_at(size_t workspace, const splat_saved *saved, uint32_t wait, splat_progress *out) noexcept {
  return poll(reinterpret_cast<splat_workspace *>(workspace), saved, wait, out);
}

}  // namespace splat::own
