//! What one sees: metrics, log lines, health.

mod ecs;
pub mod feed;
pub mod health;
pub mod lines;
pub mod log;
pub mod metrics;
pub mod scrape;
