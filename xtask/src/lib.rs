//! The build driver behind `cargo xtask`: one file per command, each with a clap `Args` and a `run`.
//! `main.rs` parses and dispatches; everything a command needs from the others stands here.

pub mod bench;
pub mod build;
pub mod bundle;
pub mod clean;
pub mod codegen;
mod gather;
mod planned;
pub mod release;
pub mod test;
pub mod test_log;
pub mod tidy;
pub mod verify;
