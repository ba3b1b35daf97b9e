// What this build says of itself. Apart, because a new fingerprint recompiles this one file only.
#pragma once

namespace splat::inria {

// The original's sources; the notice of their terms follows in the library's bytes.
extern const char *const VERSION;
extern const char *const FINGERPRINT;

}  // namespace splat::inria
