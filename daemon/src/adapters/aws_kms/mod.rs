//! The `aws_kms` adapter.
