// What CCCL 3 (CUDA 13) removed from CUB and Thrust after years of deprecation, for sources that still use it. Forced
// into CUDA files only, and only where the removed names are really gone.
#if defined(__cplusplus) && defined(__CUDACC__) && !defined(CUB_WRAPPED_NAMESPACE) && \
    !defined(THRUST_CUB_WRAPPED_NAMESPACE) && __has_include(<cub/version.cuh>)
#include <cub/version.cuh>
#if CUB_VERSION >= 300000
#include <cuda_runtime.h>
#include <cuda/std/limits>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>
#include <thrust/iterator/constant_iterator.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/discard_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#define SPLATWRIGHT_COMMA ,
#define SPLATWRIGHT_FUNCTOR(name, result, expression)                       \
  struct name {                                                             \
    template <class A, class B>                                             \
    __host__ __device__ __forceinline__ constexpr auto operator()(A const& a, B const& b) const -> result { \
      return expression;                                                    \
    }                                                                       \
  };
namespace cub {
SPLATWRIGHT_FUNCTOR(Equality, bool, a == b)
SPLATWRIGHT_FUNCTOR(Inequality, bool, a != b)
SPLATWRIGHT_FUNCTOR(Sum, typename std::decay<decltype(a + b)>::type, a + b)
SPLATWRIGHT_FUNCTOR(Difference, typename std::decay<decltype(a - b)>::type, a - b)
SPLATWRIGHT_FUNCTOR(Division, typename std::decay<decltype(a / b)>::type, a / b)
SPLATWRIGHT_FUNCTOR(Max, typename std::common_type<A SPLATWRIGHT_COMMA B>::type, a < b ? b : a)
SPLATWRIGHT_FUNCTOR(Min, typename std::common_type<A SPLATWRIGHT_COMMA B>::type, b < a ? b : a)
template <class Value, class Offset = std::ptrdiff_t>
using CountingInputIterator = thrust::counting_iterator<Value, thrust::use_default, thrust::use_default, Offset>;
template <class Value, class = std::ptrdiff_t>
struct ConstantInputIterator : thrust::constant_iterator<Value> {
  using thrust::constant_iterator<Value>::constant_iterator;
};
template <class Offset = std::ptrdiff_t>
using DiscardOutputIterator = thrust::discard_iterator<>;
template <class Value, class Operation, class Input, class Offset = std::ptrdiff_t>
struct TransformInputIterator : thrust::transform_iterator<Operation, Input, Value, Value> {
  using Base = thrust::transform_iterator<Operation, Input, Value, Value>;
  __host__ __device__ TransformInputIterator(Input input, Operation operation) : Base(input, operation) {}
};
template <int A>
struct Int2Type {
  enum { VALUE = A };
};
template <bool Condition, class Then, class Else>
struct If {
  using Type = typename std::conditional<Condition, Then, Else>::type;
};
template <class A, class B>
struct Equals {
  enum { VALUE = std::is_same<A, B>::value, NEGATE = !VALUE };
};
template <class T>
__host__ __device__ __forceinline__ void Swap(T& a, T& b) {
  T old = a;
  a = b;
  b = old;
}
__device__ __forceinline__ unsigned int LaneId() {
  unsigned int id;
  asm("mov.u32 %0, %%laneid;" : "=r"(id));
  return id;
}
__device__ __forceinline__ unsigned int WarpId() {
  unsigned int id;
  asm("mov.u32 %0, %%warpid;" : "=r"(id));
  return id;
}
__device__ __forceinline__ void CTA_SYNC() {
  __syncthreads();
}
__device__ __forceinline__ void WARP_SYNC(unsigned int members) {
  __syncwarp(members);
}
template <class T>
struct RemoveQualifiers {
  using Type = typename std::remove_cv<T>::type;
};
template <class T>
struct FpLimits {
  static __host__ __device__ __forceinline__ T Max() { return cuda::std::numeric_limits<T>::max(); }
  static __host__ __device__ __forceinline__ T Lowest() { return cuda::std::numeric_limits<T>::lowest(); }
};
}  // namespace cub
namespace thrust {
template <class Predicate>
struct binary_negate {
  Predicate predicate;
  template <class A, class B>
  __host__ __device__ bool operator()(A const& a, B const& b) const {
    return !predicate(a, b);
  }
};
template <class Predicate>
__host__ __device__ binary_negate<Predicate> not2(Predicate predicate) {
  return {predicate};
}
template <class Predicate>
struct unary_negate {
  Predicate predicate;
  template <class A>
  __host__ __device__ bool operator()(A const& a) const {
    return !predicate(a);
  }
};
template <class Predicate>
__host__ __device__ unary_negate<Predicate> not1(Predicate predicate) {
  return {predicate};
}
template <class Argument, class Result>
struct unary_function {
  using argument_type = Argument;
  using result_type = Result;
};
template <class First, class Second, class Result>
struct binary_function {
  using first_argument_type = First;
  using second_argument_type = Second;
  using result_type = Result;
};
}  // namespace thrust
#undef SPLATWRIGHT_FUNCTOR
#undef SPLATWRIGHT_COMMA
#ifndef CUB_MAX
#define CUB_MAX(a, b) (((a) > (b)) ? (a) : (b))
#endif
#ifndef CUB_MIN
#define CUB_MIN(a, b) (((a) < (b)) ? (a) : (b))
#endif
#ifndef CUB_QUOTIENT_CEILING
#define CUB_QUOTIENT_CEILING(x, y) (((x) + (y) - 1) / (y))
#endif
#ifndef CUB_ROUND_UP_NEAREST
#define CUB_ROUND_UP_NEAREST(x, y) (CUB_QUOTIENT_CEILING(x, y) * (y))
#endif
#endif
#endif
