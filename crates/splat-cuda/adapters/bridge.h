// What the Rust bridge (src/ffi.rs) calls.
#pragma once

#include <cstdint>

namespace splat::own {

const void *get(uint32_t interface_id, uint32_t version) noexcept;

// A table, as a pointer that cxx knows.
inline const uint8_t *table(uint32_t interface_id, uint32_t version) noexcept {
  return static_cast<const uint8_t *>(get(interface_id, version));
}

}  // namespace splat::own
