//! Facts about a machine, the rules that say what fits what, and the plan that follows from them: which torch,
//! CUDA toolkit, host compiler and architectures a build uses, and why.
//!
//! It reads files and asks programs for their version. It writes nothing, prints nothing, never imports torch,
//! never initialises CUDA and never touches the network; it knows no Gaussians.
//!
//! Reading order: [`machine`] (facts), [`request`] (what was asked), [`plan()`] (the answer), [`rows`] and
//! [`managed`] (the tables), [`rules`] (what would go wrong here, by code), [`catalogue`] (what each code means),
//! [`explain`] (which of them a log shows).

#![deny(missing_docs)]

pub mod catalogue;
mod choose;
pub mod config;
pub mod env;
pub mod explain;
pub mod ext;
pub mod ext_setup;
pub mod ext_sources;
pub mod ext_symbols;
pub mod fatbin;
pub mod finding;
pub mod machine;
pub mod managed;
pub mod paths;
pub mod plan;
pub mod probe;
pub mod request;
pub mod rows;
pub mod rules;
pub mod tables;
pub mod torch_checks;
pub mod version;
pub mod wheels;
pub mod windows_env;

pub use env::Env;
pub use finding::{Finding, Severity};
pub use machine::{Fact, Machine};
pub use managed::ManagedItem;
pub use plan::{Choice, Explained, Plan, Sources, plan};
pub use probe::probe;
pub use request::{EngineName, Repo, Request, Settings};
pub use rows::Row;
pub use version::Version;
