//! Tests that need more than one crate; the library is empty.
