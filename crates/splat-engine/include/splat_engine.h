/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * splat_engine.h: the C interface of a differentiable 3D Gaussian Splatting rasterizer ("engine").
 *
 * An engine is a library with one exported function, splat_engine_get, which returns tables of functions. Callers may
 * be Rust, C++ or Python (ctypes). An engine never sees torch, opens no files and keeps no device memory between
 * calls: it asks the caller's allocator for what it needs.
 *
 * Conventions
 *   - Numbers are f32 unless a member says otherwise. Pointers are in the engine's memory (host memory if device_kind
 *     is SPLAT_CPU, memory of the device named by the context if it is SPLAT_CUDA). The structs themselves, and arrays
 *     of structs, are always in host memory, except splat_record and splat_record_gradient.
 *   - Strides count elements, outermost dimension first; they may be zero or negative.
 *   - Work is enqueued on the context's stream (a cudaStream_t; ignored by a CPU engine). Outputs are ready when the
 *     stream has passed the call. Memory from the allocator is used in the order of that stream, so a caching
 *     allocator may hand SCRATCH memory out again to the same stream at once.
 *   - Frames: the camera looks along +z, x right, y down (OpenCV). Pixel centres are at integer coordinates:
 *     pixel = ((ndc + 1) * size - 1) / 2.
 *   - Matrices are 4x4, 16 contiguous floats, column-major: element (row r, column c) is at [4*c + r].
 *   - Quaternions are w, x, y, z and are used as given, not normalised; a zero quaternion is the identity.
 *   - C is the number of cameras (images) of a call, P the number of Gaussians, F the number of feature channels,
 *     H x W the image size in pixels. Outputs and gradients per camera have C as their first dimension. Gradients of
 *     Gaussians are sums over the cameras.
 *   - A Gaussian whose inputs hold a number that is not finite is not rendered, gets zero gradients and is counted in
 *     `rejected`; one that is out of view anyway may be left uncounted.
 *
 * How the interface grows
 *   - Every struct that may grow begins with struct_size, which whoever fills the struct sets to its own sizeof. New
 *     members are appended, and zero always means "as before they existed".
 *   - The reader takes the members that both sides know and treats missing ones as zero. Bytes beyond the members it
 *     knows must be zero; if they are not, the call fails with SPLAT_UNSUPPORTED, because the caller asks for
 *     something that this engine does not have. Nothing is written beyond the struct_size that the caller set.
 *   - Structs refer to other structs by pointer. An array of structs is walked in steps of its first element's
 *     struct_size. splat_in, splat_record and splat_record_gradient have no struct_size and never change.
 *   - Tables grow in the same way. A function that lies beyond the table's struct_size, or is NULL, is not offered.
 *   - A change that this cannot express gets a new SPLAT_ENGINE_ABI.
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

/* The version that callers pass to splat_engine_get. */
#define SPLAT_ENGINE_ABI 4

/* Limits. */
#define SPLAT_MAX_CAMERAS 32
#define SPLAT_MAX_FEATURES 64
#define SPLAT_MAX_SH_DEGREE 3
#define SPLAT_MAX_ADAM_GROUPS 8
#define SPLAT_SAVED_BUFFERS 6

typedef int32_t splat_status;
enum {
  SPLAT_OK = 0,
  SPLAT_INVALID_ARGUMENT = 1, /* a shape, count, pointer or value is wrong; the message names it */
  SPLAT_UNSUPPORTED = 2,      /* valid, but this engine cannot do it: see splat_capabilities */
  SPLAT_OUT_OF_MEMORY = 3,    /* the allocator returned NULL */
  SPLAT_NO_DEVICE = 4,        /* no usable GPU or driver */
  SPLAT_DEVICE_ERROR = 5,     /* the device reported an error; the message names the kernel */
  SPLAT_INTERNAL = 6          /* a defect of the engine */
};

/* splat_capabilities.device_kind */
enum { SPLAT_CPU = 0, SPLAT_CUDA = 1 };

/* What an output channel holds (splat_channel.source). `weight` is the share alpha * transmittance with which a
 * Gaussian contributes to a pixel. Bit 1 << source of splat_capabilities.channels says that an engine has it. */
