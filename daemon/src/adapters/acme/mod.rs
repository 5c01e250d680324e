//! The `acme` adapter.
