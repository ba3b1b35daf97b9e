//! Tests that need more than one crate; the library itself is empty.

/// The programs of the guide for users, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/use-from-your-crate.md")]
struct Guide;
