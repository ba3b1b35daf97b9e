// How an engine fails: a status of splat_engine.h with a message, thrown inside, returned at the border.
//
// Nothing here touches a device. Messages name the input and the two values that disagree; a thread's last one is kept
// for `last_error`.
//
// Each engine has a copy of this folder of its own in the inline namespace SPLAT_COPY (CMake names it), so that two
// engines can be linked into one program.
#pragma once

#include <utility>

#include "splat_engine.h"

namespace splat {
inline namespace SPLAT_COPY {

// Thrown inside an engine; never leaves it.
class Failure {
 public:
  Failure(splat_status status, const char *text);
  splat_status status() const { return status_; }
  const char *text() const { return text_; }

 private:
  splat_status status_;
  // A plain array: carrying a message must not be able to fail.
  char text_[1000];
};

#if defined(__GNUC__)
#define SPLAT_PRINTF __attribute__((format(printf, 2, 3)))
#else
#define SPLAT_PRINTF
#endif

[[noreturn]] void fail(splat_status status, const char *format, ...) SPLAT_PRINTF;

// The message of this thread's last failed call.
const char *last_error() noexcept;

// To be called inside a catch block: keeps the current exception's message and gives its status.
splat_status keep_current_exception() noexcept;

// The border: runs `call` and turns whatever it throws into a status.
template <typename Call>
splat_status border(Call &&call) noexcept {
  try {
    std::forward<Call>(call)();
    return SPLAT_OK;
  } catch (...) {
    return keep_current_exception();
  }
}

// A table's entry whose body throws.
template <auto BODY, typename... Args>
splat_status entry(Args... args) noexcept {
  return border([&] { BODY(args...); });
}

}  // namespace SPLAT_COPY
}  // namespace splat
