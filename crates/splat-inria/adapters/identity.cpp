// See identity.h. CMake defines the two macros.
#include "identity.h"

namespace splat::inria {
namespace {

// One object: the linker cannot drop the notice without the version, which `capabilities` uses.
const char TEXTS[] =
    SPLAT_INRIA_VERSION
    "\0"
    "NOTICE: this library contains the rasterizer that was published with \"3D Gaussian Splatting for Real-Time "
    "Radiance Field Rendering\" (Kerbl et al. 2023). It may be used for non-commercial research and evaluation only, "
    "under the terms of the LICENSE.md of its sources.";

}  // namespace

const char *const VERSION = TEXTS;
const char *const FINGERPRINT = SPLAT_FINGERPRINT;

}  // namespace splat::inria
