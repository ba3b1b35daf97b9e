//! A finished scene on a device, ready to render: activated once, without gradients.

use splat_tch::{Backend, Color, Shape};
use tch::Tensor;

use crate::Result;

/// `P` activated Gaussians as tensors that require no gradient.
#[derive(Debug)]
pub struct Frozen {
    means: Tensor,
    sh: Tensor,
    opacities: Tensor,
    scales: Tensor,
    rotations: Tensor,
    sh_degree: u32,
    unusable: usize,
}

impl Frozen {
    /// Copies `host` to the device of `backend`. Gaussians with a number that is not finite, which no engine can render, are
    /// left out and counted: see [`unusable`](Self::unusable).
    ///
    /// # Errors
    /// Arrays that disagree in length; out of device memory.
    pub fn new(host: &splat_scene::Gaussians, backend: &Backend) -> Result<Self> {
        let device = backend.device();
        host.check_lengths().map_err(splat_scene::Error::from)?;
        let coeffs = host.coeffs;
        let a = host.activated();
        let tensor = |values: &[f32], each: usize| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view([-1, each as i64])?.f_to_device(device)?)
        };
        let columns =
            [(&a.means, 3), (&a.sh, 3 * coeffs), (&a.opacities, 1), (&a.scales, 3), (&a.rotations, 4)];
        let finite = |i: &usize| {
            columns
                .iter()
                .all(|(values, each)| values[each * i..each * (i + 1)].iter().all(|x| x.is_finite()))
        };
        let p = host.len();
        let usable: Vec<i64> = (0..p).filter(finite).map(|i| i as i64).collect();
        let unusable = p - usable.len();
        let mut tensors = Vec::with_capacity(columns.len());
        let rows = Tensor::f_from_slice(&usable)?.f_to_device(device)?;
        for (values, each) in columns {
            let all = tensor(values, each)?;
            tensors.push(if unusable == 0 { all } else { all.f_index_select(0, &rows)? });
        }
        let [means, sh, opacities, scales, rotations] = tensors.try_into().expect("five columns");
        let sh = sh.f_view([-1, coeffs as i64, 3])?;
        Ok(Self { means, sh, opacities, scales, rotations, sh_degree: host.sh_degree(), unusable })
    }

    /// The input of the rasterizer; render it with [`sh_degree`](Self::sh_degree) in the settings.
    #[must_use]
    pub fn scene(&self) -> splat_tch::Gaussians<'_> {
        let shape = Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations };
        splat_tch::Gaussians::new(&self.means, &self.opacities, Color::Sh(&self.sh), shape)
    }

    /// The degree of the spherical harmonics, 0 to 3.
    #[must_use]
    pub fn sh_degree(&self) -> u32 {
        self.sh_degree
    }

    /// The number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.means.size()[0] as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of Gaussians that were left out because they contain NaN or infinity.
    #[must_use]
    pub fn unusable(&self) -> usize {
        self.unusable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaussians_with_nan_or_infinity_are_left_out_and_counted() {
        let mut host = splat_scene::Gaussians {
            means: (0..9).map(|x| x as f32).collect(),
            sh: vec![0.5; 3 * 3 * 4],
            coeffs: 4,
            opacity_logits: vec![0.0; 3],
            log_scales: vec![0.0; 9],
            rotations: [2.0, 0.0, 0.0, 0.0].repeat(3),
            origin: splat_scene::Origin::default(),
        };
        let whole = Frozen::new(&host, &Backend::cpu()).unwrap();
        assert_eq!((whole.len(), whole.unusable(), whole.sh_degree()), (3, 0, 1));
        // e^200 is infinite.
        host.log_scales[4] = 200.0;
        let part = Frozen::new(&host, &Backend::cpu()).unwrap();
        assert_eq!((part.len(), part.unusable()), (2, 1));
        let numbers = |t: &Tensor| Vec::<f32>::try_from(t.view(-1)).unwrap();
        assert_eq!(numbers(&part.means), [0.0, 1.0, 2.0, 6.0, 7.0, 8.0]);
        assert_eq!(numbers(&part.rotations), [1.0, 0.0, 0.0, 0.0].repeat(2));
        assert_eq!(part.sh.size(), [2, 4, 3]);
        host.rotations.pop();
        assert!(Frozen::new(&host, &Backend::cpu()).unwrap_err().to_string().contains("rotations"));
    }
}
