/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * splat_engine.h: what one differentiable 3D Gaussian Splatting rasterizer looks like from outside.
 *
 * An engine is a library that exports the seven functions at the end of this file. Callers may be
 * Rust, C++ (a libtorch operation) or Python (ctypes). An engine never sees torch, opens no files
 * and keeps no device memory between calls: what it needs it asks of the caller's allocator.
 *
 * Conventions
 *   - Every struct begins with struct_size, set by the caller to sizeof(the struct): a later version may
 *     append members. A size the engine does not know is SPLAT_INVALID_ARGUMENT.
 *   - All numbers are f32. Pointers are in the engine's memory (host for device_kind SPLAT_CPU, device
 *     memory of `device` for SPLAT_CUDA), except the structs themselves, which are always host memory.
 *   - Strides count elements, outermost dimension first; they may be zero or negative.
 *   - Work is enqueued on `stream` (a cudaStream_t; ignored by a CPU engine). Outputs are ready when the
 *     stream reaches the point after the call.
 *   - Frames: the camera looks along +z, x right, y down (OpenCV). Pixel centres are at integer
 *     coordinates: pixel = ((ndc + 1) * size - 1) / 2.
 *   - Matrices are 4x4, 16 contiguous floats, column-major: element (row r, column c) is at [4*c + r].
 *     That is the "transposed" form the original rasterizer takes.
 *   - Quaternions are w, x, y, z and used as given, not normalised; a zero quaternion is the identity.
 */
#ifndef SPLAT_ENGINE_H
#define SPLAT_ENGINE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define SPLAT_API __declspec(dllexport)
#else
#define SPLAT_API __attribute__((visibility("default")))
#endif

#define SPLAT_ENGINE_ABI 1u

typedef int32_t splat_status;
enum {
  SPLAT_OK = 0,
  SPLAT_INVALID_ARGUMENT = 1, /* a shape, count, pointer or value is wrong; the message names it */
  SPLAT_UNSUPPORTED = 2,      /* valid, but this engine cannot: see splat_capabilities */
  SPLAT_OUT_OF_MEMORY = 3,    /* the allocator returned NULL */
  SPLAT_NO_DEVICE = 4,        /* no usable GPU or driver */
  SPLAT_DEVICE_ERROR = 5,     /* the device reported an error; the message names the kernel */
  SPLAT_INTERNAL = 6          /* a defect of the engine */
};

enum { SPLAT_CPU = 0, SPLAT_CUDA = 1 };

/* Outputs an engine can produce (splat_capabilities.outputs). */
enum {
  SPLAT_OUT_COLOR = 1u << 0,
  SPLAT_OUT_RADII = 1u << 1,
  SPLAT_OUT_INV_DEPTH = 1u << 2,
  SPLAT_OUT_DEPTH = 1u << 3,
  SPLAT_OUT_ALPHA = 1u << 4
};

/* Properties of an engine (splat_capabilities.features). */
enum {
  SPLAT_STRIDED_INPUTS = 1u << 0, /* reads any strides; otherwise inputs must be contiguous */
  SPLAT_DETERMINISTIC = 1u << 1   /* gradients are bit-identical from run to run */
};

/* splat_settings.flags */
enum {
  SPLAT_ANTIALIASING = 1u << 0, /* opacity compensation for the 0.3 px dilation (EWA) */
  SPLAT_DEBUG = 1u << 1         /* synchronise and check after every kernel */
};

typedef struct splat_in {
  const float *data; /* NULL: this input is absent */
  int64_t stride[3];
} splat_in;

typedef struct splat_camera {
  uint32_t struct_size;
  int32_t width, height;     /* pixels, at least 1 */
  float tan_fovx, tan_fovy;  /* tangent of HALF the field of view */
  const float *view;         /* [16] world to camera */
  const float *proj;         /* [16] world to clip (projection * view) */
  const float *campos;       /* [3] camera centre in world coordinates, for SH directions */
} splat_camera;

typedef struct splat_gaussians {
  uint32_t struct_size;
  int64_t count;      /* P, may be 0 */
  int64_t sh_coeffs;  /* M, SH coefficients stored a splat and channel; 0 when sh is absent */
  splat_in means3d;   /* [P,3] world coordinates */
  splat_in opacities; /* [P] or [P,1], after the sigmoid */
  splat_in sh;        /* [P,M,3]; exactly one of sh and colors */
  splat_in colors;    /* [P,3] */
  splat_in scales;    /* [P,3] standard deviations, after exp; with rotations, or else cov3d */
  splat_in rotations; /* [P,4] wxyz */
  splat_in cov3d;     /* [P,6] xx xy xz yy yz zz; scale_modifier does not apply to it */
} splat_gaussians;

