//! Gaussians that are shared out over the ranks of a group: each rank owns some rows of the whole.
//!
//! Every row has a place in the whole, as it would lie on one rank. What a strategy decides, it decides for the whole, from
//! numbers per row that are gathered on every rank (a few bytes each, where a row itself has hundreds); what it draws goes by
//! places. So any number of ranks takes the same decisions as one. Rows change their rank only to even out the shares.
//!
//! Without a group the functions here do what is left to do: nothing is gathered, and all rows are a rank's own.

use std::time::{SystemTime, UNIX_EPOCH};

use splat_dist::Group;
use tch::{Device, Kind, Tensor};

use crate::gaussians::to_host;
use crate::{Gaussians, Optimizer, PARAMETERS, Result, Rows};

/// Shares are evened out when they differ by more than this share of their mean.
const UNEVEN: f64 = 0.05;
/// Rows that are gathered on the host at a time.
const AT_ONCE: i64 = 1 << 20;

/// Which rows of the whole a rank owns.
#[derive(Debug)]
pub(crate) struct Shares {
    pub(crate) group: Group,
    /// `[P]` `Int64`, ascending.
    places: Tensor,
    /// The number of rows of all ranks together.
    total: usize,
    /// A number that runs of other groups do not have.
    pub(crate) run: i64,
}

impl Clone for Shares {
    fn clone(&self) -> Self {
        Self {
            group: self.group.clone(),
            places: self.places.shallow_clone(),
            total: self.total,
            run: self.run,
        }
    }
}

impl Shares {
    /// Every `world`-th row, so that each rank sees about as much of every view.
    pub(crate) fn new(group: Group, total: usize) -> Result<Self> {
        let (rank, world) = (group.rank() as i64, group.world() as i64);
        let options = (Kind::Int64, group.device());
        // Up to the first multiple of `world` past the end, so that a rank may have no rows.
        let count = (total as i64 - rank + world - 1).max(0) / world;
        let places = Tensor::f_arange(count, options)?.f_mul_scalar(world)?.f_add_scalar(rank)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let run = group.all_gather(now)?[0];
        Ok(Self { group, places, total, run })
    }

    /// A tensor of the whole cut down to this rank's rows; it may be on another device.
    pub(crate) fn own(&self, whole: &Tensor) -> Result<Tensor> {
        Ok(whole.f_index_select(0, &self.places.f_to_device(whole.device())?)?)
    }

    fn whole(&self, own: &Tensor) -> Result<Tensor> {
        let (rows, places) = (self.group.all_rows(own)?, self.group.all_rows(&self.places)?);
        Ok(rows.f_zeros_like()?.f_index_copy(0, &places, &rows)?)
    }

    /// The whole of a tensor on the host of rank 0; `None` elsewhere. In pieces, so that rank 0 needs little more memory of its
    /// device than the others.
    pub(crate) fn gather(&self, own: &Tensor) -> Result<Option<Tensor>> {
        let (group, world) = (&self.group, self.group.world());
        let counts = group.all_gather(self.places.size()[0])?;
        let most = counts.iter().copied().max().unwrap_or(0);
        let mut shape = own.size();
        shape[0] = self.total as i64;
        let mut whole = match group.rank() {
            0 => Some(Tensor::f_zeros(shape.as_slice(), (own.f_kind()?, Device::Cpu))?),
            _ => None,
        };
        let piece = |tensor: &Tensor, from: i64| -> Result<Tensor> {
            let part = |count: i64| (count - from).clamp(0, AT_ONCE);
            let mut send = vec![0; world];
            send[0] = part(counts[group.rank()]);
            let receive =
                if group.rank() == 0 { counts.iter().map(|&n| part(n)).collect() } else { vec![0; world] };
            let own = tensor.f_narrow(0, from.min(tensor.size()[0]), send[0])?;
            Ok(group.all_to_all(&own, &send, &receive)?.f_to_device(Device::Cpu)?)
        };
        for from in (0..most).step_by(AT_ONCE as usize) {
            let (rows, places) = (piece(own, from)?, piece(&self.places, from)?);
            if let Some(whole) = &mut whole {
                let _ = whole.f_index_copy_(0, &places, &rows)?;
            }
        }
        group.check()?;
        Ok(whole)
    }

