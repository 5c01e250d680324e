//! The `files` adapter.
