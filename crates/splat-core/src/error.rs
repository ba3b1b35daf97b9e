//! Errors of a call. Each message names the input and the two values that disagree.

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The length of an input does not fit the others.
    #[error("`{input}` has {found} numbers, but {expected} are needed ({why})")]
    Length {
        /// Name of the input, as in the original rasterizer.
        input: &'static str,
        /// Numbers given.
        found: usize,
        /// Numbers needed.
        expected: usize,
        /// What the expected number follows from, such as `P = 5, 3 each`.
        why: String,
    },
    /// A number is NaN or infinite, or outside its range.
    #[error("`{input}`[{index}] is {value}, but {needs}")]
    Value {
        /// Name of the input.
        input: &'static str,
        /// Flat index of the first such number.
        index: usize,
        /// The number, as text.
        value: String,
        /// What is needed instead, such as `must be finite`.
        needs: &'static str,
    },
    /// Two settings contradict each other, or one is out of range.
    #[error("{0}")]
    Settings(String),
}
