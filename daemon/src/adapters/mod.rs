//! One folder per product, one file per port that it plays. Vendor types stop here.
pub mod acme;
pub mod aside;
pub mod aws_kms;
pub mod clock;
pub mod cloudflare;
pub mod craft;
pub mod directory;
pub mod dns;
pub mod files;
pub mod http01;
pub mod kubernetes;
pub mod sqlite;
