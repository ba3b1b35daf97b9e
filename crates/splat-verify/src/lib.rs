//! Compares engines of 3D Gaussian Splatting: one call to each, the same inputs, images and every gradient.
//!
//! The program `splat-verify` proves a build with it, and the parity tests hold engines against the CPU engine. Scenes are
//! made by formulas or read from golden files of the original rasterizer. An engine is tried by its whole calls and, through
//! [`staged`], by its stages. Nothing here decides what a build is or prints.
#![deny(missing_docs)]

pub mod answer;
pub mod compare;
pub mod demo;
pub mod golden;
pub mod scenes;
pub mod staged;

/// The golden case that `splat-verify` uses, compiled in: 200 Gaussians, SH degree 3, 64x48 pixels.
pub const EMBEDDED_GOLDEN: &[u8] = include_bytes!("../data/golden/a_sh3.npz");
