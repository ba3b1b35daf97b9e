// Engine `cuda`: this project's kernels behind splat_engine.h.
//
// `get` is splat_engine_get under a name that does not clash when several engines are linked into one program;
// exports.cpp gives a shared library the C name. The functions below are the bodies of the tables' entries; they throw
// Failure, and table.cpp keeps that inside.
#pragma once

#include "splat_engine.h"

namespace splat::own {

constexpr const char *ENGINE = "cuda";
// Every channel.
constexpr uint32_t CHANNELS = (1u << (SPLAT_WEIGHT_IMAGE + 1)) - 1;

const void *get(uint32_t interface_id, uint32_t version) noexcept;

void forward_or_throw(const splat_forward_args *args);
void backward_or_throw(const splat_backward_args *args);
void mark_visible_or_throw(const splat_mark_visible_args *args);
void project_or_throw(const splat_project_args *args);
void rasterize_or_throw(const splat_rasterize_args *args);
void rasterize_backward_or_throw(const splat_rasterize_args *args);
void project_backward_or_throw(const splat_project_backward_args *args);
void workspace_new_or_throw(int32_t device, splat_workspace **out);
void poll_or_throw(splat_workspace *workspace, const splat_saved *saved, bool wait, splat_progress *out);
void adam_or_throw(const splat_adam_args *args);
void backward_step_or_throw(const splat_step_args *args);
void ssim_or_throw(const splat_ssim_args *args);
void ssim_backward_or_throw(const splat_ssim_args *args);
void photometric_or_throw(const splat_photometric_args *args);
void photometric_backward_or_throw(const splat_photometric_args *args);

}  // namespace splat::own
