/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * splat_engine.h: what one differentiable 3D Gaussian Splatting rasterizer looks like from outside.
 *
 * An engine is a library that exports the functions at the end of this file. Callers may be Rust, C++
 * (a libtorch operation) or Python (ctypes). An engine never sees torch, opens no files and keeps no
 * device memory between calls: what it needs it asks of the caller's allocator.
 *
 * Conventions
 *   - Every struct begins with struct_size, set by the caller to sizeof(the struct): a later version may
 *     append members. A size the engine does not know is SPLAT_INVALID_ARGUMENT.
 *   - All numbers are f32. Pointers are in the engine's memory (host for device_kind SPLAT_CPU, device
 *     memory of `device` for SPLAT_CUDA), except the structs themselves, which are always host memory.
 *   - Strides count elements, outermost dimension first; they may be zero or negative.
 *   - Work is enqueued on `stream` (a cudaStream_t; ignored by a CPU engine). Outputs are ready when the
 *     stream reaches the point after the call, and memory from the allocator is used in the order of that
 *     stream: a caching allocator may hand SCRATCH memory out again to the same stream at once.
 *   - Frames: the camera looks along +z, x right, y down (OpenCV). Pixel centres are at integer
 *     coordinates: pixel = ((ndc + 1) * size - 1) / 2.
 *   - Matrices are 4x4, 16 contiguous floats, column-major: element (row r, column c) is at [4*c + r].
 *     That is the "transposed" form the original rasterizer takes.
 *   - Quaternions are w, x, y, z and used as given, not normalised; a zero quaternion is the identity.
 *   - A call renders C cameras of one image size. Outputs and gradients that belong to a camera have C as
 *     their first dimension; with one camera that is the shape without it. Gradients of splats are sums
 *     over the cameras.
 *   - A splat with a number that is not finite among its inputs is not rendered, gets zero gradients and
 *     is counted in `rejected`; one that is out of view anyway may be left uncounted.
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

#define SPLAT_ENGINE_ABI 3u

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
  SPLAT_OUT_ALPHA = 1u << 4,
  SPLAT_OUT_FEATURES = 1u << 5
};

/* Properties of an engine (splat_capabilities.features). */
enum {
  SPLAT_STRIDED_INPUTS = 1u << 0,  /* reads any strides; otherwise inputs must be contiguous */
  SPLAT_DETERMINISTIC = 1u << 1,   /* gradients are bit-identical from run to run, always */
  SPLAT_CAN_EXACT = 1u << 2,       /* takes SPLAT_EXACT */
  SPLAT_CAN_RAW = 1u << 3,         /* takes SPLAT_RAW */
  SPLAT_CAN_REPRODUCE = 1u << 4,   /* takes SPLAT_REPRODUCIBLE */
  SPLAT_CAN_BATCH = 1u << 5,       /* several cameras in a call */
  SPLAT_CAN_ORTHOGRAPHIC = 1u << 6,
  SPLAT_CAN_SPLIT_SH = 1u << 7,    /* takes sh_rest */
  SPLAT_CAN_EXTRA_GRADIENTS = 1u << 8, /* means2d_abs, view, background */
  SPLAT_CAN_WORKSPACE = 1u << 9,   /* renders without synchronising, by a splat_workspace */
  SPLAT_CAN_OPTIMIZE = 1u << 10    /* splat_engine_adam and splat_engine_ssim_* */
};

/* splat_settings.flags */
enum {
  SPLAT_ANTIALIASING = 1u << 0, /* opacity compensation for the 0.3 px dilation (EWA) */
  SPLAT_DEBUG = 1u << 1,        /* synchronise and check after every kernel */
  /* Without it (mode `compat`) a splat reaches the 16x16 tiles of its 3-sigma square and backward uses the
   * original's formulas, so that image, radii and gradients are the original's. With it (mode `exact`) it
   * reaches every pixel where alpha >= 1/255, backward is the derivative (but for alpha's cap of 0.99, which
   * passes gradients straight through in both), and the Jacobian's clamp follows the principal point. A splat
   * is then visible where the box around its ellipse of alpha = 1/255 holds a pixel centre of the image. */
  SPLAT_EXACT = 1u << 2,
  /* scales are logarithms, opacities are logits, rotations are normalised; gradients are for these raw values. */
  SPLAT_RAW = 1u << 3,
  /* Gradients bit-identical from run to run and across streams. */
  SPLAT_REPRODUCIBLE = 1u << 4,
  /* No backward will follow: nothing is saved. */
  SPLAT_FORWARD_ONLY = 1u << 5
};

/* splat_camera.model */
enum {
  SPLAT_PINHOLE = 0,
  /* proj has no perspective (its last row is 0 0 0 1), tan_fovx and tan_fovy are half the image's width and
   * height in world units, and SH are seen along the camera's axis. */
  SPLAT_ORTHOGRAPHIC = 1
};

typedef struct splat_in {
  const float *data; /* NULL: this input is absent */
  int64_t stride[3];
} splat_in;

