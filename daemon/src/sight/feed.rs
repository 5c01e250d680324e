//! The feed of changes of host names, for the product's backend.

use std::sync::Arc;

use claviger_config::{EnvironmentName, admin::HostnameChange};
use tokio::sync::mpsc;

use crate::adapters::sqlite::SqliteStore;

/// Changes that wait to be written. A fleet says less than this between two writes.
const QUEUE: usize = 10_000;

/// Where changes go.
pub type Feed = mpsc::Sender<(EnvironmentName, HostnameChange)>;

/// Starts the writer. It ends when the last feed is dropped.
pub fn start(store: Arc<SqliteStore>) -> Feed {
    let (feed, mut changes) = mpsc::channel::<(EnvironmentName, HostnameChange)>(QUEUE);
    tokio::spawn(async move {
        while let Some((environment, change)) = changes.recv().await {
            if let Err(failure) = store.add_change(environment, change).await {
                tracing::warn!(
                    reason = failure.reason.word(),
                    "a change of a host name was not written: {}",
                    failure.message
                );
            }
        }
    });
    feed
}
