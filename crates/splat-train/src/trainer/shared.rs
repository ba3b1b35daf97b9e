//! One round of a step on several ranks: every rank projects its rows for the views of all, each view's records travel to the
//! rank that renders it, and their gradients travel back (Zhao et al. 2024, Grendel-GS). The sums are those of one rank on the
//! same views, in another order.

use serde::Serialize;
use splat_dist::Group;
use splat_tch::{
    Camera, Extra, Projected, Projection, RECORD, RECORD_GRADIENT, Settings, gradients, project, rasterize,
};
use tch::{Kind, Tensor};

use super::Trainer;
use super::pass::{Compared, Pass, Seen};
use crate::profile::Phase;
use crate::{Error, Gaussians, Outcome, Probe, Result, Wants, memory_in_use_mib};

/// Cameras that an engine takes in one call.
const MOST_CAMERAS: usize = 32;
/// Added to the counts by a rank that was asked to stop: more than any number of records.
const STOP: i64 = 1 << 40;

/// This rank's rows as the cameras of a round see them.
struct Round {
    cameras: Vec<Camera>,
    /// Projections for runs of cameras of one size, each with the number of its cameras.
    projections: Vec<(Projection, i64)>,
    /// For each projection the records that its cameras see, `Int64`, numbered over its cameras and rows.
    seen: Vec<Tensor>,
    /// Records that go to each rank, and that come from it.
    send: Vec<i64>,
    receive: Vec<i64>,
}

/// What a rank sends back of each record: the gradient, and the weights that the strategy wants.
struct Answer {
    compared: Option<Compared>,
    /// `[N,12 + weights]`.
    rows: Tensor,
    /// Gradients of what is learned of images.
    learned: Vec<Tensor>,
}

/// How a rank of a group fared in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RankReport {
    /// The rank.
    pub rank: usize,
    /// Its host.
    pub host: String,
    /// Gaussians that it owns.
    pub gaussians: i64,
    /// Memory in use on its device at the end, in MiB; 0 if it is unknown.
    pub memory_mib: i64,
    /// The share of the training time in which its host waited for its device and for the other ranks.
    pub waiting_share: f64,
    /// The share in which it exchanged tensors; on a GPU, in which it queued that.
    pub exchange_share: f64,
    /// MiB that it sent to other ranks.
    pub sent_mib: f64,
}

impl Trainer {
    /// How the ranks of the group fared in a run with this outcome, on every rank; empty without a group. All must call it.
    ///
    /// # Errors
    /// A rank that is lost.
    pub fn rank_reports(&self, outcome: &Outcome) -> Result<Vec<RankReport>> {
        let Some(shares) = &self.gaussians.shares else { return Ok(Vec::new()) };
        let (group, times) = (&shares.group, shares.group.times());
        let share = |seconds: f64| (1e6 * seconds / outcome.train_seconds.max(1e-9)) as i64;
        let gaussians = group.all_gather(self.gaussians.len() as i64)?;
        let memory = group.all_gather(memory_in_use_mib(&self.backend).map_or(0, |mib| mib as i64))?;
        let waiting = group.all_gather(share(times.waiting))?;
        let exchange = group.all_gather(share(times.exchanging))?;
        let sent = group.all_gather(times.bytes as i64)?;
        let report = |rank: usize| RankReport {
            rank,
            host: group.host(rank).to_owned(),
            gaussians: gaussians[rank],
            memory_mib: memory[rank],
            waiting_share: waiting[rank] as f64 / 1e6,
            exchange_share: exchange[rank] as f64 / 1e6,
            sent_mib: sent[rank] as f64 / f64::from(1 << 20),
        };
        Ok((0..group.world()).map(report).collect())
    }

