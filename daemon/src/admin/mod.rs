//! The admin API.

use std::sync::Arc;

use axum::{Json, Router, routing::get};
use claviger_config::admin::VersionView;

use crate::app::Shared;

/// What the API answers from.
pub struct Admin {
    _shared: Arc<Shared>,
}

impl Admin {
    /// Answers from what the listeners share.
    pub fn of(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { _shared: Arc::clone(shared) })
    }
}

/// Its routes.
pub fn routes(admin: Arc<Admin>) -> Router {
    Router::new().route("/v1/version", get(|| async { Json(VersionView::of(crate::VERSION)) })).with_state(admin)
}
