//! Where the processes of a group meet and which of them this one is, from the variables that launchers set.

use crate::{Error, Result};

/// The place of this process in its group, and the address at which the group meets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendezvous {
    /// The number of this process in the group, from 0.
    pub rank: usize,
    /// The number of processes.
    pub world: usize,
    /// The number of this process on its host, from 0: its GPU.
    pub local_rank: usize,
    /// Host name or address of rank 0.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// Whether a launcher keeps the store at that address already, as torchrun does.
    pub store_runs: bool,
}

impl Rendezvous {
    /// Rank `rank` of `world` processes on this host, which meet at `port`.
    #[must_use]
    pub fn local(rank: usize, world: usize, port: u16) -> Self {
        let address = "127.0.0.1".into();
        Self { rank, world, local_rank: rank, address, port, store_runs: false }
    }

    /// What `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT` say, as torchrun sets them. Instead of the
    /// first three, Slurm's `SLURM_PROCID`, `SLURM_NTASKS` and `SLURM_LOCALID` count if `MASTER_ADDR` is set. `None` if no
    /// group is described, or one of a single process.
    ///
    /// # Errors
    /// [`Error::Environment`], naming the variable that is missing or makes no sense.
    pub fn from_env() -> Result<Option<Self>> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let slurm = get("RANK").is_none() && get("SLURM_PROCID").is_some() && get("MASTER_ADDR").is_some();
        let names = if slurm {
            ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"]
        } else {
            ["RANK", "WORLD_SIZE", "LOCAL_RANK"]
        };
        let number = |name: &str| -> Result<Option<usize>> {
            let Some(text) = get(name) else { return Ok(None) };
            let number = text.trim().parse();
            number.map(Some).map_err(|_| Error::Environment(format!("{name} is `{text}`, expected a number")))
        };
        let (rank, world, local) = (number(names[0])?, number(names[1])?, number(names[2])?);
        let (rank, world) = match (rank, world) {
            (None, None) => return Ok(None),
            (Some(rank), Some(world)) => (rank, world),
            (found, _) => {
                let (have, lack) = if found.is_some() { (names[0], names[1]) } else { (names[1], names[0]) };
                return Err(Error::Environment(format!("{have} is set, but {lack} is not")));
            }
        };
        if world <= 1 {
            return Ok(None);
        }
        if rank >= world {
            let (a, b) = (names[0], names[1]);
            return Err(Error::Environment(format!("{a} is {rank}, but {b} is {world}: ranks count from 0")));
        }
        let Some(address) = get("MASTER_ADDR") else {
            let text = format!("{} is {world}, but MASTER_ADDR, the host of rank 0, is not set", names[1]);
            return Err(Error::Environment(text));
        };
        let port = number("MASTER_PORT")?.unwrap_or(29_500);
        let port = u16::try_from(port)
            .map_err(|_| Error::Environment(format!("MASTER_PORT is {port}, expected 1 to 65535")))?;
        let store_runs = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True");
        Ok(Some(Self { rank, world, local_rank: local.unwrap_or(rank), address, port, store_runs }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Option<Rendezvous>> {
        let find = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Rendezvous::from_variables(find)
    }

    const TORCHRUN: [(&str, &str); 6] = [
        ("RANK", "3"),
        ("WORLD_SIZE", "8"),
        ("LOCAL_RANK", "1"),
        ("MASTER_ADDR", "node0"),
        ("MASTER_PORT", "1234"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
    ];

    #[test]
    fn torchrun_and_slurm_are_understood() {
        let expected = Rendezvous {
            rank: 3,
            world: 8,
            local_rank: 1,
            address: "node0".into(),
            port: 1234,
            store_runs: true,
        };
        assert_eq!(of(&TORCHRUN).unwrap(), Some(expected.clone()));
        let slurm =
            [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "8"), ("SLURM_LOCALID", "1"), ("MASTER_ADDR", "node0")];
        let by_slurm = Rendezvous { port: 29_500, store_runs: false, ..expected };
        assert_eq!(of(&slurm).unwrap(), Some(by_slurm));
        // The processes of a Slurm job are a group only if MASTER_ADDR is set.
        assert_eq!(of(&slurm[..3]).unwrap(), None);
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), None);
    }

    #[test]
    fn what_is_missing_or_senseless_is_named() {
        let refused = |pairs: &[(&str, &str)]| of(pairs).unwrap_err().to_string();
        assert_eq!(refused(&[("RANK", "1")]), "RANK is set, but WORLD_SIZE is not");
        assert!(refused(&[("RANK", "1"), ("WORLD_SIZE", "2")]).contains("MASTER_ADDR"));
        assert!(refused(&[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("RANK is 2, but WORLD_SIZE is 2"));
        assert!(refused(&[("RANK", "x"), ("WORLD_SIZE", "2")]).contains("RANK is `x`"));
        let mut port = TORCHRUN;
        port[4].1 = "70000";
        assert!(refused(&port).contains("MASTER_PORT is 70000"));
    }
}