enum {
  SPLAT_COLOR = 0,        /* [C,3,H,W] sum of weight * colour + transmittance * background */
  SPLAT_INV_DEPTH = 1,    /* [C,1,H,W] sum of weight / z, no background */
  SPLAT_DEPTH = 2,        /* [C,1,H,W] sum of weight * z, no background */
  SPLAT_ALPHA = 3,        /* [C,1,H,W] sum of weight */
  SPLAT_FEATURES = 4,     /* [C,F,H,W] sum of weight * feature, no background */
  /* Per Gaussian instead of per pixel; these have no gradient. */
  SPLAT_WEIGHT_SUM = 5,   /* [C,P] sum of the Gaussian's weights over the image's pixels */
  SPLAT_WEIGHT_MAX = 6,   /* [C,P] the largest of its weights */
  SPLAT_WEIGHT_IMAGE = 7  /* [C,P] sum over the pixels of weight * image, for the given image [C,H,W] */
};

/* Further abilities of an engine (splat_capabilities.features). */
enum {
  SPLAT_STRIDED_INPUTS = 1u << 0,      /* reads any strides; otherwise inputs must be contiguous */
  SPLAT_DETERMINISTIC = 1u << 1,       /* gradients are always bit-identical from run to run */
  SPLAT_CAN_EXACT = 1u << 2,           /* accepts SPLAT_EXACT */
  SPLAT_CAN_RAW = 1u << 3,             /* accepts SPLAT_RAW */
  SPLAT_CAN_REPRODUCE = 1u << 4,       /* accepts SPLAT_REPRODUCIBLE */
  SPLAT_CAN_BATCH = 1u << 5,           /* several cameras per call */
  SPLAT_CAN_ORTHOGRAPHIC = 1u << 6,    /* accepts SPLAT_ORTHOGRAPHIC */
  SPLAT_CAN_SPLIT_SH = 1u << 7,        /* accepts sh_rest */
  SPLAT_CAN_EXTRA_GRADIENTS = 1u << 8, /* gives means2d_abs, view and background */
  SPLAT_CAN_WORKSPACE = 1u << 9,       /* renders without waiting for the device, with a splat_workspace */
  SPLAT_CAN_STAGES = 1u << 10,         /* has project, rasterize and their backward passes */
  SPLAT_CAN_STEP = 1u << 11            /* has backward_step, and reads sh_rest16 */
};

/* splat_settings.flags */
enum {
  SPLAT_ANTIALIASING = 1u << 0, /* opacity compensation for the 0.3 px dilation (EWA) */
  SPLAT_DEBUG = 1u << 1,        /* synchronise and check after every kernel */
  /* Without it (mode `compat`) a Gaussian covers the 16x16 tiles of its 3-sigma square and backward uses the
   * original's formulas, so that image, radii and gradients are the original's. With it (mode `exact`) a Gaussian
   * covers every pixel where alpha >= 1/255, backward is the derivative (except for alpha's cap of 0.99, which passes
   * gradients straight through in both modes), and the Jacobian's clamp follows the principal point. A Gaussian is
   * then visible if the box around its ellipse of alpha = 1/255 holds a pixel centre of the image. */
  SPLAT_EXACT = 1u << 2,
  /* Scales are logarithms, opacities are logits, rotations are normalised by the engine; gradients are with respect to
   * these raw values. */
  SPLAT_RAW = 1u << 3,
  /* Gradients are bit-identical from run to run and across streams. */
  SPLAT_REPRODUCIBLE = 1u << 4,
  /* No backward pass will follow: nothing is saved. */
  SPLAT_FORWARD_ONLY = 1u << 5
};

/* splat_camera.model */
enum {
  SPLAT_PINHOLE = 0,
  /* proj has no perspective (its last row is 0 0 0 1), tan_fovx and tan_fovy are half the image's width and height in
   * world units, and SH are evaluated along the camera's axis. */
  SPLAT_ORTHOGRAPHIC = 1
};

/* A strided input tensor. */
typedef struct splat_in {
  const float *data; /* NULL: this input is absent */
  int64_t stride[3];
} splat_in;

