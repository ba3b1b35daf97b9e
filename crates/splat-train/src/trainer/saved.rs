//! A trainer to a checkpoint and back.

use tch::{Device, Tensor};

use super::Trainer;
use crate::{Checkpoint, Header, Optimizer, Outcome, PARAMETERS, Result};

impl Trainer {
    /// Copies the whole state to the host, which waits for the device. `outcome` is what was reported so far.
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
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        let names = PARAMETERS.iter().zip(self.gaussians.parameters());
        tensors.extend(names.map(|(name, t)| (format!("gaussians/{name}"), t)));
        let mut optimizers = vec![&self.optimizer];
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
        for group in optimizers.into_iter().flat_map(|o| &o.groups) {
            tensors.push((format!("adam/{}/exp_avg", group.name), &group.exp_avg));
            tensors.push((format!("adam/{}/exp_avg_sq", group.name), &group.exp_avg_sq));
        }
        tensors.extend(self.average.state().into_iter().map(|(name, t)| (format!("average/{name}"), t)));
        tensors.extend(self.densify.state().into_iter().map(|(name, t)| (format!("densify/{name}"), t)));
        Checkpoint::new(header, tensors)
    }

    /// Restores everything but the parameters.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let device = self.backend.device();
        let head = &checkpoint.header;
        let adam = |optimizer: &mut Optimizer| -> Result<()> {
            for group in &mut optimizer.groups {
                group.exp_avg = checkpoint.tensor(&format!("adam/{}/exp_avg", group.name), device)?;
                group.exp_avg_sq = checkpoint.tensor(&format!("adam/{}/exp_avg_sq", group.name), device)?;
            }
            optimizer.steps = head.steps as i64;
            Ok(())
        };
        adam(&mut self.optimizer)?;
        // The strategy reads the rates of the step before.
        self.optimizer.set_rates(self.config.rates.at(head.steps, self.extent));
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
        let saved =
            |name: String| checkpoint.has(&name).then(|| checkpoint.tensor(&name, device)).transpose();
        self.average.restore(head.steps, &self.gaussians, &mut |name| saved(format!("average/{name}")))?;
        self.densify.restore(&mut |name| saved(format!("densify/{name}")))?;
        self.order.restore((head.coming.clone(), head.rng));
        self.steps = head.steps;
        self.before = head.outcome.clone();
        Ok(())
    }

    /// Whether parameters and moments have the same rows, which is not so if a refinement failed half way.
    pub(super) fn is_whole(&self) -> bool {
        let rows = self.gaussians.len() as i64;
        let mut all = self.optimizer.groups.iter().flat_map(|g| [&g.exp_avg, &g.exp_avg_sq]);
        all.all(|moment| moment.size()[0] == rows)
            && self.gaussians.parameters().iter().all(|p| p.size()[0] == rows)
    }
}