typedef struct splat_camera {
  uint32_t struct_size;
  int32_t width, height;     /* pixels, at least 1; the same for all cameras of a call */
  float tan_fovx, tan_fovy;  /* tangent of HALF the field of view */
  int32_t model;             /* SPLAT_PINHOLE; the same for all cameras of a call */
  const float *view;         /* [16] world to camera */
  const float *proj;         /* [16] world to clip (projection * view); the principal point is in it */
  const float *campos;       /* [3] camera centre in world coordinates, for SH directions */
} splat_camera;

typedef struct splat_gaussians {
  uint32_t struct_size;
  int64_t count;      /* P, may be 0 */
  int64_t sh_coeffs;  /* M, SH coefficients stored a splat and channel; 0 when sh is absent */
  int64_t feature_count; /* F, 0 to 64 further channels a splat; 0 when features is absent */
  splat_in means3d;   /* [P,3] world coordinates */
  splat_in opacities; /* [P] or [P,1], after the sigmoid */
  splat_in sh;        /* [P,M,3], or [P,1,3] with sh_rest; exactly one of sh and colors */
  splat_in sh_rest;   /* absent, or [P,M-1,3] */
  splat_in colors;    /* [P,3] */
  splat_in scales;    /* [P,3] standard deviations, after exp; with rotations, or else cov3d */
  splat_in rotations; /* [P,4] wxyz */
  splat_in cov3d;     /* [P,6] xx xy xz yy yz zz; scale_modifier and SPLAT_RAW do not apply to it */
  splat_in features;  /* [P,F], blended like colours, over zero */
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

/* Lets forward run without waiting for the device. It remembers how many (splat, tile) pairs past calls
 * needed and sizes the next call's memory by that; it holds a few bytes of pinned host memory and no device
 * memory. One may serve many streams, but one call at a time. */
typedef struct splat_workspace splat_workspace;

typedef struct splat_context {
  uint32_t struct_size;
  int32_t device;  /* CUDA ordinal, -1 for a CPU engine */
  void *stream;
  /* NULL: forward waits for the device once, to size its memory exactly. Otherwise it does not wait, except
   * in the first call; when its guess was too small the farthest splats are missing from the image, and
   * splat_engine_poll says so. */
  splat_workspace *workspace;
  /* Returns at least `bytes` bytes aligned to 256 in the engine's memory, or NULL. `bytes` may be 0. */
  void *(*alloc)(void *user, uint32_t kind, uint64_t bytes);
  void *user;
} splat_context;

/* What forward leaves for backward; opaque to the caller, who keeps it by value and hands it back.
 * The buffers are the SAVED allocations of that forward call. */
typedef struct splat_saved {
  uint32_t struct_size;
  uint32_t buffer_count;
  int64_t rendered;     /* (splat, tile) pairs; -1 while only the device knows (splat_engine_poll) */
  int64_t rejected;     /* splats left out for numbers that are not finite; -1 likewise */
  int64_t ticket;       /* of the call in its workspace; -1 without one */
  void *buffer[6];
  uint64_t bytes[6];
} splat_saved;

typedef struct splat_forward_args {
  uint32_t struct_size;
  splat_context context;
  uint32_t camera_count;       /* C, 1 to 32 */
  const splat_camera *cameras; /* [C], host memory */
  splat_gaussians gaussians;
  splat_settings settings;
  /* Outputs, contiguous; NULL where not wanted, except color and radii. Every element is written.
   * P = 0 or nothing visible: the background colour, zeros elsewhere. */
  float *color;     /* [C,3,H,W] */
  int32_t *radii;   /* [C,P] 3-sigma radius in pixels, 0 = not visible */
  float *inv_depth; /* [C,1,H,W] sum of weight / z, no background */
  float *depth;     /* [C,1,H,W] sum of weight * z */
  float *alpha;     /* [C,1,H,W] sum of weight */
  float *features;  /* [C,F,H,W] sum of weight * feature, no background */
  splat_saved saved; /* written by forward */
} splat_forward_args;

typedef struct splat_backward_args {
  uint32_t struct_size;
  splat_context context;
  uint32_t camera_count;     /* these four as given to forward */
  const splat_camera *cameras;
  splat_gaussians gaussians;
  splat_settings settings;
  splat_saved saved;         /* as forward left it */
  const int32_t *radii;      /* as forward wrote it */
  /* Upstream gradients, contiguous, of the outputs' shapes; NULL means zero, and is needed for an output that
   * forward was not asked for. */
  const float *grad_color, *grad_inv_depth, *grad_depth, *grad_alpha, *grad_features;
  /* Gradients, contiguous; NULL where not wanted. Every element is written; rows of splats that were
   * not visible are exact zeros. */
  float *means3d;   /* [P,3] */
  float *means2d;   /* [C,P,3] in NDC units (pixel gradient * size/2), z = 0 */
  float *means2d_abs; /* [C,P,2] sum over the pixels of the absolute gradient, x and y, same units; an
                         * engine may refuse it where forward made more than four channels */
  float *opacities; /* [P] */
  float *sh;        /* as the input sh; zero above the active degree */
  float *sh_rest;   /* as the input sh_rest */
  float *colors;    /* [P,3]; with SH: of the colour that they give, after its clamp */
  float *scales;    /* [P,3] */
  float *rotations; /* [P,4] of the quaternion as given */
  float *cov3d;     /* [P,6]; off-diagonal entries count both halves */
  float *features;  /* [P,F] */
  float *background; /* [3] */
  /* [C,16] of the world-to-camera matrix, laid out like it, its last row zero. proj and campos are taken to
   * follow it: proj = projection * view with a fixed projection, campos = -R^-1 t. */
  float *view;
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
  const char *name;        /* "cpu", "cuda", "inria"; static storage */
  const char *version;
  const char *fingerprint; /* of the plan it was built by; "" when unknown */
} splat_capabilities;

/* What a call that did not wait turned out to need. */
typedef struct splat_progress {
  uint32_t struct_size;
  uint32_t done;      /* 1 when the device has passed the call's counting stage, else the rest is not set */
  uint32_t overflow;  /* 1 when `rendered` is over the capacity the call had: render again */
  uint32_t reserved;
  int64_t rendered, rejected, capacity;
} splat_progress;

/* One parameter tensor of an Adam step (Kingma and Ba 2015, algorithm 1, with bias correction):
 * m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p -= lr (m / (1-b1^step)) / (sqrt(v / (1-b2^step)) + eps). */
typedef struct splat_adam_group {
  float *param;
  const float *grad;
  float *exp_avg, *exp_avg_sq;
  int64_t width;  /* numbers a row */
  int64_t step;   /* of this update, from 1 */
  float lr, beta1, beta2, eps;
} splat_adam_group;

typedef struct splat_adam_args {
  uint32_t struct_size;
  splat_context context;
  int64_t rows;               /* P; every tensor is [P,width], contiguous */
  const int32_t *visible;     /* [P] rows with 0 or less are left alone, moments too; NULL: all rows are updated */
  uint32_t group_count;       /* 1 to 8 */
  const splat_adam_group *groups; /* host memory */
} splat_adam_args;

/* Structural similarity (Wang et al. 2004) with an 11x11 Gaussian window of sigma 1.5, C1 = 0.01^2, C2 = 0.03^2,
 * zero padding. With `lambda_dssim` l over 0 the mean is the photometric loss of Kerbl et al. (2023, equation 7) instead,
 * (1 - l) mean |image - target| + l (1 - mean S), over the same pixels; at a difference of 0 the slope of |.| is 0. */
typedef struct splat_ssim_args {
  uint32_t struct_size;
  splat_context context;
  int64_t planes;         /* N images times C channels */
  int32_t width, height;
  uint32_t valid;         /* 1: `mean` is over the pixels at least 5 from every border */
  float lambda_dssim;     /* 0 to 1; 0: `mean` is the mean similarity */
  const float *image, *target; /* [planes,H,W] */
  float *map;             /* forward, [planes,H,W] or NULL */
  float *mean;            /* forward, [1] or NULL */
  float *partials;        /* [3,planes,H,W]: forward writes, backward reads; NULL where no backward follows */
  const float *grad_mean; /* backward, [1] or NULL */
  const float *grad_map;  /* backward, [planes,H,W] or NULL */
  float *grad_image;      /* backward, [planes,H,W] */
} splat_ssim_args;

SPLAT_API uint32_t splat_engine_abi_version(void);
/* `out->struct_size` is set by the caller. */
SPLAT_API splat_status splat_engine_capabilities(splat_capabilities *out);
/* SPLAT_OK when a device of this engine can be used here, else SPLAT_NO_DEVICE and the reason. */
SPLAT_API splat_status splat_engine_device_ready(int32_t device);
SPLAT_API splat_status splat_engine_forward(splat_forward_args *args);
SPLAT_API splat_status splat_engine_backward(splat_backward_args *args);
SPLAT_API splat_status splat_engine_mark_visible(splat_mark_visible_args *args);
/* A workspace for `device`; splat_engine_workspace_free (NULL is allowed) waits for the calls that used it. */
SPLAT_API splat_status splat_engine_workspace_new(int32_t device, splat_workspace **out);
SPLAT_API void splat_engine_workspace_free(splat_workspace *workspace);
/* What the forward call that left `saved` needed; with `wait` 0 it returns at once. An overflow enlarges the
 * workspace for the next call. */
SPLAT_API splat_status splat_engine_poll(splat_workspace *workspace, const splat_saved *saved, uint32_t wait,
                                         splat_progress *out);
SPLAT_API splat_status splat_engine_adam(splat_adam_args *args);
SPLAT_API splat_status splat_engine_ssim_forward(splat_ssim_args *args);
SPLAT_API splat_status splat_engine_ssim_backward(splat_ssim_args *args);
/* The message of this thread's last failed call, UTF-8; valid until its next call. Never NULL. */
SPLAT_API const char *splat_engine_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
