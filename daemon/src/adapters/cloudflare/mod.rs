//! The `cloudflare` adapter.
