//! Where a step's time goes: milliseconds of the device for each phase of a step, and what the host adds.
//!
//! Every hundredth step is measured. It is queued behind work that keeps the device busy for longer than the queueing takes,
//! so that the marks between its phases show the device's own time, without waits for the host. What an average step takes
//! beyond their sum is the host's share.

use std::time::Instant;

use serde::Serialize;
use splat_tch::Mark;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// The parts of a step, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Loading the photograph.
    Data,
    /// Forward.
    Render,
    /// Loss, forward only.
    Loss,
    /// Backward of everything.
    Backward,
    /// Adam.
    Optimizer,
    /// The strategy's statistics. Refinements are measured separately, every one of them.
    Densify,
}

/// One step in this many is measured, at an offset where nothing refines.
const EVERY: u64 = 100;
const AT: u64 = 50;
/// Numbers in the filler, which keeps an H100 busy for a few milliseconds.
const FILLER: i64 = 1 << 27;

/// Sums over the measured steps.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    milliseconds: [f64; 6],
    /// Milliseconds of all refinements, and of all fillers.
    refinements: f64,
    fillers: f64,
    /// Milliseconds the host needed to queue each phase.
    host: [f64; 6],
    measured: u64,
    running: Option<Running>,
    filler: Option<Tensor>,
}

#[derive(Debug)]
struct Running {
    /// Before the filler.
    idle: Mark,
    marks: Vec<Mark>,
    queued: Vec<Instant>,
    /// The phases that ended at the marks after the first; a step on several views has some of them several times.
    ended: Vec<Phase>,
}

/// Milliseconds per step, averaged over the measured steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PhaseTimes {
    /// Steps that were measured.
    pub measured_steps: u64,
    /// Loading the photograph.
    pub data: f64,
    /// Forward pass of the rasterizer.
    pub render: f64,
    /// Forward pass of the loss.
    pub loss: f64,
    /// Backward pass of everything.
    pub backward: f64,
    /// Adam.
    pub optimizer: f64,
    /// The strategy's statistics.
    pub densify: f64,
    /// Refinements, averaged over all steps.
    pub refine: f64,
    /// The sum of the above: the time of the device.
    pub device: f64,
    /// The time the host needs to queue a step.
    pub queueing: f64,
    /// The same for each phase in the order above, without refinements.
    pub queueing_phases: [f64; 6],
    /// Training time per step, without the work that was queued to measure.
    pub step: f64,
    /// `(step - device) / step`.
    pub host_share: f64,
}

impl Profile {
    pub(crate) fn begin(&mut self, step: u64, device: Device) -> Result<()> {
        self.running = None;
        if step % EVERY != AT {
            return Ok(());
        }
        let idle = Mark::now(device)?;
        if device.is_cuda() {
            if self.filler.is_none() {
                self.filler = Some(Tensor::f_empty([FILLER], (Kind::Float, device))?);
            }
            if let Some(filler) = &mut self.filler {
                for _ in 0..8 {
                    let _ = filler.f_mul_scalar_(1.0)?;
                }
            }
        }
        self.running = Some(Running {
            idle,
            marks: vec![Mark::now(device)?],
            queued: vec![Instant::now()],
            ended: Vec::new(),
        });
        Ok(())
    }

    pub(crate) fn end(&mut self, phase: Phase, device: Device) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.marks.push(Mark::now(device)?);
        running.queued.push(Instant::now());
        running.ended.push(phase);
        if phase != Phase::Densify {
            return Ok(());
        }
        for (phase, pair) in running.ended.iter().zip(running.queued.windows(2)) {
            self.host[*phase as usize] += pair[1].duration_since(pair[0]).as_secs_f64() * 1e3;
        }
        self.fillers += running.marks[0].milliseconds_since(&running.idle)?;
        for (phase, pair) in running.ended.iter().zip(running.marks.windows(2)) {
            self.milliseconds[*phase as usize] += pair[1].milliseconds_since(&pair[0])?;
        }
        self.measured += 1;
        self.running = None;
        Ok(())
    }

    /// Adds a refinement that began at `begin` and is over now; waits for the device, as refinements do.
    pub(crate) fn refined(&mut self, begin: &Mark, device: Device) -> Result<()> {
        self.refinements += Mark::now(device)?.milliseconds_since(begin)?;
        Ok(())
    }

    /// The figures for a run of `steps` steps in `seconds`; `None` if no step was measured.
    pub(crate) fn figures(&self, seconds: f64, steps: u64) -> Option<PhaseTimes> {
        if self.measured == 0 || steps == 0 {
            return None;
        }
        let mean = |sum: f64| sum / self.measured as f64;
        let of = |phase: Phase| mean(self.milliseconds[phase as usize]);
        let refine = self.refinements / steps as f64;
        let device = mean(self.milliseconds.iter().sum()) + refine;
        let step = (seconds * 1e3 - self.fillers) / steps as f64;
        Some(PhaseTimes {
            measured_steps: self.measured,
            data: of(Phase::Data),
            render: of(Phase::Render),
            loss: of(Phase::Loss),
            backward: of(Phase::Backward),
            optimizer: of(Phase::Optimizer),
            densify: of(Phase::Densify),
            refine,
            device,
            queueing: mean(self.host.iter().sum()),
            queueing_phases: self.host.map(mean),
            step,
            host_share: (step - device) / step,
        })
    }
}