typedef struct splat_camera {
  uint32_t struct_size;
  int32_t width, height;    /* pixels, at least 1; the same for all cameras of a call */
  float tan_fovx, tan_fovy; /* tangent of HALF the field of view */
  int32_t model;            /* SPLAT_PINHOLE or SPLAT_ORTHOGRAPHIC; the same for all cameras of a call */
  const float *view;        /* [16] world to camera */
  const float *proj;        /* [16] world to clip (projection * view); the principal point is in it */
  const float *campos;      /* [3] camera centre in world coordinates, for SH directions */
} splat_camera;

typedef struct splat_gaussians {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t count;         /* P, may be 0 */
  int64_t sh_coeffs;     /* M, SH coefficients stored per Gaussian and channel; 0 if sh is absent */
  int64_t feature_count; /* F, 0 to SPLAT_MAX_FEATURES; 0 if features is absent */
  splat_in means3d;      /* [P,3] world coordinates */
  splat_in opacities;    /* [P] or [P,1], after the sigmoid unless SPLAT_RAW */
  splat_in sh;           /* [P,M,3], or [P,1,3] with sh_rest; exactly one of sh and colors is given */
  splat_in sh_rest;      /* absent, or [P,M-1,3] */
  splat_in colors;       /* [P,3] */
  splat_in scales;       /* [P,3] standard deviations, after exp unless SPLAT_RAW; with rotations, or else cov3d */
  splat_in rotations;    /* [P,4] wxyz */
  splat_in cov3d;        /* [P,6] xx xy xz yy yz zz; scale_modifier and SPLAT_RAW do not apply to it */
  splat_in features;     /* [P,F] */
  /* NULL, or instead of sh_rest: [P,S] numbers of 16 bits (IEEE 754 binary16), contiguous and aligned to 16 bytes. S is
   * 3 (M-1) rounded up to a multiple of 16; what is beyond 3 (M-1) is not read. Only engines with SPLAT_CAN_STEP
   * read it, and `backward` gives no gradient for it. */
  const uint16_t *sh_rest16;
} splat_gaussians;

typedef struct splat_settings {
  uint32_t struct_size;
  uint32_t flags;
  const float *background; /* [3] */
  float scale_modifier;    /* multiplies every scale */
  int32_t sh_degree;       /* active degree, 0 to SPLAT_MAX_SH_DEGREE; (degree+1)^2 <= M */
} splat_settings;

/* Kinds of memory. SAVED must stay alive until the backward pass has run (or never will), SCRATCH until the call
 * returns (on a stream: until the stream has passed the call). */
enum { SPLAT_MEM_SCRATCH = 0, SPLAT_MEM_SAVED = 1 };

/* Lets the forward pass run without waiting for the device. It remembers how many Gaussian-tile intersections earlier
 * calls needed and sizes the next call's memory by that. It holds a few bytes of pinned host memory and no device
 * memory. One workspace may serve many streams, but only one call at a time. Opaque. */
typedef struct splat_workspace splat_workspace;

typedef struct splat_context {
  uint32_t struct_size;
  int32_t device; /* CUDA ordinal, -1 for a CPU engine */
  void *stream;
  /* NULL: the forward pass waits for the device once, to size its memory exactly. Otherwise it does not wait, except
   * in the first call; if its estimate was too small, the farthest Gaussians are missing from the image, and `poll`
   * reports that. */
  splat_workspace *workspace;
  /* Returns at least `bytes` bytes aligned to 256 in the engine's memory, or NULL. `bytes` may be 0. */
  void *(*alloc)(void *user, uint32_t kind, uint64_t bytes);
  void *user;
} splat_context;

/* What a forward pass leaves for its backward pass. Opaque to the caller, who keeps it by value and hands it back. The
 * buffers are the SAVED allocations of that forward call. */
typedef struct splat_saved {
  uint32_t struct_size;
  uint32_t buffer_count;
  int64_t rendered; /* Gaussian-tile intersections; -1 while only the device knows (`poll`) */
  int64_t rejected; /* Gaussians left out because a number of theirs is not finite; -1 likewise */
  int64_t ticket;   /* number of the call in its workspace; -1 without a workspace */
  void *buffer[SPLAT_SAVED_BUFFERS];
  uint64_t bytes[SPLAT_SAVED_BUFFERS];
} splat_saved;

/* One output of a call; see the sources above for shapes. All are contiguous, and every element is written. If nothing
 * is visible (P = 0 included), colour is the background and everything else is zero. Each source may be listed once. */
