// See identity.h. CMake defines the two macros.
#include "identity.h"

namespace splat::inria {
namespace {

// One object: the linker cannot drop the notice without the version, which `capabilities` uses.
const char TEXTS[] =
    SPLAT_INRIA_VERSION
    "\0"
    "NOTICE: this library contains the rasterizer of \"3D Gaussian Splatting for Real-Time Radiance Field "
    "Rendering\", (C) 2023 Inria and Max Planck Institut for Informatik, GRAPHDECO research group, all rights "
    "reserved. It may be used for non-commercial research and evaluation only, under the terms of its LICENSE.md.";

}  // namespace

const char *const VERSION = TEXTS;
const char *const FINGERPRINT = SPLAT_FINGERPRINT;

}  // namespace splat::inria
