//! Stories: the programs as users run them, against peers on loopback.

mod boundaries;
#[path = "../peers/esdk/mod.rs"]
pub mod esdk;
mod ground;
mod issue;
mod kms_peers;
mod peers;
mod rejection;
mod renew;
mod restart;
mod separation;
mod stage;
