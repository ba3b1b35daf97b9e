// See status.h. No allocation: also a failed allocation must end as a message.
#include "status.h"

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>

namespace splat {
inline namespace SPLAT_COPY {
namespace {

thread_local char last_text[1000] = "";

void keep(const char *text) noexcept { std::snprintf(last_text, sizeof last_text, "%s", text); }

}  // namespace

Failure::Failure(splat_status status, const char *text) : status_(status) {
  std::snprintf(text_, sizeof text_, "%s", text);
}

void fail(splat_status status, const char *format, ...) {
  char text[1000];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw Failure(status, text);
}

const char *last_error() noexcept { return last_text; }

splat_status keep_current_exception() noexcept {
  try {
    throw;
  } catch (const Failure &e) {
    keep(e.text());
    return e.status();
  } catch (const std::bad_alloc &) {
    keep("the engine ran out of host memory");
    return SPLAT_OUT_OF_MEMORY;
  } catch (const std::exception &e) {
    keep(e.what());
    return SPLAT_INTERNAL;
  } catch (...) {
    keep("the engine threw something that is no std::exception");
    return SPLAT_INTERNAL;
  }
}

}  // namespace SPLAT_COPY
}  // namespace splat
