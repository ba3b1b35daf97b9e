//! The tests of the operation in one program: the code that they share is compiled and linked once. `memory` and `cuda` stand
//! alone: the one measures its process, the other has the GPU to itself.

mod beyond;
mod devices;
mod failures;
mod gradients;
mod graph;
mod inputs;
mod optimize;
mod stages;
mod step;
mod weights;

#[path = "../common/mod.rs"]
mod common;