    /// The views `views`, one on each rank as far as they go; `thinned` are this rank's Gaussians that the step shows, unless all.
    pub(super) fn shared_pass(
        &mut self,
        step: u64,
        views: &[usize],
        thinned: Option<&Gaussians>,
    ) -> Result<Pass> {
        let group = self.group()?.clone();
        let target = match views.get(group.rank()) {
            Some(&i) => Some((i, self.view(i, step)?.1)),
            None => None,
        };
        Self::mark(&mut self.profile, Phase::Data, self.backend.device())?;
        let wants = self.wants(step);
        let cameras = views.iter().map(|&i| self.round_camera(i, step)).collect::<Result<Vec<_>>>()?;
        let shown = thinned.unwrap_or(&self.gaussians);
        let (round, stop) = self.round(&group, shown, cameras, &self.settings)?;
        self.stop_agreed |= stop;
        let records = round.forth(&group)?;
        let order = self.config.deterministic.then(|| round.order(&group, &self.gaussians)).transpose()?;
        let records = in_order(records, order.as_ref())?;
        Self::mark(&mut self.profile, Phase::Render, self.backend.device())?;
        let mut answer = match target {
            Some((i, target)) => {
                self.answer(step, i, &round.cameras[group.rank()], &records, target, wants)?
            }
            None => Answer {
                compared: None,
                rows: Tensor::f_zeros([0, width(wants)], (Kind::Float, records.device()))?,
                learned: Vec::new(),
            },
        };
        if let Some(order) = &order {
            answer.rows = scatter(order.size()[0], order, &answer.rows)?;
        }
        drop(records);
        Self::mark(&mut self.profile, Phase::Loss, self.backend.device())?;
        let pass = self.back(&group, &round, views, answer, wants)?;
        Self::mark(&mut self.profile, Phase::Backward, self.backend.device())?;
        Ok(pass)
    }

    /// Renders view `i` from its camera `camera` on every rank, from the rows of all.
    pub(super) fn shared_render(&self, camera: Camera, settings: &Settings) -> Result<Tensor> {
        let group = self.group()?;
        let core = camera.core();
        let size = [core.width, core.height];
        let (projection, visible) = self.seen(&self.gaussians, &[&camera], settings)?;
        let rows = visible.f_nonzero()?.f_select(1, 1)?;
        let records = projection.records().f_select(0, 0)?.f_index_select(0, &rows)?;
        let places = self.gaussians.places()?.f_index_select(0, &rows)?;
        let order = group.all_rows(&places)?.f_argsort(0, false)?;
        let records = in_order(group.all_rows(&records)?, Some(&order))?;
        Ok(rasterize(&records, size, settings)?.color)
    }

    /// Renders `views` from their poses in the dataset, one on each rank as far as they go; gives this rank's image.
    pub(super) fn shared_renders(&self, views: &[usize], settings: &Settings) -> Result<Option<Tensor>> {
        let _guard = tch::no_grad_guard();
        let (group, device) = (self.group()?, self.backend.device());
        let camera = |&i: &usize| Ok(Camera::new(self.views.camera(i).core().clone(), device)?);
        let cameras = views.iter().map(camera).collect::<Result<Vec<_>>>()?;
        let (round, _) = self.round(group, &self.gaussians, cameras, settings)?;
        let records = round.forth(group)?;
        let records = in_order(records, Some(&round.order(group, &self.gaussians)?))?;
        let Some(camera) = round.cameras.get(group.rank()) else { return Ok(None) };
        Ok(Some(rasterize(&records, [camera.core().width, camera.core().height], settings)?.color))
    }

    /// The group that the rows are shared out over.
    pub(super) fn group(&self) -> Result<&Group> {
        let shares = self.gaussians.shares.as_ref();
        shares.map(|s| &s.group).ok_or_else(|| Error::Settings("the trainer has no group".into()))
    }

    fn round_camera(&self, i: usize, step: u64) -> Result<Camera> {
        match self.camera(i, step)? {
            Some(camera) => Ok(camera),
            None => Ok(Camera::new(self.views.camera(i).core().clone(), self.backend.device())?),
        }
    }

