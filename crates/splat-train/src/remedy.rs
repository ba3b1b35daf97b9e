//! What can be done about an error, as a value: a program turns it into its own words, such as names of its options.

use std::fmt;

use crate::Error;

/// A change that helps against an error. `Display` says it in terms of this library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Use less memory of the device: fewer Gaussians, smaller photographs, or a smaller
    /// [`Config::image_cache`](crate::Config::image_cache).
    UseLessMemory,
    /// Resume with the dataset, the settings and the engine that the checkpoint was written with, or start a new run.
    MatchCheckpoint,
    /// Export an LPIPS network as TorchScript; [`Lpips`](crate::metrics::Lpips) says how.
    ExportLpips,
    /// Compare the scene's extent with the distances of its cameras, or train with
    /// [`Strategy::Fixed`](crate::Strategy::Fixed).
    KeepTheNumber,
    /// Let the photographs give the points, [`PointSource::Auto`](crate::PointSource::Auto), or reconstruct some.
    SearchPhotographs,
    /// Let the ranks meet at another port.
    OtherPort,
    /// Check address and port of rank 0, and that it has been started and can be reached.
    ReachRankZero,
    /// Start all ranks, and give slow ones more time.
    StartAllRanks,
    /// Start every rank with the same program, dataset and settings.
    MatchRanks,
    /// Continue from the last checkpoint, with fewer ranks if need be.
    ResumeWithFewer,
    /// Build with feature `nccl`, against a libtorch with CUDA.
    BuildWithNccl,
    /// Remove cameras that are far from all others: the scene's extent scales the learning rate of positions.
    RemoveFarCameras,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UseLessMemory => {
                "use fewer Gaussians, smaller photographs, or a smaller `Config::image_cache`"
            }
            Self::MatchCheckpoint => {
                "resume with the dataset, settings and engine of the checkpoint, or start a new run"
            }
            Self::ExportLpips => {
                "make one with the Python package `lpips`: torch.jit.trace(lpips.LPIPS(net='alex').eval(), \
                 (x, x), check_trace=False).save('lpips.pt') with x = torch.zeros(1, 3, 64, 64)"
            }
            Self::KeepTheNumber => {
                "the scene is large compared with the distances of its cameras, or nothing was learned: check \
                 both, or keep the number of Gaussians with `Strategy::Fixed`"
            }
            Self::SearchPhotographs => {
                "use `PointSource::Auto`, which finds points in the photographs, or reconstruct some with COLMAP"
            }
            Self::OtherPort => "set MASTER_PORT to a port that is free on the host of rank 0",
            Self::ReachRankZero => {
                "check that MASTER_ADDR and MASTER_PORT name the host of rank 0 and a port that other hosts reach, and \
                 that rank 0 runs"
            }
            Self::StartAllRanks => "start as many processes as WORLD_SIZE says, each with its own RANK from 0",
            Self::MatchRanks => "start every rank with the same program, dataset and settings",
            Self::ResumeWithFewer => "resume from the last checkpoint, with fewer ranks if need be",
            Self::BuildWithNccl => {
                "build with feature `nccl` against a libtorch with CUDA, or train on one GPU"
            }
            Self::RemoveFarCameras => {
                "look for cameras far from all others: their distance scales the learning rate of positions"
            }
        })
    }
}

impl Error {
    /// The change that helps, if there is one. For [`Error::Scene`], also inside [`Error::Init`], ask the error of
    /// `splat_scene` itself: [`Error::scene`].
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        Some(match self {
            e if e.is_out_of_memory() => Remedy::UseLessMemory,
            Self::Checkpoint { .. } => Remedy::MatchCheckpoint,
            Self::Lpips { .. } => Remedy::ExportLpips,
            Self::Emptied { .. } => Remedy::KeepTheNumber,
            Self::Init(splat_init::Error::NoPoints) => Remedy::SearchPhotographs,
            Self::Diverged { .. } => Remedy::RemoveFarCameras,
            Self::Ranks(e) => match e {
                splat_dist::Error::PortInUse { .. } => Remedy::OtherPort,
                splat_dist::Error::Unreachable { .. } => Remedy::ReachRankZero,
                splat_dist::Error::Missing { .. } | splat_dist::Error::Environment(_) => {
                    Remedy::StartAllRanks
                }
                splat_dist::Error::Differs { .. } => Remedy::MatchRanks,
                splat_dist::Error::Lost { .. } => Remedy::ResumeWithFewer,
                splat_dist::Error::NoNccl(_) => Remedy::BuildWithNccl,
                _ => return None,
            },
            _ => return None,
        })
    }
}
