//! The commands that look at a machine and its toolchains, one file or folder per command, each with a clap `Args` and a
//! `run`. The program `splatwright` runs them anywhere; `cargo xtask` runs the same code inside a clone.

#![deny(missing_docs)]

pub mod cargo;
pub mod commands;
pub mod compile;
pub mod docs;
pub mod doctor;
pub mod explain;
pub mod ext;
pub mod fix;
pub mod hint;
pub mod language;
pub mod plan;
pub mod program;
pub mod provision;
pub mod repository;
pub mod switch;
pub mod torch;
pub mod ui;
pub mod wheel;
pub mod windows;
