// An engine library as the checks use it: its tables, its memory, and arrays in that memory. A device's memory is taken
// from CUDA's runtime, so that compute-sanitizer sees nothing but the engine's kernels.
#pragma once

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "splat_engine.h"

namespace check {

[[noreturn]] inline void die(const std::string &text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::exit(2);
}

inline void cuda(cudaError_t code, const char *what) {
  if (code != cudaSuccess) die(std::string(what) + ": " + cudaGetErrorString(code));
}

struct Engine {
  const splat_engine_table *engine;
  const splat_raster_table *raster;
  const splat_image_table *image;
  const splat_optimize_table *optimize;
  splat_capabilities capabilities{};
  bool gpu = false, poison = true;

  explicit Engine(const char *path, bool poison) : poison(poison) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) die(dlerror());
    using Get = const void *(*)(uint32_t, uint32_t);
    const Get get = reinterpret_cast<Get>(dlsym(library, "splat_engine_get"));
    if (!get) die(std::string(path) + " exports no splat_engine_get");
    engine = static_cast<const splat_engine_table *>(get(SPLAT_ENGINE, SPLAT_ENGINE_ABI));
    raster = static_cast<const splat_raster_table *>(get(SPLAT_RASTER, SPLAT_ENGINE_ABI));
    image = static_cast<const splat_image_table *>(get(SPLAT_IMAGE, SPLAT_ENGINE_ABI));
    optimize = static_cast<const splat_optimize_table *>(get(SPLAT_OPTIMIZE, SPLAT_ENGINE_ABI));
    if (!engine || !raster) die(std::string(path) + " does not offer this ABI");
    capabilities.struct_size = sizeof capabilities;
    ok(engine->capabilities(&capabilities), "capabilities");
    gpu = capabilities.device_kind == SPLAT_CUDA;
  }

  void ok(splat_status status, const char *what) const {
    if (status != SPLAT_OK) die(std::string(capabilities.name ? capabilities.name : "?") + ": " + what + ": " + engine->last_error());
  }

  void *take(size_t bytes) const {
    void *memory = nullptr;
    if (bytes == 0) bytes = 16;
    if (gpu) {
      cuda(cudaMalloc(&memory, bytes), "cudaMalloc");
      // NaN, so that what an engine forgets to write shows; initcheck wants it unwritten instead.
      if (poison) {
        cuda(cudaMemset(memory, 0xff, bytes), "cudaMemset");
        // The call's stream does not wait for the stream of cudaMemset: memory that is handed out must be filled already.
        cuda(cudaStreamSynchronize(nullptr), "filling memory");
      }
    } else {
      memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
      if (poison) std::memset(memory, 0xff, bytes);
    }
    return memory;
  }
  void give(void *memory) const {
    if (gpu)
      cudaFree(memory);
    else
      std::free(memory);
  }
  void copy(void *to, const void *from, size_t bytes) const {
    if (gpu) {
      cuda(cudaDeviceSynchronize(), "the engine's kernels");
      cuda(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "cudaMemcpy");
    } else {
      std::memcpy(to, from, bytes);
    }
  }
};

// Memory of one test case, freed together.
struct Arena {
  const Engine &engine;
  std::vector<void *> taken;

  explicit Arena(const Engine &engine) : engine(engine) {}
  Arena(const Arena &) = delete;
  ~Arena() {
    if (engine.gpu) cuda(cudaDeviceSynchronize(), "the engine's kernels");
    for (void *memory : taken) engine.give(memory);
  }
  void *bytes(size_t count) {
    taken.push_back(engine.take(count));
    return taken.back();
  }
  template <typename T>
  T *array(size_t count) {
    return static_cast<T *>(bytes(count * sizeof(T)));
  }
  // NULL for an empty one.
  float *from(const std::vector<float> &values) {
    if (values.empty()) return nullptr;
    float *to = array<float>(values.size());
    engine.copy(to, values.data(), values.size() * sizeof(float));
    return to;
  }
  template <typename T>
  std::vector<T> back(const T *from, size_t count) {
    std::vector<T> to(count);
    if (count) engine.copy(to.data(), from, count * sizeof(T));
    return to;
  }
  static void *alloc(void *user, uint32_t, uint64_t bytes) { return static_cast<Arena *>(user)->bytes(bytes); }
};

}  // namespace check
