//! `clavigerctl`: ask claviger, and ask something of it.
//!
//! [`args`] only defines, [`client`] talks, [`mod@print`] alone writes, each file of [`commands`] acts. What the daemon answers is
//! made of the views in `claviger_config::admin`; there is no second opinion here.

mod args;
mod client;
mod cluster;
mod columns;
mod commands;
mod escape;
mod failure;
mod fleet;
mod journal;
mod print;
mod run;
mod table;
mod target;
mod way;
mod when;

fn main() -> std::process::ExitCode {
    run::run(std::env::args_os().collect())
}