typedef struct splat_channel {
  uint32_t struct_size;
  uint32_t source;       /* SPLAT_COLOR, ... */
  float *data;           /* forward writes it; ignored by the backward pass */
  const float *gradient; /* backward reads it; NULL means zero, and is the only choice for sources 5 to 7 */
  const float *image;    /* SPLAT_WEIGHT_IMAGE: [C,H,W]; NULL for every other source */
} splat_channel;

/* Gradients that a backward pass writes, contiguous; NULL where not wanted. Every element is written; rows of
 * Gaussians that were not visible are exact zeros. */
typedef struct splat_gradients {
  uint32_t struct_size;
  uint32_t reserved;
  float *means3d;     /* [P,3] */
  float *means2d;     /* [C,P,3] in NDC units (pixel gradient * size/2), z = 0 */
  float *means2d_abs; /* [C,P,2] sum over the pixels of the absolute gradient, x and y, same units; an engine may
                         refuse it if more than four image channels were rendered */
  float *opacities;   /* [P] */
  float *sh;          /* shaped like the input sh; zero above the active degree */
  float *sh_rest;     /* shaped like the input sh_rest */
  float *colors;      /* [P,3]; with SH: of the colour that they give, after its clamp */
  float *scales;      /* [P,3] */
  float *rotations;   /* [P,4] of the quaternion as given */
  float *cov3d;       /* [P,6]; off-diagonal entries count both halves */
  float *features;    /* [P,F] */
  float *background;  /* [3] */
  /* [C,16] of the world-to-camera matrix, laid out like it, its last row zero. proj and campos are taken to follow
   * it: proj = projection * view with a fixed projection, campos = -R^-1 t. */
  float *view;
} splat_gradients;

typedef struct splat_forward_args {
  uint32_t struct_size;
  uint32_t camera_count;  /* C, 1 to SPLAT_MAX_CAMERAS */
  uint32_t channel_count; /* length of `channels` */
  uint32_t reserved;
  const splat_context *context;
  const splat_camera *cameras;
  const splat_gaussians *gaussians;
  const splat_settings *settings;
  const splat_channel *channels; /* the outputs that are wanted, in any order */
  int32_t *radii;                /* [C,P] written: 3-sigma radius in pixels, 0 = not visible; never NULL if P > 0 */
  splat_saved *saved;            /* written */
} splat_forward_args;

typedef struct splat_backward_args {
  uint32_t struct_size;
  uint32_t camera_count; /* this and the next seven as given to forward */
  uint32_t channel_count;
  uint32_t reserved;
  const splat_context *context;
  const splat_camera *cameras;
  const splat_gaussians *gaussians;
  const splat_settings *settings;
  const splat_channel *channels; /* with their gradients */
  const int32_t *radii;          /* as forward wrote it */
  const splat_saved *saved;      /* as forward left it */
  const splat_gradients *gradients;
} splat_backward_args;

/* One Gaussian as one camera sees it: what projection hands to rasterization, 64 bytes, in the engine's memory. If
 * `radius` is 0 the Gaussian is not visible and every other member is zero. Arrays of records, and of their gradients,
 * are aligned to 16 bytes. */
typedef struct splat_record {
  float x, y;           /* projected centre, pixels */
  float inv_cov[3];     /* xx, xy, yy of the inverse of the dilated 2D covariance, 1/pixel^2 */
  float opacity;        /* after activation and antialiasing, before the cap of 0.99 */
  float depth;          /* view-space z */
  float color[3];       /* RGB after the clamp of SH */
  float half_x, half_y; /* half sides of the box around the centre that holds every pixel it may cover, pixels */
  int32_t radius;       /* 3-sigma radius in pixels */
  uint32_t reserved[3];
} splat_record;

/* Gradients of a loss with respect to the members of a record, 48 bytes, in the engine's memory. */
typedef struct splat_record_gradient {
  float x, y;         /* per pixel */
  float inv_cov[3];   /* the off-diagonal entry counts both halves */
  float opacity;
  float depth;
  float color[3];
  float abs_x, abs_y; /* sums over the pixels of the absolute gradients for x and y; zero unless asked for */
} splat_record_gradient;

