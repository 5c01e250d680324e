//! The audit journal.
