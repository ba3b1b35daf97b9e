// Engine `cuda`: this project's kernels behind splat_engine.h.
//
// The functions of splat_engine.h, under names that do not clash when several engines are linked into one
// program; exports.cpp gives a shared library their C names. They catch every exception.
#pragma once

#include "splat_engine.h"

namespace splat::own {

splat_status capabilities(splat_capabilities *out) noexcept;
splat_status device_ready(int32_t device) noexcept;
splat_status forward(splat_forward_args *args) noexcept;
splat_status backward(splat_backward_args *args) noexcept;
splat_status mark_visible(splat_mark_visible_args *args) noexcept;
splat_status workspace_new(int32_t device, splat_workspace **out) noexcept;
void workspace_free(splat_workspace *workspace) noexcept;
splat_status poll(splat_workspace *workspace, const splat_saved *saved, uint32_t wait, splat_progress *out) noexcept;
splat_status adam(splat_adam_args *args) noexcept;
splat_status ssim_forward(splat_ssim_args *args) noexcept;
splat_status ssim_backward(splat_ssim_args *args) noexcept;
// The message of this thread's last failed call.
const char *last_error() noexcept;

// The bodies of the above that have a file of their own; they throw Failure.
void forward_or_throw(splat_forward_args &args);
void backward_or_throw(splat_backward_args &args);
void workspace_new_or_throw(int32_t device, splat_workspace *&out);
void poll_or_throw(splat_workspace &workspace, const splat_saved &saved, bool wait, splat_progress &out);
void adam_or_throw(splat_adam_args &args);
void ssim_or_throw(splat_ssim_args &args, bool backward);

}  // namespace splat::own
