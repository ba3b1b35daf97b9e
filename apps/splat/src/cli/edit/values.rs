//! The values of `splat edit`'s options.

use splat_scene::Region;

use crate::cli::common::direction;

/// How many Gaussians are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    Count(usize),
    Percent(f64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Up {
    Direction([f64; 3]),
    Cameras,
}

/// Finite numbers, as many as the array has.
fn list<const N: usize>(text: &str) -> Option<[f64; N]> {
    let found: Option<Vec<f64>> =
        text.split(',').map(|x| x.trim().parse().ok().filter(|x: &f64| x.is_finite())).collect();
    found?.try_into().ok()
}

pub(super) fn region_box(text: &str) -> Result<Region, String> {
    let [a, b, c, d, e, f] = list(text).ok_or("expected six numbers: two corners as x,y,z,x,y,z")?;
    let (one, other) = ([a, b, c], [d, e, f]);
    let corner = |pick: fn(f64, f64) -> f64| std::array::from_fn(|k| pick(one[k], other[k]));
    Ok(Region::Box { min: corner(f64::min), max: corner(f64::max) })
}

pub(super) fn sphere(text: &str) -> Result<Region, String> {
    let [x, y, z, radius] = list(text).ok_or("expected four numbers: centre and radius as x,y,z,r")?;
    if radius > 0.0 {
        Ok(Region::Sphere { center: [x, y, z], radius })
    } else {
        Err("the radius must be above 0".into())
    }
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    list::<1>(text).map(|[x]| x).filter(|x| *x > 0.0).ok_or_else(|| "expected a number above 0".into())
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let found = list::<1>(text).map(|[x]| x).filter(|x| *x > 0.0 && *x < 1.0);
    found.ok_or_else(|| "expected a number between 0 and 1".into())
}

pub(super) fn amount(text: &str) -> Result<Amount, String> {
    let percent = |digits: &str| positive(digits).ok().filter(|p| *p <= 100.0).map(Amount::Percent);
    let count = || text.parse().ok().filter(|n| *n > 0).map(Amount::Count);
    let found = text.strip_suffix('%').map_or_else(count, percent);
    found.ok_or_else(|| "expected a number of Gaussians, or a share such as 25%".into())
}

pub(super) fn up(text: &str) -> Result<Up, String> {
    if text == "cameras" { Ok(Up::Cameras) } else { direction(text).map(Up::Direction) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_amounts_are_read() {
        let corners = Region::Box { min: [-1.0, 2.0, 3.0], max: [4.0, 5.0, 6.5] };
        assert_eq!(region_box("4, 2,6.5,-1,5,3"), Ok(corners));
        assert_eq!(sphere("1,2,3,4"), Ok(Region::Sphere { center: [1.0, 2.0, 3.0], radius: 4.0 }));
        assert_eq!((amount("7"), amount("12.5%")), (Ok(Amount::Count(7)), Ok(Amount::Percent(12.5))));
        assert_eq!((up("cameras"), up("0,0,1")), (Ok(Up::Cameras), Ok(Up::Direction([0.0, 0.0, 1.0]))));
        for wrong in ["0", "0%", "101%", "-3", "x", "1e3", ""] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
        assert!(region_box("1,2,3").is_err() && region_box("1,2,3,4,5,nan").is_err());
        assert!(sphere("1,2,3,0").is_err() && share("1").is_err() && positive("-1").is_err());
    }
}
