//! What is said of a route, once for the router, the OpenAPI document and the decision who may do what.

use std::{pin::Pin, sync::Arc};

use axum::{http::Method, response::Response};
use schemars::{Schema, SchemaGenerator};

use super::{
    Admin,
    call::{Call, Parameter},
    errors::Problem,
};

/// One route.
pub(super) struct Route {
    /// Its method.
    pub(super) method: Method,
    /// Its path; parts in braces.
    pub(super) path: &'static str,
    /// Its name in the OpenAPI document.
    pub(super) id: &'static str,
    /// What is asked of [`authorize`](super::access::Access::authorize).
    pub(super) verb: &'static str,
    /// What it does.
    pub(super) says: &'static str,
    /// What its query may hold.
    pub(super) query: &'static [Parameter],
    /// The body that it takes.
    pub(super) takes: Option<Shape>,
    /// What it answers when all is well.
    pub(super) gives: &'static [Gives],
    /// What it refuses beside what every route refuses.
    pub(super) refuses: &'static [u16],
    /// Its handler.
    pub(super) act: fn(Arc<Admin>, Call) -> Done,
}

/// What a handler gives.
pub(super) type Done = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// The schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A good answer.
pub(super) struct Gives {
    /// Its status.
    pub(super) status: u16,
    /// When.
    pub(super) says: &'static str,
    /// Its body; absent when it has none.
    pub(super) body: Option<Shape>,
}
