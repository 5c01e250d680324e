//! What one sees: metrics, log lines, health.

pub mod feed;
pub mod health;
pub mod log;
pub mod metrics;
pub mod scrape;
