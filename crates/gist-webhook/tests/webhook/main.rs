//! What a user would notice, with real receivers on loopback.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, helpers included")]

mod client;
mod dispatcher;
mod guard;
mod kill;
mod receiver;
mod rig;
mod schedule;
mod signature;
mod spool;
