//! What documents refer to and do not hold: beside files, the Secrets of a cluster.

use std::sync::Arc;

use claviger_config::environment::SecretKey;
use claviger_core::ports::Answer;
use zeroize::Zeroizing;

/// Reads a key of a Secret in clavigerd's own namespace.
pub type Secrets = Arc<dyn Fn(SecretKey) -> Answer<'static, Zeroizing<Vec<u8>>> + Send + Sync>;