/* First stage: every Gaussian as every camera sees it. */
typedef struct splat_project_args {
  uint32_t struct_size;
  uint32_t camera_count;
  const splat_context *context;
  const splat_camera *cameras;
  const splat_gaussians *gaussians; /* features are not read */
  const splat_settings *settings;
  splat_record *records;            /* [C,P] written */
} splat_project_args;

/* Second stage: images from records, which may come from several calls of the first stage, such as those of other
 * devices. It needs neither Gaussians nor cameras. Records of one image may stand in any order; where two have the same
 * depth, the earlier one is in front. */
typedef struct splat_rasterize_args {
  uint32_t struct_size;
  uint32_t image_count;     /* C, 1 to SPLAT_MAX_CAMERAS */
  uint32_t channel_count;
  uint32_t absolute;        /* backward: 1 if the abs_x and abs_y of record gradients are wanted */
  int32_t width, height;
  int64_t count;            /* N records per image, may be 0 */
  int64_t feature_count;    /* F */
  const splat_context *context;
  const splat_settings *settings;
  const splat_record *records;   /* [C,N] */
  splat_in features;             /* [C,N,F]; stride 0 in the first dimension if the images share them */
  const splat_channel *channels; /* with P = N */
  splat_saved *saved;            /* forward writes it, backward reads it */
  /* Backward writes these, contiguous; NULL where not wanted. */
  splat_record_gradient *record_gradients; /* [C,N] */
  float *feature_gradients;                /* [C,N,F] */
  float *background_gradient;              /* [3] */
} splat_rasterize_args;

/* Backward pass of the first stage. */
typedef struct splat_project_backward_args {
  uint32_t struct_size;
  uint32_t camera_count; /* this and the next four as given to project */
  const splat_context *context;
  const splat_camera *cameras;
  const splat_gaussians *gaussians;
  const splat_settings *settings;
  const splat_record *records;                   /* [C,P] as project wrote them */
  const splat_record_gradient *record_gradients; /* [C,P] */
  const splat_gradients *gradients;              /* features and background are not written and must be NULL */
} splat_project_backward_args;

typedef struct splat_mark_visible_args {
  uint32_t struct_size;
  uint32_t reserved;
  const splat_context *context;
  int64_t count;
  splat_in means3d;   /* [P,3] */
  const float *view;  /* [16] */
  const float *proj;  /* [16] */
  uint8_t *visible;   /* [P] written: 1 where the view-space depth is over 0.2 */
} splat_mark_visible_args;

typedef struct splat_capabilities {
  uint32_t struct_size;
  uint32_t abi;            /* the SPLAT_ENGINE_ABI that the engine was built with */
  int32_t device_kind;
  uint32_t channels;       /* bit 1 << source for every channel that the engine has */
  uint32_t features;       /* SPLAT_STRIDED_INPUTS, ... */
  int32_t max_sh_degree;
  const char *name;        /* "cpu", "cuda", "inria"; static storage, as the next two */
  const char *version;
  const char *fingerprint; /* of the build plan; "" if unknown */
} splat_capabilities;

/* Properties of a device as the engine sees it. */
typedef struct splat_device {
  uint32_t struct_size;
  uint32_t multiprocessors; /* 0 on a CPU */
  uint64_t memory_free;     /* bytes; 0 if unknown */
  uint64_t memory_total;
  char name[64];            /* NUL-terminated */
} splat_device;

/* What a call that did not wait turned out to need. */
typedef struct splat_progress {
  uint32_t struct_size;
  uint32_t done;     /* 1 once the device has passed the call's counting stage; otherwise the rest is not set */
  uint32_t overflow; /* 1 if `rendered` exceeds the capacity that the call had: render again */
  uint32_t reserved;
  int64_t rendered, rejected, capacity;
} splat_progress;

/* One parameter tensor of an Adam step (Kingma and Ba 2015, algorithm 1, with bias correction):
 * m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, p -= lr (m / (1-b1^step)) / (sqrt(v / (1-b2^step)) + eps). */
typedef struct splat_adam_group {
  uint32_t struct_size;
  uint32_t reserved;
  float *param;
  const float *grad;
  float *exp_avg, *exp_avg_sq;
  int64_t width; /* numbers per row */
  int64_t step;  /* of this update, counted from 1 */
  float lr, beta1, beta2, eps;
} splat_adam_group;

