//! The backward pass: gradients of a loss for every input of [`crate::forward()`].
//!
//! Here is what goes in and comes out; `sums` adds up the pixels of each splat, `parameters` takes the sums to the
//! inputs. Bit-identical whatever the number of threads.

use rayon::prelude::*;

use crate::{
    Camera, Error, Real, SavedRef, Scene, Settings, Tuning, affine::View, check, parameters::parameters,
    projection::project_all, sums::Frame, tiles::Grid,
};

/// Gradients of the loss for the outputs of forward; `None` means zero.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a, T = f32> {
    /// `[3,H,W]`.
    pub color: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub inv_depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub alpha: Option<&'a [T]>,
    /// `[F,H,W]`.
    pub features: Option<&'a [T]>,
    /// Whether [`Gradients::means2d_abs`] is wanted, which costs a little.
    pub means2d_abs: bool,
}

impl<T> Default for Upstream<'_, T> {
    fn default() -> Self {
        Self { color: None, inv_depth: None, depth: None, alpha: None, features: None, means2d_abs: false }
    }
}

/// Gradients of the loss for the inputs. Rows of splats with radius 0 are exact zeros; every number is
/// finite (one that overflows becomes the largest of its type).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradients<T = f32> {
    /// `[P,3]`, world units.
    pub means3d: Vec<T>,
    /// `[P,3]` for the projected centre in NDC units (pixel gradient times half the image size); z = 0.
    pub means2d: Vec<T>,
    /// `[P,2]` sum over the pixels of the absolute gradient for the projected centre, x and y apart, same units
    /// (Ye et al. 2024, AbsGS); empty unless [`Upstream::means2d_abs`].
    pub means2d_abs: Vec<T>,
    /// `[P]`.
    pub opacities: Vec<T>,
    /// `[P,M,3]`, or `[P,1,3]` of split coefficients, zero above the active degree; empty when colours were given.
    pub sh: Vec<T>,
    /// `[P,M-1,3]` of split coefficients, else empty.
    pub sh_rest: Vec<T>,
    /// `[P,3]` for the colour as blended, also when it came from SH.
    pub colors: Vec<T>,
    /// `[P,3]`; zeros when covariances were given.
    pub scales: Vec<T>,
    /// `[P,4]` for the quaternion as given; zeros when covariances were given.
    pub rotations: Vec<T>,
    /// `[P,6]`, also when it came from scales and rotations; off-diagonals count both halves.
    pub cov3d: Vec<T>,
    /// `[P,F]`.
    pub features: Vec<T>,
    /// Of the background's colour.
    pub background: [T; 3],
    /// Of the world-to-camera matrix, laid out like it, last row zero; `proj` and `campos` follow the matrix (see
    /// the header's `splat_backward_args.view`).
    pub view: [T; 16],
}

impl<T: Real> Gradients<T> {
    /// Adds the gradients of another camera that sees the same scene under the same background; `view`, `means2d`
    /// and `means2d_abs` belong to one camera and stay.
    pub fn add_camera(&mut self, other: &Self) {
        let pairs = [
            (&mut self.means3d, &other.means3d),
            (&mut self.opacities, &other.opacities),
            (&mut self.sh, &other.sh),
            (&mut self.sh_rest, &other.sh_rest),
            (&mut self.colors, &other.colors),
            (&mut self.scales, &other.scales),
            (&mut self.rotations, &other.rotations),
            (&mut self.cov3d, &other.cov3d),
            (&mut self.features, &other.features),
        ];
        for (to, from) in pairs {
            to.par_iter_mut().zip(from).with_min_len(1 << 14).for_each(|(to, from)| *to += *from);
        }
        for (to, from) in self.background.iter_mut().zip(other.background) {
            *to += from;
        }
    }
}

/// Gradients from the inputs of [`crate::forward()`], what it saved, its radii, and the gradients of its
/// outputs.
///
/// Alpha's cap of 0.99 lets the gradient through, as in the original. The original's other formulas that are not
/// the derivative are kept in mode `compat` ([`crate::Derivative`]).
///
/// # Errors
/// [`Error`] as forward; also when `saved`, `radii` or an upstream gradient does not fit the inputs.
pub fn backward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
) -> Result<Gradients<T>, Error> {
    backward_with(scene, camera, settings, saved, radii, upstream, &Tuning::default())
}

/// [`backward()`] with a choice of how to compute; give forward the same.
///
/// # Errors
/// As [`backward()`].
pub fn backward_with<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Result<Gradients<T>, Error> {
    check::inputs(scene, camera, settings)?;
    check::shift(scene, tuning)?;
    let grid = Grid::new(camera.width, camera.height);
    check::saved(&saved, radii, scene.len(), &grid)?;
    check::upstream(upstream, &grid, scene.features.count)?;

    let splats = project_all(scene, camera, settings, tuning, |i| radii[i] > 0);
    let frame = Frame { scene, settings, saved: &saved, upstream, tuning, grid: &grid };
    let sums = frame.sums(&splats);
    let view = View::new(camera, settings.exact);
    let mut out = parameters(scene, &view, settings, tuning, &splats, &sums, upstream.means2d_abs);
    out.background = background(&saved, upstream, &grid);
    Ok(out)
}

/// `color = C + T_final background`, summed over the pixels in a fixed order.
fn background<T: Real>(saved: &SavedRef<T>, upstream: &Upstream<T>, grid: &Grid) -> [T; 3] {
    let Some(color) = upstream.color else { return [T::zero(); 3] };
    let mut out = [T::zero(); 3];
    for (out, plane) in out.iter_mut().zip(color.chunks_exact(grid.pixels())) {
        let part = |(grad, t): (&[T], &[T])| -> f64 {
            grad.iter().zip(t).map(|(g, t)| g.to_f64_exact() * t.to_f64_exact()).sum()
        };
        let parts: Vec<f64> =
            plane.par_chunks(1 << 13).zip(saved.final_t.par_chunks(1 << 13)).map(part).collect();
        round(&[parts.iter().sum()], std::slice::from_mut(out));
    }
    out
}

/// Rounds to the type of the inputs; what is beyond it becomes its largest number, what is undefined 0.
pub(crate) fn round<T: Real>(from: &[f64], to: &mut [T]) {
    let most = T::max_value().to_f64_exact();
    for (to, &from) in to.iter_mut().zip(from) {
        *to = if from.is_nan() { T::zero() } else { T::from_f64_lossy(from.clamp(-most, most)) };
    }
}
