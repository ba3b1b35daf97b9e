// What the stages of engine `cuda` hand to each other: plain structs of device pointers, passed to kernels by value.
//
// Pixels, tiles of 16x16 pixels, segments of 128 places of a tile's list. A "row" is one Gaussian ("splat" in names)
// seen by one camera: row = camera * P + splat. No torch, no allocation, no host logic.
#pragma once

#include <cstdint>

#include "splat_engine.h"

namespace splat::own {

constexpr int TILE = 16;
constexpr int TILE_PIXELS = TILE * TILE;
// A warp blends 8x4 pixels at a time; a tile has eight such blocks, two across and four down.
constexpr int BLOCK_X = 8, BLOCK_Y = 4, BLOCKS = 8;
// Places of a tile's list between two checkpoints, and per work item of backward.
constexpr int SEGMENT = 128;
// Numbers of a row of gradients: see Sum below.
constexpr int SUMS = 12;

// Depths are over NEAR: their bits less those of NEAR order as they do, and up to a depth of 8e8 they fit in 28 bits.
// Farther ones share the last key. A row that is not visible has the key CULLED.
constexpr int DEPTH_KEY_BITS = 28;
constexpr uint32_t CULLED = 0xffffffffu;

constexpr float NEAR = 0.2f;
constexpr float W_EPSILON = 1e-7f;
constexpr float DILATION = 0.3f;
constexpr float FIELD_LIMIT = 1.3f;
constexpr float AA_FLOOR = 2.5e-5f;
constexpr float ALPHA_MAX = 0.99f;
constexpr float T_MIN = 1e-4f;
constexpr float LOG2E = 1.4426950408889634f;
// log2(1/255): alpha >= 1/255 is asked of the exponent, before exp2.
constexpr float LOG2_ALPHA_MIN = -7.994353436858858f;

// Sums over pixels of one row. `u` is dL/dpower of a pixel, d = centre - pixel.
enum Sum { SUM_U, SUM_UX, SUM_UY, SUM_UXX, SUM_UXY, SUM_UYY, SUM_C0, SUM_C1, SUM_C2, SUM_C3, SUM_ABS_X, SUM_ABS_Y };

// Numbers in a row of 16-bit SH, and of their moments, of M coefficients.
__host__ __device__ constexpr int columns16(int coeffs) { return (3 * (coeffs - 1) + 15) / 16 * 16; }

struct Camera {
  const float *view, *proj, *campos;
  float tan_fovx, tan_fovy;
};

struct Cameras {
  Camera camera[SPLAT_MAX_CAMERAS];
};

// The scene and how it is rendered; one for all stages. Stages that start from records have no Gaussians in it.
struct Scene {
  const float *means3d, *opacities, *sh, *sh_rest, *colors, *scales, *rotations, *cov3d, *features;
  const uint16_t *sh_rest16;  // instead of sh_rest: rows of columns16(M) numbers
  const float *background;
  uint64_t feature_stride;  // numbers from one image's features to the next one's; 0: the images share them
  uint32_t splats;    // P
  uint32_t cameras;   // C
  int coeffs;         // M
  int degree;
  int feature_count;  // F
  int width, height;
  int tiles_x, tiles_y;
  float scale_modifier;
  bool antialiasing, exact, raw, orthographic;
  bool sh_aligned;    // rows of `sh` can be read 16 bytes at a time

  __host__ __device__ uint32_t rows() const { return splats * cameras; }
  __host__ __device__ uint32_t tiles() const { return uint32_t(tiles_x) * uint32_t(tiles_y); }
  __device__ const float *features_of(uint32_t camera, uint32_t splat) const {
    return features + camera * feature_stride + uint64_t(feature_count) * splat;
  }
  __host__ __device__ uint32_t all_tiles() const { return tiles() * cameras; }
};

// Counts that live on the device, at the head of the saved memory. Zeroed before forward.
struct Counters {
  unsigned long long pairs;   // needed, whatever the capacity
  uint32_t candidates;        // tiles of all rows' rectangles
  uint32_t listed;            // pairs in the lists: min(pairs, capacity)
  uint32_t visible;           // rows in depth order
  uint32_t rejected;
  uint32_t items;             // work items of backward
  uint32_t longest;           // segments of the list that took longest to blend
};

// What the fourth channel of the first group blends.
enum class Fourth : int { NONE, INV_DEPTH, DEPTH };

// Where a row lies on its image: exponent(d) = A dx^2 + B dx dy + C dy^2 + level, in log2 of alpha.
struct __align__(16) Shape2d {
  float x, y, a, b;
  float c, level;
  float slope_y;  // dy of the largest exponent at a given dx, over dx: -B / (2 C)
  float slope_x;  // likewise -B / (2 A)
};

struct Work {
  uint32_t tile, segment;
};

}  // namespace splat::own
