//! Why a group of processes could not be made or has ended. Texts name the rank, its host and the cause.

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between processes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The variables that describe the group are incomplete or contradict each other.
    #[error("{0}")]
    Environment(String),
    /// The port at which the processes were to meet is taken.
    #[error("port {port} on {address} is already in use")]
    PortInUse {
        /// The address of rank 0.
        address: String,
        /// The port.
        port: u16,
    },
    /// Nobody answers where the processes were to meet.
    #[error("rank {rank} on {host} cannot reach rank 0 at {address}:{port}: {reason}")]
    Unreachable {
        /// This rank.
        rank: usize,
        /// Its host.
        host: String,
        /// The address of rank 0.
        address: String,
        /// The port.
        port: u16,
        /// What the connection reports.
        reason: String,
    },
    /// Some ranks did not come in time.
    #[error("waited {seconds} s for {world} ranks, but these did not come: {missing}")]
    Missing {
        /// How long this rank waited.
        seconds: u64,
        /// How many ranks were expected.
        world: usize,
        /// Those that did not come.
        missing: String,
    },
    /// Two ranks were started with something that must be the same and is not.
    #[error("the {what} of rank {rank} on {host} is `{there}`, but that of rank 0 is `{here}`")]
    Differs {
        /// What must be the same.
        what: String,
        /// The first rank that differs from rank 0.
        rank: usize,
        /// Its host.
        host: String,
        /// The value on rank 0.
        here: String,
        /// The value on `rank`.
        there: String,
    },
    /// A rank was lost; the group has ended.
    #[error("rank {rank} on {host} was lost: {cause}")]
    Lost {
        /// The rank.
        rank: usize,
        /// Where it ran.
        host: String,
        /// What happened to it.
        cause: String,
    },
    /// Groups of GPUs are not possible with this program or this libtorch.
    #[error("groups of GPUs need NCCL, but {0}")]
    NoNccl(String),
    /// Torch refused or failed.
    #[error("torch: {0}")]
    Torch(String),
}

impl From<tch::TchError> for Error {
    /// Torch's message without its C++ stack trace.
    fn from(e: tch::TchError) -> Self {
        let text = e.to_string();
        Self::Torch(text.split("\nException raised from").next().unwrap_or_default().trim_end().to_owned())
    }
}
