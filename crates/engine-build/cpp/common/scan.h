// Finds the first number that is NaN or infinite among a call's inputs, in one pass on the device.
//
// Kernels are launched on the legacy default stream; nothing is read back here until something was found.
#pragma once

#include <cstdint>

namespace splat {
inline namespace SPLAT_COPY {

class FiniteScan {
 public:
  // Inputs are searched in the order in which they were added. An absent one (NULL) is skipped.
  void add(const char *name, const float *data, int64_t count);
  // Enqueues the search. `*first` (device memory) becomes NOTHING, or says where the first one is.
  void launch(unsigned long long *first) const;
  // Throws SPLAT_INVALID_ARGUMENT with the input's name, the flat index and the value, unless `first` is NOTHING.
  void report(unsigned long long first) const;

  static constexpr unsigned long long NOTHING = ~0ull;
  static constexpr int MOST = 12;

 private:
  const char *name_[MOST];
  const float *data_[MOST];
  unsigned long long count_[MOST];
  int n_ = 0;
};

}  // namespace SPLAT_COPY
}  // namespace splat
