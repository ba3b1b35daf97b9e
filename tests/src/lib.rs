//! What the cross-crate tests and `splat-verify` share: golden answers, the embedded scene, comparing engines.
//!
//! Holds no product code that other crates call.

pub mod answer;
pub mod compare;
pub mod demo;
pub mod golden;
pub mod scenes;

/// The case that verification uses, embedded: 200 splats, SH degree 3, 64x48 pixels.
pub const EMBEDDED_GOLDEN: &[u8] = include_bytes!("../data/golden/a_sh3.npz");
