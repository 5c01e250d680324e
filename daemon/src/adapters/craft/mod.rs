//! The `craft` adapter.
