//! Around the outside: each layer is a `World` that wraps another.

pub mod audit;
#[cfg(feature = "dev")]
pub mod crash;
pub mod deadline;
pub mod fence;
pub mod meter;
