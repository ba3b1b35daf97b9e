//! The build driver behind `cargo xtask`: one file per command, each with a clap `Args` and a `run`.
//! `main.rs` parses and dispatches; everything a command needs from the others stands here.

pub mod cargo;
pub mod doctor;
pub mod hint;
pub mod provision;
pub mod ui;
