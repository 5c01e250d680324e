//! Stories: the programs as users run them, against peers on loopback.

mod boundaries;
mod peers;
mod rejection;
mod separation;
mod stage;