typedef struct splat_adam_args {
  uint32_t struct_size;
  uint32_t group_count;           /* 1 to SPLAT_MAX_ADAM_GROUPS */
  const splat_context *context;
  int64_t rows;                   /* P; every tensor is [P,width], contiguous */
  const int32_t *visible;         /* [P] rows with 0 or less are left alone, moments too; NULL: all rows are updated */
  const splat_adam_group *groups;
} splat_adam_args;

/* Which parameter a group of a backward_step updates (splat_step_group.target), with its width W. */
enum {
  SPLAT_STEP_MEANS3D = 0,   /* 3 */
  SPLAT_STEP_SH = 1,        /* 3: the constant term of SH that are split, or all of them if M is 1 */
  SPLAT_STEP_SH_REST = 2,   /* 3 (M-1) */
  SPLAT_STEP_OPACITIES = 3, /* 1 */
  SPLAT_STEP_SCALES = 4,    /* 3 */
  SPLAT_STEP_ROTATIONS = 5, /* 4 */
  SPLAT_STEP_TARGETS = 6
};

/* How a group is stored (splat_step_group.storage). What has fewer bits than f32 is rounded up or down at random, with
 * the probabilities that make the mean exact; the draws depend on seed, target, step, row and column alone. `root` is
 * the square root of the second moment, which has half the range of exponents. */
enum {
  SPLAT_STORE_FULL = 0, /* param, exp_avg and exp_avg_sq are f32 [P,W] */
  SPLAT_STORE_HALF = 1, /* param is f32 [P,W]; exp_avg and, in the place of exp_avg_sq, root are bfloat16 [P,W] */
  /* For SPLAT_STEP_SH_REST alone. param is [P,S] as sh_rest16; exp_avg is int8 [P,S] and, in the place of exp_avg_sq,
   * root is uint8 [P,S], each times its row's unit in units [P,2]: the largest of the row over 127, and over 255. A
   * root that is not 0 is stored as 1 at least. Everything is aligned to 16 bytes. */
  SPLAT_STORE_COMPACT = 2
};

/* One parameter that a backward pass ends in, and Adam's constants for it: as in splat_adam_group. */
typedef struct splat_step_group {
  uint32_t struct_size;
  uint32_t target;  /* SPLAT_STEP_MEANS3D, ...; each at most once */
  uint32_t storage; /* SPLAT_STORE_FULL, ... */
  /* With SPLAT_RAW: added to the gradient is this times o (1 - o) for SPLAT_STEP_OPACITIES, o being the sigmoid of param,
   * or times exp(param) for SPLAT_STEP_SCALES. 0 for every other group. */
  float pull;
  void *param; /* may be the memory of the input itself */
  void *exp_avg, *exp_avg_sq;
  float *units;
  int64_t step;
  float lr, beta1, beta2, eps;
} splat_step_group;

/* A backward pass that ends in Adam: no gradient of a parameter is ever written. Each group's gradient is the one that the
 * backward pass would give for its input. */
typedef struct splat_step_args {
  uint32_t struct_size;
  uint32_t group_count; /* 0 to SPLAT_STEP_TARGETS; parameters without a group stay as they are */
  /* Exactly one of the two is given: the whole pass or that of the first stage. Of its gradients only means2d,
   * means2d_abs, features, background and view may be wanted. SH must be split, or M be 1. */
  const splat_backward_args *backward;
  const splat_project_backward_args *project_backward;
  const splat_step_group *groups;
  uint32_t visible_only; /* 1: rows that no camera sees are left alone, moments too; 0: every row is updated */
  uint32_t reserved;
  uint64_t seed;
} splat_step_args;

/* Structural similarity (Wang et al. 2004) with an 11x11 Gaussian window of sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, zero
 * padding. */
typedef struct splat_ssim_args {
  uint32_t struct_size;
  uint32_t valid;              /* 1: `mean` is over the pixels at least 5 away from every border */
  const splat_context *context;
  int64_t planes;              /* N images times their channels */
  int32_t width, height;
  const float *image, *target; /* [planes,H,W] */
  float *map;                  /* forward: [planes,H,W] or NULL */
  float *mean;                 /* forward: [1] or NULL */
  float *partials;             /* [3,planes,H,W]: forward writes, backward reads; NULL if no backward follows */
  const float *grad_mean;      /* backward: [1] or NULL */
  const float *grad_map;       /* backward: [planes,H,W] or NULL */
  float *grad_image;           /* backward: [planes,H,W] */
} splat_ssim_args;

