// How C++ that Rust calls through cxx reports torch's errors. Include it in the header of the bridge.
#pragma once

#include <exception>

#include <c10/util/Exception.h>

#include "rust/cxx.h"

namespace rust {
namespace behavior {
// c10::Error::what() ends in a C++ stack trace; users want the sentence.
template <typename Try, typename Fail>
static void trycatch(Try &&attempt, Fail &&fail) noexcept {
  try {
    attempt();
  } catch (const c10::Error &e) {
    fail(e.what_without_backtrace());
  } catch (const std::exception &e) {
    fail(e.what());
  }
}
} // namespace behavior
} // namespace rust
