//! Provisioning against what goes wrong: two builds at once, kill -9 at every step, altered and truncated
//! downloads, full disks, read-only caches, hostile archives. Tiny wheels and archives made on the spot stand
//! in for the real ones; only `network` uses a package index.

mod archives;
mod disks;
mod fixture;
mod network;
mod offline;
mod original;
mod packages;
mod viewer;
