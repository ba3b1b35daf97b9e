//! A trainer to a checkpoint and back.

use tch::{Device, Kind, Tensor};

use super::Trainer;
use crate::parts::{self, Part};
use crate::{Checkpoint, Header, Optimizer, Outcome, PARAMETERS, Result};

impl Trainer {
    /// Copies the whole state to the host, which waits for the device. `outcome` is what was reported so far. On a rank of a
    /// group it is the rank's part, and all ranks must write theirs to the same path; what is read from there does not depend
    /// on the number of ranks, and any number may resume from it.
    ///
    /// # Errors
    /// What torch reports, for example a failure of the device.
    pub fn checkpoint(&self, outcome: Outcome) -> Result<Checkpoint> {
        let (coming, rng) = self.order.state();
        let header = Header {
            steps: self.steps,
            coming,
            rng,
            outcome,
            origin: self.gaussians.origin,
            ..Header::new(self.dataset.clone(), self.config.clone(), self.backend.name())
        };
        // What has a row per Gaussian, and everything else.
        let mut rows: Vec<(String, &Tensor)> = Vec::new();
        // The layout of a file says nothing of how they are stored in training.
        let rest = self.gaussians.wide_rest()?;
        let mut parameters = self.gaussians.parameters();
        parameters[2] = &rest;
        let names = PARAMETERS.iter().zip(parameters);
        rows.extend(names.map(|(name, t)| (format!("gaussians/{name}"), t)));
        rows.extend(moments(&self.optimizer));
        rows.extend(self.densify.state().into_iter().map(|(name, t)| (format!("densify/{name}"), t)));
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        let mut optimizers = Vec::new();
        if let Some(e) = &self.exposures {
            tensors.push(("exposures".into(), &e.maps));
            tensors.push(("exposures/updates".into(), &e.updates));
            optimizers.push(&e.optimizer);
        }
        if let Some(r) = &self.responses {
            tensors.push(("responses".into(), &r.values));
            tensors.push(("responses/updates".into(), &r.updates));
            optimizers.push(&r.optimizer);
        }
        if let Some(p) = &self.poses {
            tensors.push(("poses".into(), &p.corrections));
            tensors.push(("poses/updates".into(), &p.updates));
            optimizers.push(&p.optimizer);
        }
        tensors.extend(optimizers.into_iter().flat_map(moments));
        for (name, t) in self.average.state() {
            let list = if PARAMETERS.contains(&name) { &mut rows } else { &mut tensors };
            list.push((format!("average/{name}"), t));
        }
        let Some(shares) = &self.gaussians.shares else {
            return Checkpoint::new(header, rows.into_iter().chain(tensors));
        };
        let places = self.gaussians.places()?.f_to_kind(Kind::Int)?.f_view_dtype(Kind::Float)?;
        rows.push((parts::PLACES.into(), &places));
        let (group, count) = (&shares.group, rows.len());
        let header = Header { parts: parts::names(shares.run, self.steps, group.world()), ..header };
        // What every rank has is rank 0's to write.
        let others = tensors.into_iter().filter(|_| group.rank() == 0);
        let saved = Checkpoint::new(header, rows.into_iter().chain(others))?;
        Ok(Checkpoint { part: Some(Part { rank: group.rank(), rows: count }), ..saved })
    }

    /// Restores everything but the parameters.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let device = self.backend.device();
        let head = &checkpoint.header;
        let adam = |optimizer: &mut Optimizer| -> Result<()> {
            for group in &mut optimizer.groups {
                let names: Vec<_> =
                    group.moments().map(|(n, _)| format!("adam/{}/{n}", group.name)).collect();
                for (name, moment) in names.iter().zip(group.moments_mut()) {
                    *moment = checkpoint.tensor(name, device)?.f_to_kind(moment.f_kind()?)?;
                }
            }
            optimizer.steps = head.steps as i64;
            Ok(())
        };
        let (own, gaussians) = (&mut self.optimizer, &self.gaussians);
        let rows = |name: &str| -> Result<Tensor> {
            let whole =
                checkpoint.tensor(name, if gaussians.shares.is_some() { Device::Cpu } else { device })?;
            Ok(gaussians.own(&whole)?.f_to_device(device)?)
        };
        for group in &mut own.groups {
            let names: Vec<_> = group.moments().map(|(n, _)| format!("adam/{}/{n}", group.name)).collect();
            for (name, moment) in names.iter().zip(group.moments_mut()) {
                *moment = rows(name)?.f_to_kind(moment.f_kind()?)?;
            }
        }
        own.steps = head.steps as i64;
        // The strategy reads the rates of the step before.
        self.optimizer.set_rates(self.rates(head.steps));
        if let Some(e) = &mut self.exposures {
            e.maps = checkpoint.tensor("exposures", device)?.f_set_requires_grad(true)?;
            e.updates = checkpoint.tensor("exposures/updates", Device::Cpu)?;
            adam(&mut e.optimizer)?;
        }
        if let Some(r) = &mut self.responses {
            r.values = checkpoint.tensor("responses", device)?.f_set_requires_grad(true)?;
            r.updates = checkpoint.tensor("responses/updates", Device::Cpu)?;
            adam(&mut r.optimizer)?;
        }
        if let Some(p) = &mut self.poses {
            p.corrections = checkpoint.tensor("poses", device)?.f_set_requires_grad(true)?;
            p.updates = checkpoint.tensor("poses/updates", Device::Cpu)?;
            adam(&mut p.optimizer)?;
        }
        let saved = |name: String| checkpoint.has(&name).then(|| rows(&name)).transpose();
        let values =
            checkpoint.has("average/values").then(|| checkpoint.tensor("average/values", Device::Cpu));
        let mut values = values.transpose()?;
        self.average.restore(head.steps, gaussians, &mut |name| match name {
            "values" => Ok(values.take()),
            name => saved(format!("average/{name}")),
        })?;
        self.densify.restore(&mut |name| saved(format!("densify/{name}")))?;
        self.order.restore((head.coming.clone(), head.rng));
        self.steps = head.steps;
        self.before = head.outcome.clone();
        Ok(())
    }

    /// Whether parameters and moments have the same rows, which is not so if a refinement failed half way.
    pub(super) fn is_whole(&self) -> bool {
        let rows = self.gaussians.len() as i64;
        let mut all = self.optimizer.groups.iter().flat_map(|g| g.moments());
        all.all(|(_, moment)| moment.size()[0] == rows)
            && self.gaussians.parameters().iter().all(|p| p.size()[0] == rows)
    }
}

/// The moments of an optimizer by name.
fn moments(optimizer: &Optimizer) -> impl Iterator<Item = (String, &Tensor)> {
    let groups = optimizer.groups.iter();
    groups.flat_map(|group| group.moments().map(|(name, t)| (format!("adam/{}/{name}", group.name), t)))
}
