//! The border between Rust and C++: one bridge module, from which cxx generates and checks both sides.
//!
//! `at::Tensor` is what a `tch::Tensor` points to. Lists of tensors cross as [`cpp::TensorRef`]
//! (borrowed) and [`cpp::OwnedTensor`] (given away); in both null stands for an absent tensor.
#![expect(unsafe_code, reason = "the bridge to the C++ autograd node")]
#![expect(unreachable_pub, reason = "cxx makes every item of a bridge public")]

use super::call::{Call, backward};

#[cxx::bridge(namespace = "splat")]
pub(super) mod cpp {
    /// A tensor lent for the duration of a call.
    struct TensorRef {
        tensor: *const Tensor,
    }

    /// A tensor given away.
    struct OwnedTensor {
        tensor: UniquePtr<Tensor>,
    }

    unsafe extern "C++" {
        include!("splat-tch/cpp/render.h");

        #[namespace = "at"]
        type Tensor;
        type DeviceScope;
        type Mark;

        fn attach(
            call: Box<Call>,
            inputs: &[TensorRef],
            outputs: &[TensorRef],
            without_gradient: &[usize],
            kept: &[TensorRef],
        ) -> Result<Vec<OwnedTensor>>;
        fn grad_enabled() -> bool;
        fn set_backward_threads(enabled: bool) -> bool;
        fn changed_in_place(tensors: &[TensorRef]) -> Result<()>;
        fn current_stream(device: i32) -> Result<usize>;
        fn device_scope(device: i32) -> Result<UniquePtr<DeviceScope>>;
        fn prefer_growing_segments();
        fn mark(device: i32) -> Result<UniquePtr<Mark>>;
        fn milliseconds_since(self: &Mark, earlier: &Mark) -> Result<f64>;
    }

    extern "Rust" {
        type Call;

        fn operation(self: &Call) -> &str;
        unsafe fn backward(
            call: &Call,
            saved: &[TensorRef],
            upstream: &[TensorRef],
            wanted: &[bool],
        ) -> Result<Vec<OwnedTensor>>;
    }
}