    /// This rank's part of a rearrangement of the whole: each new row belongs to the rank that has the row it comes from.
    fn part(&self, rows: &Rows) -> Result<(Rows, Tensor)> {
        let device = self.places.device();
        let own = Tensor::f_arange(self.places.size()[0], (Kind::Int64, device))?;
        let at = Tensor::f_full([self.total as i64], -1, (Kind::Int64, device))?
            .f_index_copy(0, &self.places, &own)?
            .f_index_select(0, &rows.index)?;
        let places = at.f_ge(0)?.f_nonzero()?.f_view([-1])?;
        let old = places.f_lt(rows.fresh_from)?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        Ok((Rows { index: at.f_index_select(0, &places)?, fresh_from: old }, places))
    }
}

impl Gaussians {
    /// The number of Gaussians of all ranks together; without a group [`Gaussians::len`].
    #[must_use]
    pub fn total(&self) -> usize {
        self.shares.as_ref().map_or_else(|| self.len(), |shares| shares.total)
    }

    /// The places of this rank's rows in the whole, `[P]` `Int64`, ascending; without a group 0 to `P - 1`.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn places(&self) -> Result<Tensor> {
        match &self.shares {
            Some(shares) => Ok(shares.places.shallow_clone()),
            None => Ok(Tensor::f_arange(self.len() as i64, (Kind::Int64, self.device()))?),
        }
    }

    /// The rows of all ranks in the order of their places, from this rank's rows `own` (`[P,..]`), on every rank.
    ///
    /// # Errors
    /// A rank that is lost; out of device memory.
    pub fn whole(&self, own: &Tensor) -> Result<Tensor> {
        self.shares.as_ref().map_or_else(|| Ok(own.shallow_clone()), |shares| shares.whole(own))
    }

    /// This rank's rows of a tensor for the whole.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn own(&self, whole: &Tensor) -> Result<Tensor> {
        self.shares.as_ref().map_or_else(|| Ok(whole.shallow_clone()), |shares| shares.own(whole))
    }

    /// Rearranges the rows of the whole, here and in `optimizer`: `rows` go by places and are the same on every rank. A copy
    /// stays on the rank of the row that it is a copy of, until the shares become uneven.
    ///
    /// # Errors
    /// A row that does not exist; a rank that is lost; out of device memory.
    pub fn rearrange(&mut self, optimizer: &mut Optimizer, rows: &Rows) -> Result<()> {
        let Some(shares) = &mut self.shares else {
            self.select(rows)?;
            return optimizer.select(rows);
        };
        let (own, places) = shares.part(rows)?;
        (shares.places, shares.total) = (places, rows.index.size()[0] as usize);
        self.select(&own)?;
        optimizer.select(&own)?;
        self.even_out(optimizer)
    }

    /// Keeps only the rows that `group` leaves to this rank; all ranks have the same Gaussians before.
    pub(crate) fn share_out(&mut self, group: &Group) -> Result<()> {
        let shares = Shares::new(group.clone(), self.len())?;
        let index = shares.places.f_to_device(self.device())?;
        self.select(&Rows { fresh_from: index.size()[0], index })?;
        self.shares = Some(shares);
        Ok(())
    }

    /// The same on another device.
    pub(crate) fn into_device(self, device: Device) -> Result<Self> {
        let (shares, origin) = (self.shares.clone(), self.origin);
        let mut moved = Vec::with_capacity(PARAMETERS.len());
        for parameter in self.parameters() {
            moved.push(parameter.f_detach()?.f_to_device(device)?);
        }
        let moved = Self::leaves(moved.try_into().expect("six names"))?;
        Ok(Self { shares, origin, ..moved })
    }

    /// Moves rows from ranks that have too many to those that have too few, if the shares are uneven.
    fn even_out(&mut self, optimizer: &mut Optimizer) -> Result<()> {
        let Some(shares) = self.shares.clone() else { return Ok(()) };
        let (group, rank) = (&shares.group, shares.group.rank());
        let counts = group.all_gather(self.len() as i64)?;
        let mean = shares.total as f64 / counts.len() as f64;
        let spread = counts.iter().max().zip(counts.iter().min()).map_or(0, |(most, least)| most - least);
        if spread as f64 <= (UNEVEN * mean).max(1.0) {
            return Ok(());
        }
        let moves = evened(&counts);
        let send = moves[rank].clone();
        let receive: Vec<i64> = moves.iter().map(|from| from[rank]).collect();
        let kept = counts[rank] - send.iter().sum::<i64>();
        let _guard = tch::no_grad_guard();
        let moved = |tensor: &Tensor| -> Result<Tensor> {
            let tensor = tensor.f_detach()?;
            let leaving = tensor.f_narrow(0, kept, counts[rank] - kept)?;
            let come = group.all_to_all(&leaving, &send, &receive)?;
            Ok(Tensor::f_cat(&[tensor.f_narrow(0, 0, kept)?, come], 0)?)
        };
        let places = moved(&shares.places)?;
        let (places, order) = places.f_sort(0, false)?;
        for parameter in self.parameters_mut() {
            *parameter = moved(parameter)?.f_index_select(0, &order)?.f_set_requires_grad(true)?;
        }
        for moment in optimizer.rows_mut() {
            *moment = moved(moment)?.f_index_select(0, &order)?;
        }
        self.shares = Some(Shares { places, ..shares });
        Ok(())
    }

    /// All Gaussians on the host of rank 0, `None` elsewhere; without a group as [`Gaussians::download`]. Every rank must
    /// call it.
    ///
    /// # Errors
    /// A rank that is lost; what torch reports.
    pub fn download_whole(&self) -> Result<Option<splat_scene::Gaussians>> {
        let Some(shares) = &self.shares else { return self.download().map(Some) };
        let mut whole = Vec::with_capacity(PARAMETERS.len());
        for parameter in self.parameters() {
            whole.extend(shares.gather(&parameter.f_detach()?)?);
        }
        let Ok(whole) = <[Tensor; 6]>::try_from(whole) else { return Ok(None) };
        let whole = Self::leaves(whole)?;
        Self { origin: self.origin, ..whole }.download().map(Some)
    }
}

