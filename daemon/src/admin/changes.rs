//! What changed about host names: a feed for the product's backend.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::admin::List;

use super::{Admin, call::Call, errors::Problem, json};

/// Tells the changes behind a cursor, oldest first.
pub(super) async fn list(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let environment = call.path.read_environment()?;
    admin.surroundings(&environment)?;
    let (cursor, limit) = (call.query.number("cursor")?.unwrap_or(0), call.query.limit()?);
    let one_more = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let mut items = admin.shared.store.changes(environment, cursor, one_more).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.cursor.to_string());
    json(StatusCode::OK, &List { next, ..List::whole(items) })
}
