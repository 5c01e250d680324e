//! The `sqlite` adapter.