/// How many rows go from each rank to each other one, so that shares differ by one at most.
fn evened(counts: &[i64]) -> Vec<Vec<i64>> {
    let world = counts.len() as i64;
    let total: i64 = counts.iter().sum();
    let goal = |rank: usize| total / world + i64::from((rank as i64) < total % world);
    let mut lacking: Vec<i64> = counts.iter().enumerate().map(|(rank, n)| (goal(rank) - n).max(0)).collect();
    let mut moves = vec![vec![0; counts.len()]; counts.len()];
    for (from, row) in moves.iter_mut().enumerate() {
        let mut left = (counts[from] - goal(from)).max(0);
        for (to, lacking) in lacking.iter_mut().enumerate() {
            let n = left.min(*lacking);
            (left, *lacking, row[to]) = (left - n, *lacking - n, n);
        }
    }
    moves
}

/// A short description of the whole that ranks compare before they share it: its size and a checksum of each parameter.
pub(crate) fn described(gaussians: &Gaussians) -> Result<String> {
    let mut sums = Vec::with_capacity(PARAMETERS.len());
    for parameter in gaussians.parameters() {
        let bits = to_host(parameter)?.iter().fold(0_u32, |all, x| all.rotate_left(1) ^ x.to_bits());
        sums.push(format!("{bits:08x}"));
    }
    Ok(format!("{} with {}", gaussians.len(), sums.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_evened_out_with_few_moves() {
        assert_eq!(evened(&[4, 4]), [[0, 0], [0, 0]]);
        assert_eq!(evened(&[9, 0, 3]), [[0, 4, 1], [0, 0, 0], [0, 0, 0]].map(Vec::from));
        assert_eq!(evened(&[1, 8, 2]), [[0, 0, 0], [3, 0, 1], [0, 0, 0]].map(Vec::from));
        for counts in [[10, 0, 0, 1], [3, 7, 11, 200], [0, 0, 0, 2]] {
            let moves = evened(&counts);
            let after: Vec<i64> = (0..4)
                .map(|r| counts[r] - moves[r].iter().sum::<i64>() + moves.iter().map(|m| m[r]).sum::<i64>())
                .collect();
            assert!(after.iter().max().unwrap() - after.iter().min().unwrap() <= 1, "{after:?}");
        }
    }
}
