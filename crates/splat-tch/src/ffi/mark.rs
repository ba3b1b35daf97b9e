//! When a device comes to a place in its work: for profiles. Waits for nothing until it is asked.

use std::fmt;
use std::time::Instant;

use tch::Device;

use super::bridge::cpp;
use crate::Error;

/// A place in a device's work.
pub struct Mark(Place);

enum Place {
    Cuda(cxx::UniquePtr<cpp::Mark>),
    /// The CPU does what it is told at once.
    Host(Instant),
}

impl Mark {
    /// After all that was queued on `device`'s current stream so far.
    ///
    /// # Errors
    /// [`Error::Torch`] if there is no such device.
    pub fn now(device: Device) -> Result<Self, Error> {
        let Device::Cuda(index) = device else { return Ok(Self(Place::Host(Instant::now()))) };
        let index = i32::try_from(index).map_err(|_| Error::Torch(format!("no CUDA device {index}")))?;
        Ok(Self(Place::Cuda(cpp::mark(index).map_err(|e| Error::Torch(e.what().to_owned()))?)))
    }

    /// Milliseconds of the device's own time from `earlier` to here; waits until the device has come here.
    ///
    /// # Errors
    /// [`Error::Torch`] for marks of two devices, or a device that failed.
    pub fn milliseconds_since(&self, earlier: &Self) -> Result<f64, Error> {
        match (&self.0, &earlier.0) {
            (Place::Cuda(now), Place::Cuda(then)) => {
                now.milliseconds_since(then).map_err(|e| Error::Torch(e.what().to_owned()))
            }
            (Place::Host(now), Place::Host(then)) => Ok(now.duration_since(*then).as_secs_f64() * 1e3),
            _ => Err(Error::Torch("a mark of the CPU and one of a CUDA device have no distance".into())),
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
