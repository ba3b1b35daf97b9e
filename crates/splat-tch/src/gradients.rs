//! Gradients without a change of threads.

use tch::Tensor;

use crate::Error;
use crate::ffi::OneThread;

/// Gradients of the scalar `loss` for each of `leaves`. An entry is an undefined tensor if the loss does not depend on that leaf.
/// `leaf.grad()` is not modified. The graph is freed.
///
/// The graph runs on the calling thread. `backward()` hands the GPU part to another thread and waits; in a 1 ms step that costs
/// a third of the time.
///
/// # Errors
/// What the graph's operations refuse, with their text.
pub fn gradients(loss: &Tensor, leaves: &[&Tensor]) -> Result<Vec<Tensor>, Error> {
    let _here = OneThread::enter();
    Ok(Tensor::f_run_backward(&[loss], leaves, false, false)?)
}
