//! Which build answers, and what it can be asked.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::admin::VersionView;

use super::{Admin, call::Call, errors::Problem, json, openapi, route::Route};

/// Tells the release and the API version.
pub(super) async fn show(_: Arc<Admin>, _: Call) -> Result<Response, Problem> {
    json(StatusCode::OK, &VersionView::of(crate::VERSION))
}

/// Tells every route, as OpenAPI.
pub(super) async fn openapi(routes: &[Route]) -> Result<Response, Problem> {
    json(StatusCode::OK, &openapi::document(routes))
}
