//! Limits what varies smoothly with the camera's position. The scene could represent that as well, so views keep no more of it
//! than chance explains. Works on small dense matrices and knows neither exposures nor poses.

use tch::{Device, Kind, Tensor};

use crate::Result;

/// Functions of the camera's position that are smooth: polynomials of degree 2, or less if there are few views. Spherical
/// harmonics can imitate an exposure towards each camera, and a scene can bend along with its cameras; held-out views show
/// that this is wrong. What is particular to single photographs has a white spectrum, so the size of its smooth part is
/// known, and that much may stay.
#[derive(Debug)]
pub(super) struct Smooth {
    /// `[N,K]` with orthonormal columns; zero for views that are not trained on.
    basis: Tensor,
    /// Degrees of freedom that are not smooth.
    others: f64,
}

impl Smooth {
    pub(super) fn new(cameras: &[&splat_core::Camera], train: &[usize], device: Device) -> Result<Self> {
        let places: Vec<[f64; 3]> = cameras.iter().map(|c| c.campos.map(f64::from)).collect();
        let count = train.len().max(1) as f64;
        let middle = [0, 1, 2].map(|k| train.iter().map(|&i| places[i][k]).sum::<f64>() / count);
        let polynomials = |i: usize| -> Vec<f64> {
            let [x, y, z] = [0, 1, 2].map(|k| places[i][k] - middle[k]);
            let all = [1.0, x, y, z, x * x, y * y, z * z, x * y, y * z, z * x];
            let kept = match train.len() {
                0..12 => 1,
                12..30 => 4,
                _ => 10,
            };
            all[..kept].to_vec()
        };
        let columns = |k: usize| -> Vec<f64> {
            (0..cameras.len()).map(|i| if train.contains(&i) { polynomials(i)[k] } else { 0.0 }).collect()
        };
        let kept = polynomials(0).len();
        let basis = orthonormal((0..kept).map(columns));
        let used = basis.iter().filter(|column| column.iter().any(|x| *x != 0.0)).count();
        Ok(Self { basis: by_columns(&basis)?.f_to_device(device)?, others: count - used as f64 })
    }

    /// Scales the smooth part of each column of `values` (`[N,W]`, zero for views that are not trained on) down to what chance
    /// explains.
    pub(super) fn limit(&self, values: &mut Tensor) -> Result<()> {
        if self.others < 1.0 {
            return Ok(());
        }
        let smooth = self.basis.f_tr()?.f_mm(values)?;
        let others = values.f_sub(&self.basis.f_mm(&smooth)?)?;
        // Mean squares per degree of freedom; equal while all values are zero.
        let chance = others
            .f_square()?
            .f_sum_dim_intlist([0i64].as_slice(), true, Kind::Float)?
            .f_div_scalar(self.others)?;
        let found = smooth.f_square()?.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
        let kept =
            chance.f_add_scalar(1e-20)?.f_div(&found.f_add_scalar(1e-20)?)?.f_sqrt()?.f_clamp_max(1.0)?;
        let surplus = smooth.f_sub(&smooth.f_mul(&kept)?)?;
        let _ = values.f_sub_(&self.basis.f_mm(&surplus)?)?;
        Ok(())
    }
}

/// Gram-Schmidt; a column that depends on those before it becomes zero.
pub(super) fn orthonormal(columns: impl Iterator<Item = Vec<f64>>) -> Vec<Vec<f64>> {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut column in columns {
        let before = norm(&column);
        // Twice, against rounding.
        for other in basis.iter().chain(&basis) {
            let along: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
            column.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let left = norm(&column);
        let scale = if left > 1e-6 * before { 1.0 / left } else { 0.0 };
        column.iter_mut().for_each(|x| *x *= scale);
        basis.push(column);
    }
    basis
}

/// `[rows,columns]` on the host.
pub(super) fn by_columns(columns: &[Vec<f64>]) -> Result<Tensor> {
    let numbers: Vec<f32> = columns.iter().flatten().map(|&x| x as f32).collect();
    Ok(Tensor::f_from_slice(&numbers)?.f_view([columns.len() as i64, -1])?.f_tr()?.f_contiguous()?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FLOATS, around, largest, refs};
    use super::*;
    use crate::random::tests::Random;

    /// A smooth part shrinks to what chance explains; noise stays.
    #[test]
    fn smooth_parts_are_limited_by_chance() {
        let cameras = around(64);
        let all: Vec<usize> = (0..64).collect();
        let smooth = Smooth::new(&refs(&cameras), &all, Device::Cpu).unwrap();
        let white = Random::new(4).normal(&[64, 1]);
        let mut kept = white.copy();
        smooth.limit(&mut kept).unwrap();
        assert!(largest(&(&kept - &white)) < 0.5 * largest(&white), "chance stays, within its own spread");
        let place: Vec<f32> = cameras.iter().map(|c| c.campos[0] + c.campos[1] * c.campos[2]).collect();
        let mut values = &white * 0.01 + Tensor::from_slice(&place).view([64, 1]);
        smooth.limit(&mut values).unwrap();
        assert!(largest(&values) < 0.1, "{}", largest(&values));
        let mut zero = Tensor::zeros([64, 3], FLOATS);
        smooth.limit(&mut zero).unwrap();
        assert_eq!(largest(&zero), 0.0);
    }
}
