//! The `http01` adapter.
