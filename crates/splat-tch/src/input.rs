//! The inputs of a render by name, and tables with one entry for each.

use std::ops::{Index, IndexMut};

/// An input that can receive a gradient. The names are those of the members of `splat_gradients`, which say what each
/// gradient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Means3d,
    Means2d,
    Means2dAbs,
    Opacities,
    Sh,
    ShRest,
    Colors,
    Scales,
    Rotations,
    Cov3d,
    Features,
    Background,
    /// `[C,16]` view matrices, column-major: the poses of the cameras.
    View,
}

impl Input {
    const ALL: [Self; 13] = [
        Self::Means3d,
        Self::Means2d,
        Self::Means2dAbs,
        Self::Opacities,
        Self::Sh,
        Self::ShRest,
        Self::Colors,
        Self::Scales,
        Self::Rotations,
        Self::Cov3d,
        Self::Features,
        Self::Background,
        Self::View,
    ];

    /// Whether an engine reads its values. The others only receive a gradient; the values of the poses reach the engine as
    /// cameras.
    pub(crate) fn is_read(self) -> bool {
        !matches!(self, Self::Means2d | Self::Means2dAbs | Self::View)
    }
}

/// One value per input, in the order of [`Input`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PerInput<T>([T; Input::ALL.len()]);

impl<T> PerInput<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Input, &T)> {
        Input::ALL.into_iter().zip(&self.0)
    }

    pub(crate) fn map<U>(&self, mut f: impl FnMut(Input, &T) -> U) -> PerInput<U> {
        PerInput(Input::ALL.map(|input| f(input, &self[input])))
    }

    /// Stops at the first error.
    pub(crate) fn try_map<U: Default, E>(
        &self,
        mut f: impl FnMut(Input, &T) -> Result<U, E>,
    ) -> Result<PerInput<U>, E> {
        let mut out = PerInput(Input::ALL.map(|_| U::default()));
        for (input, value) in self.iter() {
            out[input] = f(input, value)?;
        }
        Ok(out)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_iter()
    }
}

impl<T> Index<Input> for PerInput<T> {
    type Output = T;

    fn index(&self, input: Input) -> &T {
        &self.0[input as usize]
    }
}

impl<T> IndexMut<Input> for PerInput<T> {
    fn index_mut(&mut self, input: Input) -> &mut T {
        &mut self.0[input as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_the_place_that_its_name_says() {
        let table = PerInput::<u8>::default().map(|input, _| input);
        for (input, named) in table.iter() {
            assert_eq!((input, table[input]), (*named, input));
        }
        assert_eq!(Input::ALL.last().map(|input| *input as usize + 1), Some(Input::ALL.len()));
    }
}