typedef struct splat_settings {
  uint32_t struct_size;
  uint32_t flags;
  const float *background; /* [3] */
  float scale_modifier;
  int32_t sh_degree;       /* active degree 0..3; (degree+1)^2 <= M */
} splat_settings;

/* Memory kinds: SAVED must stay alive until backward has run (or never will), SCRATCH until the call
 * returns (on a stream: until the stream passes the call). */
enum { SPLAT_MEM_SCRATCH = 0, SPLAT_MEM_SAVED = 1 };

typedef struct splat_context {
  uint32_t struct_size;
  int32_t device;  /* CUDA ordinal, -1 for a CPU engine */
  void *stream;
  /* Returns at least `bytes` bytes aligned to 256 in the engine's memory, or NULL. `bytes` may be 0. */
  void *(*alloc)(void *user, uint32_t kind, uint64_t bytes);
  void *user;
} splat_context;

/* What forward leaves for backward; opaque to the caller, who keeps it by value and hands it back.
 * The buffers are the SAVED allocations of that forward call. */
typedef struct splat_saved {
  uint32_t struct_size;
  uint32_t buffer_count;
  int64_t rendered;     /* (splat, tile) pairs */
  void *buffer[6];
  uint64_t bytes[6];
} splat_saved;

typedef struct splat_forward_args {
  uint32_t struct_size;
  splat_context context;
  splat_camera camera;
  splat_gaussians gaussians;
  splat_settings settings;
  /* Outputs, contiguous; NULL where not wanted, except color and radii. Every element is written.
   * P = 0 or nothing visible: the background colour, zeros elsewhere. */
  float *color;     /* [3,H,W] */
  int32_t *radii;   /* [P] 3-sigma radius in pixels, 0 = not visible */
  float *inv_depth; /* [1,H,W] sum of weight / z, no background */
  float *depth;     /* [1,H,W] sum of weight * z */
  float *alpha;     /* [1,H,W] sum of weight */
  splat_saved saved; /* written by forward */
} splat_forward_args;

typedef struct splat_backward_args {
  uint32_t struct_size;
  splat_context context;
  splat_camera camera;       /* these three as given to forward */
  splat_gaussians gaussians;
  splat_settings settings;
  splat_saved saved;         /* as forward left it */
  const int32_t *radii;      /* as forward wrote it */
  /* Upstream gradients; data == NULL means zero. Rank as the outputs: [3,H,W] and [1,H,W]. */
  splat_in grad_color, grad_inv_depth, grad_depth, grad_alpha;
  /* Gradients, contiguous; NULL where not wanted. Every element is written; rows of splats that were
   * not visible are exact zeros. */
  float *means3d;   /* [P,3] */
  float *means2d;   /* [P,3] in NDC units (pixel gradient * size/2), z = 0 */
  float *opacities; /* [P] */
  float *sh;        /* [P,M,3]; zero above the active degree */
  float *colors;    /* [P,3] */
  float *scales;    /* [P,3] */
  float *rotations; /* [P,4] of the quaternion as given */
  float *cov3d;     /* [P,6]; off-diagonal entries count both halves */
} splat_backward_args;

typedef struct splat_mark_visible_args {
  uint32_t struct_size;
  splat_context context;
  int64_t count;
  splat_in means3d;
  const float *view; /* [16] */
  const float *proj; /* [16] */
  uint8_t *visible;  /* [P] 1 where the view-space depth is over 0.2 */
} splat_mark_visible_args;

typedef struct splat_capabilities {
  uint32_t struct_size;
  uint32_t abi;           /* SPLAT_ENGINE_ABI it was built with */
  int32_t device_kind;
  uint32_t outputs;
  uint32_t features;
  int32_t max_sh_degree;
  const char *name;        /* "cpu", "inria"; static storage */
  const char *version;
  const char *fingerprint; /* of the plan it was built by; "" when unknown */
} splat_capabilities;

SPLAT_API uint32_t splat_engine_abi_version(void);
/* `out->struct_size` is set by the caller. */
SPLAT_API splat_status splat_engine_capabilities(splat_capabilities *out);
/* SPLAT_OK when a device of this engine can be used here, else SPLAT_NO_DEVICE and the reason. */
SPLAT_API splat_status splat_engine_device_ready(int32_t device);
SPLAT_API splat_status splat_engine_forward(splat_forward_args *args);
SPLAT_API splat_status splat_engine_backward(splat_backward_args *args);
SPLAT_API splat_status splat_engine_mark_visible(splat_mark_visible_args *args);
/* The message of this thread's last failed call, UTF-8; valid until its next call. Never NULL. */
SPLAT_API const char *splat_engine_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
