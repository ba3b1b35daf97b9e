// Engine `inria`: the original `cuda_rasterizer` behind splat_engine.h.
//
// The functions of splat_engine.h, under names that do not clash when several engines are linked into one
// program; exports.cpp gives a shared library their C names. They catch every exception.
#pragma once

#include "splat_engine.h"

namespace splat::inria {

splat_status capabilities(splat_capabilities *out) noexcept;
splat_status device_ready(int32_t device) noexcept;
splat_status forward(splat_forward_args *args) noexcept;
splat_status backward(splat_backward_args *args) noexcept;
splat_status mark_visible(splat_mark_visible_args *args) noexcept;
// Fails: the original has nothing of the kind.
splat_status has_no(const char *what) noexcept;
// The message of this thread's last failed call.
const char *last_error() noexcept;

}  // namespace splat::inria
