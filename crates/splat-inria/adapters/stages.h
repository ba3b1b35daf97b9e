// Included before the original's rasterizer_impl.cu (compiler option -include): its CHECK_CUDA becomes ours.
//
// Theirs looks at errors only when debugging and then prints to stderr; ours looks after every stage, names it,
// and throws. The headers come first so that their own macros (BLOCK_SIZE, ...) do not reach CUB and GLM, as in
// the original's order of includes.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>
#include <cub/cub.cuh>
#define GLM_FORCE_CUDA
#include <glm/glm.hpp>

// CUB is wrapped in a namespace of this library, so that another copy of it in the process (torch's) cannot
// clash. The original says `cub::`.
namespace cub = CUB_WRAPPED_NAMESPACE::cub;

#include "cuda_rasterizer/auxiliary.h"

namespace splat::inria {
// Throws if `stage`, the text of a call, failed to launch; with `synchronise`, also if it failed to run.
void stage_done(const char *stage, const char *file, int line, bool synchronise);
}  // namespace splat::inria

#undef CHECK_CUDA
#define CHECK_CUDA(A, debug) \
  A;                         \
  ::splat::inria::stage_done(#A, __FILE__, __LINE__, debug);
