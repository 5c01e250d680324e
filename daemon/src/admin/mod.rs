//! The admin API: people and the product's backend ask over HTTP/JSON on the socket; in a cluster people also by a port-forward.
//!
//! A handler reads, or writes an ask into a record; it never acts: whatever changes the outside is done by the next pass. The
//! routes are one table ([`table`]), which the router and the OpenAPI document are both made from. A request goes the same way
//! whatever it asks: who speaks ([`access`]), may they, what do they say ([`call`]), the handler of its noun, and every refusal
//! is worded in [`errors`].

mod access;
mod call;
mod changes;
mod errors;
mod explanation;
mod hostnames;
mod inventory;
mod near;
mod openapi;
mod plans;
mod resources;
mod route;
mod sources;
mod status;
mod subject;
mod table;
mod version;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use claviger_config::Moment;
use serde::Serialize;

use self::{call::Call, errors::Problem, route::Route, table::ROUTES};
use crate::shared::Shared;

/// What the handlers share.
pub struct Admin {
    shared: Arc<Shared>,
    access: access::Access,
    hostnames: hostnames::Desk,
    plans: plans::Desk,
    since: Moment,
}

/// What a replica that stands by answers too.
const WITHOUT_FLEET: [&str; 2] = ["openapi.read", "version.read"];

impl Admin {
    /// The admin API of a daemon, for the user that it runs as and for root.
    pub fn of(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            access: access::Access::of_this_process(),
            hostnames: hostnames::Desk::default(),
            plans: plans::Desk::default(),
            since: shared.clock.now(),
            shared: Arc::clone(shared),
        })
    }

    fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// Whether another replica is at work.
    fn stands_by(&self) -> bool {
        self.shared.objects.is_some() && !self.shared.driver.works()
    }

    async fn answer(self: Arc<Self>, route: &'static Route, request: Request) -> Response {
        self.hear(route, request).await.unwrap_or_else(IntoResponse::into_response)
    }

    /// Who speaks and may they, before anything that they say is read.
    async fn hear(self: Arc<Self>, route: &'static Route, request: Request) -> Result<Response, Problem> {
        let (mut parts, body) = request.into_parts();
        let actor = access::actor(&parts)?;
        let path = call::path(params(&mut parts).await?);
        self.access.authorize(&actor, route.verb, path.environment().as_ref(), path.object().as_ref())?;
        if self.stands_by() && !WITHOUT_FLEET.contains(&route.verb) {
            return Err(errors::stands_by());
        }
        let query = call::query(route.query, parts.uri.query().unwrap_or_default())?;
        let body = if route.takes.is_some() { call::body(&parts.headers, body).await? } else { Bytes::new() };
        (route.act)(self, Call { actor, path, query, body }).await
    }

    /// What no route takes is refused only after its sender was let in: whoever is not learns nothing.
    async fn unknown(State(admin): State<Arc<Self>>, request: Request) -> Problem {
        let (parts, _) = request.into_parts();
        admin.refuse(&parts).unwrap_or_else(|denied| denied)
    }

    fn refuse(&self, parts: &Parts) -> Result<Problem, Problem> {
        self.access.authorize(&access::actor(parts)?, "unknown", None, None)?;
        Ok(match parts.extensions.get::<MatchedPath>() {
            Some(path) => errors::method_not_allowed(&parts.method, path.as_str(), &table::methods(path.as_str())),
            None => errors::path_unknown(parts.uri.path(), table::paths()),
        })
    }
}

/// The routes. Requests must carry their [`Peer`](crate::serve::Peer).
pub fn routes(admin: Arc<Admin>) -> Router {
    let route = |router: Router<Arc<Admin>>, route: &'static Route| {
        let handler = move |State(admin): State<Arc<Admin>>, request: Request| admin.answer(route, request);
        router.route(route.path, on(filter(route), handler))
    };
    ROUTES
        .iter()
        .fold(Router::new(), route)
        .fallback(Admin::unknown)
        .method_not_allowed_fallback(Admin::unknown)
        .with_state(admin)
}

fn filter(route: &Route) -> MethodFilter {
    MethodFilter::try_from(route.method.clone()).expect("the table names methods of HTTP only")
}

async fn params(parts: &mut Parts) -> Result<RawPathParams, Problem> {
    let path = parts.uri.path().to_owned();
    RawPathParams::from_request_parts(parts, &()).await.map_err(|_| errors::path_not_text(&path))
}

/// An answer in JSON.
fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| errors::bug("an answer cannot be written as JSON", &error))?;
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Runs what goes over the whole fleet beside the runtime's workers.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| errors::bug("an answer could not be worked out", &error))
}

#[cfg(test)]
mod tests;
