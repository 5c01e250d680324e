//! The `dns` adapter.
