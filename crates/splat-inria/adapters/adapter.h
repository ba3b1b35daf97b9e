// Engine `inria`: the original `cuda_rasterizer` behind splat_engine.h.
//
// `get` is splat_engine_get under a name that does not clash when several engines are linked into one program;
// exports.cpp gives a shared library the C name.
#pragma once

#include "splat_engine.h"

namespace splat::inria {

const void *get(uint32_t interface_id, uint32_t version) noexcept;

}  // namespace splat::inria
