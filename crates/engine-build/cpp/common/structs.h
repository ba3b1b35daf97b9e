// Structs that may grow, read and written by the rules of splat_engine.h ("How the interface grows").
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "status.h"

namespace splat {
inline namespace SPLAT_COPY {

// Refuses a NULL pointer that is not optional.
void required(const char *name, const void *pointer);

// A pointer that the caller may have left NULL.
template <typename T>
T &given(T *pointer, const char *name) {
  required(name, pointer);
  return *pointer;
}

// Copies the members that both sides know and leaves the others as zeros. Throws SPLAT_INVALID_ARGUMENT for a size that
// no struct can have, SPLAT_UNSUPPORTED if members that this engine does not know are not zero.
void read_struct(const char *name, const void *from, void *to, size_t size, size_t alignment);

// The caller's struct as this engine knows it. `name` is the struct's, as in "splat_camera".
template <typename T>
T read(const T *from, const char *name) {
  static_assert(std::is_trivially_copyable<T>::value, "it comes from C");
  T to = {};
  read_struct(name, from, &to, sizeof to, alignof(T));
  return to;
}

// Element `index` of an array of structs: all of them have the struct_size of the first.
template <typename T>
T read_element(const T *first, uint32_t index, const char *name) {
  required(name, first);
  const uint32_t step = first->struct_size;
  const T *at = reinterpret_cast<const T *>(reinterpret_cast<const char *>(first) + size_t(index) * step);
  if (index > 0 && at->struct_size != step)
    fail(SPLAT_INVALID_ARGUMENT,
         "`%s.struct_size` is %u in element %u, but %u in element 0: all elements of an array have one size", name,
         at->struct_size, index, step);
  return read(at, name);
}

// Fills the caller's struct, whose struct_size says how much of it may be written; `least` bytes are needed. What the
// caller has beyond this engine's struct becomes zeros.
void write_struct(const char *name, const void *from, size_t size, size_t least, void *to);

// Writes what the caller has room for.
template <typename T>
void write(const T &from, T *to, const char *name) {
  write_struct(name, &from, sizeof from, sizeof(uint32_t), to);
}

// Writes all of it, or refuses: the caller hands the struct back to the engine.
template <typename T>
void write_whole(const T &from, T *to, const char *name) {
  write_struct(name, &from, sizeof from, sizeof from, to);
}

}  // namespace SPLAT_COPY
}  // namespace splat
