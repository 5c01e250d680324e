//! Stories: the programs as users run them, against peers on loopback.

#[path = "../peers/esdk/mod.rs"]
pub mod esdk;

mod boundaries;
mod command_line;
mod customers;
mod done_when;
mod first_screen;
mod hostnames;
mod hostnames_edge;
mod hostnames_limits;
mod hostnames_stuck;
mod kms_peers;
mod log;
mod peers;
mod rejection;
mod restart;
mod secrets;
mod separation;
mod sight;
mod stage;
mod unsupported;
