// See structs.h.
#include "structs.h"

#include <algorithm>
#include <cstring>

namespace splat {
inline namespace SPLAT_COPY {
namespace {

// More than any struct will ever have: a larger number is not a size.
constexpr uint32_t MOST_BYTES = 1 << 16;

uint32_t size_of(const char *name, const void *at, size_t alignment) {
  required(name, at);
  uint32_t size = 0;
  std::memcpy(&size, at, sizeof size);
  if (size < sizeof size || size > MOST_BYTES || size % alignment != 0)
    fail(SPLAT_INVALID_ARGUMENT, "`%s.struct_size` is %u, but must be the struct's size: a multiple of %zu up to %u", name,
         size, alignment, MOST_BYTES);
  return size;
}

}  // namespace

void required(const char *name, const void *pointer) {
  if (!pointer) fail(SPLAT_INVALID_ARGUMENT, "`%s` is NULL, but it is not optional", name);
}

void read_struct(const char *name, const void *from, void *to, size_t size, size_t alignment) {
  const uint32_t theirs = size_of(name, from, alignment);
  std::memcpy(to, from, std::min<size_t>(theirs, size));
  const char *bytes = static_cast<const char *>(from);
  for (size_t k = size; k < theirs; k++)
    if (bytes[k] != 0)
      fail(SPLAT_UNSUPPORTED,
           "`%s.struct_size` is %u and byte %zu is set, but this engine knows the first %zu bytes: the caller asks for "
           "something that a newer engine has",
           name, theirs, k, size);
}

void write_struct(const char *name, const void *from, size_t size, size_t least, void *to) {
  const uint32_t theirs = size_of(name, to, 1);
  if (theirs < least)
    fail(SPLAT_INVALID_ARGUMENT, "`%s.struct_size` is %u, but this engine writes %zu bytes", name, theirs, least);
  // The size at the head stays the caller's.
  const size_t head = sizeof(uint32_t), common = std::min<size_t>(theirs, size);
  std::memcpy(static_cast<char *>(to) + head, static_cast<const char *>(from) + head, common - head);
  if (theirs > size) std::memset(static_cast<char *>(to) + size, 0, theirs - size);
}

}  // namespace SPLAT_COPY
}  // namespace splat
