//! The build driver behind `cargo xtask`: one file per command, each with a clap `Args` and a `run`.
//! `main.rs` parses and dispatches; everything a command needs from the others stands here.

pub mod bench;
pub mod build;
pub mod bundle;
pub mod cargo;
pub mod clean;
pub mod compile;
pub mod doctor;
pub mod explain;
pub mod ext;
pub mod hint;
mod list;
pub mod plan;
pub mod provision;
pub mod switch;
mod switch_cuda;
mod switch_shell;
pub mod test;
pub mod test_log;
pub mod tidy;
pub mod torch;
pub mod ui;
pub mod verify;
pub mod wheel;
pub mod windows;