    /// The projection, and which rows each camera sees, `[C,P]` `Bool`.
    fn seen(
        &self,
        gaussians: &Gaussians,
        cameras: &[&Camera],
        settings: &Settings,
    ) -> Result<(Projection, Tensor)> {
        let _guard = tch::no_grad_guard();
        let projection = project(&gaussians.raw(&Probe::default(), None), cameras, settings)?;
        let visible = projection.radii()?.f_gt(0)?;
        Ok((projection, visible))
    }

    /// Projects this rank's rows for `cameras`; also whether a rank was asked to stop.
    fn round(
        &self,
        group: &Group,
        gaussians: &Gaussians,
        cameras: Vec<Camera>,
        settings: &Settings,
    ) -> Result<(Round, bool)> {
        let same = |a: &Camera, b: &Camera| {
            let (a, b) = (a.core(), b.core());
            (a.width, a.height, a.model) == (b.width, b.height, b.model)
        };
        let (mut projections, mut masks, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for like in cameras.chunk_by(same) {
            for some in like.chunks(MOST_CAMERAS) {
                let some: Vec<&Camera> = some.iter().collect();
                let (projection, visible) = self.seen(gaussians, &some, settings)?;
                counts.push(visible.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Int64)?);
                masks.push(visible);
                projections.push((projection, some.len() as i64));
            }
        }
        let idle = group.world() - cameras.len();
        counts.push(Tensor::f_zeros([idle as i64], (Kind::Int64, group.device()))?);
        let counts = Tensor::f_cat(&counts, 0)?.f_add_scalar(if self.asked_to_stop { STOP } else { 0 })?;
        let rows = |mask: &Tensor| Ok(mask.f_reshape([-1])?.f_nonzero()?.f_view([-1])?);
        let choose = || masks.iter().map(rows).collect::<Result<Vec<_>>>();
        let (mut send, mut receive, seen) = group.counts_while(&counts, choose)?;
        let stop = receive.iter().any(|n| *n >= STOP);
        send.iter_mut().chain(&mut receive).for_each(|n| *n %= STOP);
        Ok((Round { cameras, projections, seen: seen?, send, receive }, stop))
    }

    /// Renders this rank's view from its records, compares it, and goes back to the records.
    fn answer(
        &self,
        step: u64,
        i: usize,
        camera: &Camera,
        records: &Tensor,
        target: crate::Target,
        wants: Wants,
    ) -> Result<Answer> {
        let size = [camera.core().width, camera.core().height];
        let image = rasterize(records, size, &self.settings)?;
        let color = image.color.f_detach()?.f_set_requires_grad(true)?;
        let inv_depth = image.inv_depth.f_detach()?.f_set_requires_grad(true)?;
        let (total, shown) = self.compare(step, i, &color, &inv_depth, &target)?;
        let errors = self.error_image(wants, &shown, &target)?;
        let mut leaves = vec![&color, &inv_depth];
        leaves.extend(self.learned_of_images());
        let mut found = gradients(&total, &leaves)?.into_iter();
        let (of_color, of_depth) = (found.next(), found.next());
        let of_records = image.backward(of_color.as_ref(), of_depth.as_ref(), wants.absolute)?;
        let mut columns = vec![of_records];
        let mut column = |weights: Option<Tensor>| -> Result<()> {
            columns.extend(weights.map(|w| w.f_view([-1, 1])).transpose()?);
            Ok(())
        };
        column(image.weight_sum)?;
        column(image.weight_max)?;
        if let Some(errors) = errors {
            column(rasterize(records, size, &self.blaming(errors))?.weight_image)?;
        }
        let given: i64 = columns.iter().map(|t| t.size()[1]).sum();
        if given < width(wants) {
            let filling = [records.size()[0], width(wants) - given];
            columns.push(Tensor::f_zeros(filling, (Kind::Float, records.device()))?);
        }
        let compared = Compared { view: i, loss: total.f_detach()?, image: shown.f_detach()?, target };
        Ok(Answer { compared: Some(compared), rows: joined(columns, 1)?, learned: found.collect() })
    }

