//! Points in a device's command queue, for timing. Nothing waits until a time is asked for.
#![expect(unsafe_code, reason = "says that a C++ type may change threads")]

use std::fmt;
use std::time::Instant;

use tch::Device;

use super::bridge::cpp;
use crate::Error;

/// A point in a device's command queue, for timing.
pub struct Mark(Place);

// SAFETY: a recorded CUDA event belongs to no thread; its C++ methods are const and set the device that they need.
unsafe impl Send for cpp::Mark {}

enum Place {
    Cuda(cxx::UniquePtr<cpp::Mark>),
    /// On the CPU work is done when a call returns.
    Host(Instant),
}

impl Mark {
    /// The end of what is queued on the current stream of `device` so far.
    ///
    /// # Errors
    /// [`Error::Torch`] if there is no such device.
    pub fn now(device: Device) -> Result<Self, Error> {
        let Device::Cuda(index) = device else { return Ok(Self(Place::Host(Instant::now()))) };
        let index = i32::try_from(index).map_err(|_| Error::Torch(format!("no CUDA device {index}")))?;
        Ok(Self(Place::Cuda(cpp::mark(index).map_err(|e| Error::Torch(e.what().to_owned()))?)))
    }

    /// Milliseconds by the device's clock from `earlier` to this mark; waits until the device has reached it.
    ///
    /// # Errors
    /// [`Error::Torch`] for marks of different devices, or a device that failed.
    pub fn milliseconds_since(&self, earlier: &Self) -> Result<f64, Error> {
        match (&self.0, &earlier.0) {
            (Place::Cuda(now), Place::Cuda(then)) => {
                now.milliseconds_since(then).map_err(|e| Error::Torch(e.what().to_owned()))
            }
            (Place::Host(now), Place::Host(then)) => Ok(now.duration_since(*then).as_secs_f64() * 1e3),
            _ => Err(Error::Torch(
                "there is no time between a mark of the CPU and one of a CUDA device".into(),
            )),
        }
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Place::Cuda(_) => "Mark(cuda)",
            Place::Host(_) => "Mark(cpu)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_may_move_to_another_thread() {
        fn crosses_threads<T: Send>() {}
        crosses_threads::<Mark>();
    }
}
