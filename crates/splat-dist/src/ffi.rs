//! Everything unsafe of this crate: the bridge to C++ (`cpp/group.h`).
#![expect(unsafe_code, reason = "the bridge to libtorch's c10d")]
#![expect(unreachable_pub, reason = "cxx makes every item of a bridge public")]

use tch::Tensor;

#[cxx::bridge(namespace = "splat_dist")]
pub(crate) mod cpp {
    /// A tensor lent for the duration of a call.
    struct TensorRef {
        tensor: *const Tensor,
    }

    unsafe extern "C++" {
        include!("splat-dist/cpp/group.h");

        #[namespace = "at"]
        type Tensor;
        type Store;
        type Carrier;

        fn make_current(device: i32) -> Result<()>;

        fn connect(host: &str, port: u16, serve: bool, timeout_ms: u64) -> Result<UniquePtr<Store>>;
        fn set(self: &Store, key: &str, value: &str) -> Result<()>;
        fn has(self: &Store, key: &str) -> Result<bool>;
        fn get(self: &Store, key: &str) -> Result<String>;

        fn carry_by_store(
            store: &Store,
            rank: i32,
            world: i32,
            timeout_ms: u64,
        ) -> Result<UniquePtr<Carrier>>;
        fn carry_by_nccl(
            store: &Store,
            rank: i32,
            world: i32,
            timeout_ms: u64,
            library: &[u8],
        ) -> Result<UniquePtr<Carrier>>;
        fn sum(self: &Carrier, tensor: TensorRef) -> Result<()>;
        fn exchange(
            self: &Carrier,
            output: TensorRef,
            input: TensorRef,
            counts_out: &[i64],
            counts_in: &[i64],
        ) -> Result<()>;
        fn abort(self: &Carrier) -> Result<()>;
        fn shutdown(self: &Carrier) -> Result<()>;
    }
}

// SAFETY: a connection belongs to no thread; c10d's TCPStore locks around each operation.
unsafe impl Send for cpp::Store {}
// SAFETY: as above; all methods are const in C++ and lock.
unsafe impl Sync for cpp::Store {}
// SAFETY: a c10d backend belongs to no thread, and is made to be aborted from another one. Its other methods are called under
// the group's lock.
unsafe impl Send for cpp::Carrier {}
// SAFETY: as above.
unsafe impl Sync for cpp::Carrier {}

/// The tensor, for the duration of a call.
pub(crate) fn lend(tensor: &Tensor) -> cpp::TensorRef {
    // What tch calls `C_tensor` is the `at::Tensor` of the bridge.
    cpp::TensorRef { tensor: tensor.as_ptr().cast() }
}