    /// Takes the gradients of this rank's records back to the Gaussians.
    fn back(
        &self,
        group: &Group,
        round: &Round,
        views: &[usize],
        answer: Answer,
        wants: Wants,
    ) -> Result<Pass> {
        let _guard = tch::no_grad_guard();
        let width = width(wants);
        let back = group.all_to_all(&answer.rows, &round.receive, &round.send)?;
        let extra = Extra { means2d: wants.signed, means2d_abs: wants.absolute, view: self.poses.is_some() };
        let (mut of_gaussians, mut seen, mut poses) = (Vec::new(), Vec::new(), Vec::new());
        let (mut camera, mut from) = (0, 0);
        for ((projection, count), rows) in round.projections.iter().zip(&round.seen) {
            let p = projection.records().size()[1];
            let part = back.f_narrow(0, from, rows.size()[0])?;
            from += rows.size()[0];
            let all = scatter(count * p, rows, &part)?.f_view([*count, p, width])?;
            let of_records = all.f_narrow(2, 0, RECORD_GRADIENT)?.f_contiguous()?;
            let mut g = projection.backward(&of_records, extra)?;
            let radii = projection.radii()?;
            for k in 0..*count {
                let of = |t: &Option<Tensor>| t.as_ref().map(|t| t.f_select(0, k)).transpose();
                let mut place = RECORD_GRADIENT;
                let mut weight = |there: bool| -> Result<Option<Tensor>> {
                    let column = there.then(|| all.f_select(0, k)?.f_select(1, place)).transpose()?;
                    place += i64::from(there);
                    Ok(column)
                };
                seen.push(Seen {
                    view: views[camera + k as usize],
                    radii: radii.f_select(0, k)?.f_contiguous()?,
                    means2d: of(&g.means2d)?,
                    means2d_abs: of(&g.means2d_abs)?,
                    weight_sum: weight(wants.weights)?,
                    weight_max: weight(wants.weights)?,
                    weight_error: weight(wants.errors)?,
                    exposure: None,
                    response: None,
                    pose: None,
                });
            }
            poses.extend(g.view.take());
            super::step::add(&mut of_gaussians, parameters(g)?)?;
            camera += *count as usize;
        }
        self.share_learned(group, round, &mut seen, answer.learned, &poses)?;
        Ok(Pass { compared: answer.compared, of_gaussians: Some(of_gaussians), seen })
    }

    /// Gives every rank the gradients of what is learned for the views of all: each rank keeps all of it, and updates it alike.
    fn share_learned(
        &self,
        group: &Group,
        round: &Round,
        seen: &mut [Seen],
        own: Vec<Tensor>,
        poses: &[Tensor],
    ) -> Result<()> {
        // The gradient of view `i` has only the rows of that view, or of its camera; so that views of one camera can be told
        // apart, each has a place of its own.
        let mut learned = own.into_iter();
        let mut share = |of: &Tensor| -> Result<Tensor> {
            let mut shape = of.size();
            shape.insert(0, seen.len() as i64);
            let mut all = Tensor::f_zeros(shape.as_slice(), (Kind::Float, of.device()))?;
            if let Some(gradient) = learned.next().filter(Tensor::defined) {
                all.f_select(0, group.rank() as i64)?.f_copy_(&gradient)?;
            }
            group.all_reduce(&mut all)?;
            Ok(all)
        };
        let exposures = self.exposures.as_ref().map(|e| share(&e.maps)).transpose()?;
        let responses = self.responses.as_ref().map(|r| share(&r.values)).transpose()?;
        let mut of_poses = None;
        if let Some(learned) = self.poses.as_ref().filter(|_| !poses.is_empty()) {
            let mut views = Tensor::f_cat(poses, 0)?;
            group.all_reduce(&mut views)?;
            of_poses = Some((learned, views));
        }
        for (k, seen) in seen.iter_mut().enumerate() {
            let of = |all: &Option<Tensor>| all.as_ref().map(|all| all.f_select(0, k as i64)).transpose();
            (seen.exposure, seen.response) = (of(&exposures)?, of(&responses)?);
            if let (Some((poses, views)), Some(pose)) = (&of_poses, round.cameras[k].pose()) {
                // The header's matrices are column-major.
                let gradient = views.f_select(0, k as i64)?.f_view([4, 4])?.f_tr()?;
                let along =
                    tch::with_grad(|| -> Result<Tensor> { Ok(pose.f_mul(&gradient)?.f_sum(Kind::Float)?) })?;
                seen.pose = gradients(&along, &[&poses.corrections])?.pop();
            }
        }
        Ok(())
    }
}

