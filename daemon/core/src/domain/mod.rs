//! Decides. No async, no clock, no dice, no logger, no vendor.

pub mod effect;
pub mod failure;
