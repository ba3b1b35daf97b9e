#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![expect(clippy::needless_doctest_main, reason = "the README shows a whole build script")]

mod find;
mod link;
mod version;

pub use find::{Torch, VARIABLES, include, torch};
pub use link::{Target, for_dependents, link_args, torch_directives};
pub use version::{ROWS, check, tch_of_manifest};