impl Round {
    /// Sends each camera's visible records to its rank; gives those of this rank's camera.
    fn forth(&self, group: &Group) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut parts = Vec::with_capacity(self.seen.len());
        for ((projection, _), seen) in self.projections.iter().zip(&self.seen) {
            parts.push(gather(&projection.records().f_view([-1, RECORD])?, seen)?);
        }
        Ok(group.all_to_all(&joined(parts, 0)?, &self.send, &self.receive)?)
    }

    /// The order of the records that came by their places in the whole, as they would lie on one rank: of two with the same
    /// depth, the earlier one is in front.
    fn order(&self, group: &Group, gaussians: &Gaussians) -> Result<Tensor> {
        let places = gaussians.places()?;
        let rows = Tensor::f_cat(&self.seen, 0)?.f_remainder(places.size()[0].max(1))?;
        let came = group.all_to_all(&places.f_index_select(0, &rows)?, &self.send, &self.receive)?;
        Ok(came.f_argsort(0, false)?)
    }
}

/// The records in this order.
fn in_order(records: Tensor, order: Option<&Tensor>) -> Result<Tensor> {
    match order {
        Some(order) => gather(&records, order),
        None => Ok(records),
    }
}

/// How many numbers a record brings back: its gradient, and up to three weights with what fills the row up.
fn width(wants: Wants) -> i64 {
    if wants.weights || wants.errors { RECORD } else { RECORD_GRADIENT }
}

/// Rows of a multiple of four floats as rows of 16-byte elements, which torch gathers and scatters several times as fast.
fn wide(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_view_dtype(Kind::ComplexDouble)?)
}

/// The rows `index` of `rows`.
fn gather(rows: &Tensor, index: &Tensor) -> Result<Tensor> {
    Ok(wide(rows)?.f_index_select(0, index)?.f_view_dtype(Kind::Float)?)
}

/// `count` rows of zeros but for `rows` at the places `index`.
fn scatter(count: i64, index: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let all = Tensor::f_zeros([count, rows.size()[1]], (Kind::Float, rows.device()))?;
    let _ = wide(&all)?.f_index_copy_(0, index, &wide(rows)?)?;
    Ok(all)
}

/// The tensors one after the other along `dim`; one alone is not copied.
fn joined(mut tensors: Vec<Tensor>, dim: i64) -> Result<Tensor> {
    match tensors.len() {
        1 => Ok(tensors.remove(0)),
        _ => Ok(Tensor::f_cat(&tensors, dim)?),
    }
}

/// In the order of [`Gaussians::parameters`].
fn parameters(g: Projected) -> Result<Vec<Tensor>> {
    let lost = || Error::Settings("an engine gave no gradient for a parameter".into());
    let [sh, sh_rest, scales, rotations] =
        [g.sh, g.sh_rest, g.scales, g.rotations].map(|t| t.ok_or_else(lost));
    Ok(vec![g.means3d, sh?, sh_rest?, g.opacities, scales?, rotations?])
}
