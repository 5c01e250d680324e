//! Certificates that claviger did not issue.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    EnvironmentName,
    admin::{DiscoveredView, List},
};

use super::{Admin, aside, call::Call, errors::Problem, json};
use crate::inventory;

/// Tells what was discovered in an environment, what ends first in front. All of it: what is shared is found beside the others.
pub(super) async fn list(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let environment = call.path.read_environment()?;
    admin.surroundings(&environment)?;
    let items = aside(move || items(&admin, &environment)).await?;
    json(StatusCode::OK, &List::whole(items))
}

fn items(admin: &Admin, environment: &EnvironmentName) -> Vec<DiscoveredView> {
    let mut items = inventory::views(&admin.shared, admin.now());
    items.retain(|item| item.environment == *environment);
    items
}
