//! Stories: the programs as users run them, against peers on loopback.

#[path = "../peers/esdk/mod.rs"]
pub mod esdk;

mod boundaries;
mod command_line;
mod company;
mod customers;
mod dev;
mod done_when;
mod faults_acme;
mod first_screen;
mod ground;
mod hooks;
mod hostnames;
mod hostnames_edge;
mod hostnames_limits;
mod hostnames_stuck;
mod issue;
mod keys;
mod kms_peers;
mod kube_peers;
mod log;
mod lost_answers;
mod memory;
mod operator;
mod operator_chart;
mod operator_faults;
mod operator_faults_lease;
mod operator_faults_watches;
mod operator_faults_writes;
mod operator_ingress;
mod operator_outlet;
mod peers;
mod rejection;
mod removal;
mod renew;
mod restart;
mod secrets;
mod separation;
mod sight;
mod stage;
mod state;
mod unsupported;
mod wrapped;
