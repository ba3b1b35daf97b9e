//! Every test of the specification, in one program: the code that they share is compiled and linked once.

mod bad_input;
mod beyond;
mod determinism;
mod exact_mode;
mod finite_differences;
mod golden;
mod optimize;
mod properties;
mod stages;
mod step;
mod weights;

#[path = "support/differences.rs"]
mod differences;
#[path = "support/golden_case.rs"]
mod golden_case;
#[path = "support/random.rs"]
mod random;
