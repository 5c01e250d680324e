//! claviger-core: decides and steers.

pub mod domain;
pub mod ports;