/* The photometric loss of Kerbl et al. (2023, equation 7), (1 - l) mean |image - target| + l (1 - mean SSIM), where l is
 * lambda_dssim. At a difference of 0 the slope of |.| is 0. */
typedef struct splat_photometric_args {
  uint32_t struct_size;
  uint32_t valid;              /* as in splat_ssim_args, for both terms */
  const splat_context *context;
  int64_t planes;
  int32_t width, height;
  float lambda_dssim;          /* 0 to 1 */
  uint32_t reserved;
  const float *image, *target; /* [planes,H,W] */
  float *loss;                 /* forward: [1] */
  float *partials;             /* [3,planes,H,W]: forward writes, backward reads; NULL if no backward follows */
  const float *grad_loss;      /* backward: [1] */
  float *grad_image;           /* backward: [planes,H,W] */
} splat_photometric_args;

/* Interfaces of splat_engine_get. */
enum { SPLAT_ENGINE = 0, SPLAT_RASTER = 1, SPLAT_OPTIMIZE = 2, SPLAT_IMAGE = 3 };

/* SPLAT_ENGINE: what the engine is. Every engine offers it. */
typedef struct splat_engine_table {
  uint32_t struct_size;
  uint32_t reserved;
  splat_status (*capabilities)(splat_capabilities *out);
  /* SPLAT_OK if this device can be used here, else SPLAT_NO_DEVICE and the reason. */
  splat_status (*device_ready)(int32_t device);
  splat_status (*device)(int32_t device, splat_device *out);
  /* The message of this thread's last failed call of any table, UTF-8; valid until its next call. Never NULL. */
  const char *(*last_error)(void);
} splat_engine_table;

/* SPLAT_RASTER: rendering and its gradients, whole or in stages. Every engine offers the whole calls. */
typedef struct splat_raster_table {
  uint32_t struct_size;
  uint32_t reserved;
  splat_status (*forward)(const splat_forward_args *args);
  splat_status (*backward)(const splat_backward_args *args);
  splat_status (*mark_visible)(const splat_mark_visible_args *args);
  splat_status (*project)(const splat_project_args *args);
  splat_status (*rasterize)(const splat_rasterize_args *args);
  splat_status (*rasterize_backward)(const splat_rasterize_args *args);
  splat_status (*project_backward)(const splat_project_backward_args *args);
  /* Creates a workspace for `device`. */
  splat_status (*workspace_new)(int32_t device, splat_workspace **out);
  /* Waits for the calls that used it and frees it; NULL is allowed. */
  void (*workspace_free)(splat_workspace *workspace);
  /* What the forward call that left `saved` needed; with `wait` 0 it returns at once. An overflow enlarges the
   * workspace for the next call. */
  splat_status (*poll)(splat_workspace *workspace, const splat_saved *saved, uint32_t wait, splat_progress *out);
} splat_raster_table;

/* SPLAT_OPTIMIZE: updates of parameters. */
typedef struct splat_optimize_table {
  uint32_t struct_size;
  uint32_t reserved;
  splat_status (*adam)(const splat_adam_args *args);
  splat_status (*backward_step)(const splat_step_args *args);
} splat_optimize_table;

/* SPLAT_IMAGE: comparing images. */
typedef struct splat_image_table {
  uint32_t struct_size;
  uint32_t reserved;
  splat_status (*ssim)(const splat_ssim_args *args);
  splat_status (*ssim_backward)(const splat_ssim_args *args);
  splat_status (*photometric)(const splat_photometric_args *args);
  splat_status (*photometric_backward)(const splat_photometric_args *args);
} splat_image_table;

/* The table of an interface (SPLAT_ENGINE, ...) in static storage, or NULL if the engine does not offer that interface
 * in this version (SPLAT_ENGINE_ABI). The only symbol that an engine exports. */
SPLAT_API const void *splat_engine_get(uint32_t interface_id, uint32_t version);

#ifdef __cplusplus
}
#endif
#endif
