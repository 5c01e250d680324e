//! Cloudflare's API: its envelope, its headers, and the one answer that has no envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::sts::decode;
use super::world::Shared;
use super::{Ask, Front};
use crate::answer::Answer;
use crate::fault::Service;
use crate::lock;
use crate::model::cloudflare::{Cloudflare, CloudflareError, Filter};

pub(super) const FRONT: Front = Front { service: Service::Cloudflare, operation, answer, throttled };

/// Where the API begins.
pub(super) const BASE: &str = "/client/v4";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Create(String),
    Delegation(String),
    Delete(String, String),
    DeleteFallback(String),
    Edit(String, String),
    Fallback(String),
    Get(String, String),
    List(String),
    Quota(String),
    SetFallback(String),
    VerifyToken,
}

impl Route {
    fn of(ask: &Ask) -> Option<Self> {
        let parts: Vec<&str> = ask.path.strip_prefix(BASE)?.trim_matches('/').split('/').collect();
        let (zone, rest) = match parts.as_slice() {
            ["user", "tokens", "verify"] => return (ask.method == Method::GET).then_some(Self::VerifyToken),
            ["zones", zone, rest @ ..] => ((*zone).to_owned(), rest),
            _ => return None,
        };
        Some(match (ask.method.as_str(), rest) {
            ("GET", ["dcv_delegation", "uuid"]) => Self::Delegation(zone),
            ("GET", ["custom_hostnames"]) => Self::List(zone),
            ("POST", ["custom_hostnames"]) => Self::Create(zone),
            ("GET", ["custom_hostnames", "fallback_origin"]) => Self::Fallback(zone),
            ("PUT", ["custom_hostnames", "fallback_origin"]) => Self::SetFallback(zone),
            ("DELETE", ["custom_hostnames", "fallback_origin"]) => Self::DeleteFallback(zone),
            ("GET", ["custom_hostnames", "quota"]) => Self::Quota(zone),
            ("GET", ["custom_hostnames", id]) => Self::Get(zone, (*id).into()),
            ("PATCH", ["custom_hostnames", id]) => Self::Edit(zone, (*id).into()),
            ("DELETE", ["custom_hostnames", id]) => Self::Delete(zone, (*id).into()),
            _ => return None,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Delegation(_) => "dcvDelegation",
            Self::Delete(..) => "delete",
            Self::DeleteFallback(_) => "deleteFallbackOrigin",
            Self::Edit(..) => "edit",
            Self::Fallback(_) => "fallbackOrigin",
            Self::Get(..) => "get",
            Self::List(_) => "list",
            Self::Quota(_) => "quota",
            Self::SetFallback(_) => "setFallbackOrigin",
            Self::VerifyToken => "verifyToken",
        }
    }

    /// The zone, and whether anything changes.
    fn needs(&self) -> (Option<&str>, bool) {
        match self {
            Self::VerifyToken => (None, false),
            Self::Delegation(zone) | Self::Fallback(zone) | Self::List(zone) | Self::Quota(zone) => (Some(zone), false),
            Self::Get(zone, _) => (Some(zone), false),
            Self::Create(zone) | Self::DeleteFallback(zone) | Self::SetFallback(zone) => (Some(zone), true),
            Self::Delete(zone, _) | Self::Edit(zone, _) => (Some(zone), true),
        }
    }
}

fn operation(ask: &Ask) -> String {
    Route::of(ask).map_or("unknown", |route| route.name()).to_owned()
}

fn answer(shared: &Arc<Shared>, ask: &Ask) -> Answer {
    let now = shared.now();
    let mut cloudflare = lock(&shared.cloudflare);
    cloudflare.advance(now, &lock(&shared.dns));
    let token = ask.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let answer = run(&mut cloudflare, now, token, ask).unwrap_or_else(|error| refused(&error));
    match cloudflare.rate_headers(now, token.unwrap_or_default()) {
        Some((left, policy)) => answer.with("ratelimit", left).with("ratelimit-policy", policy),
        None => answer,
    }
}

fn run(cloudflare: &mut Cloudflare, now: i64, token: Option<&str>, ask: &Ask) -> Result<Answer, CloudflareError> {
    cloudflare.count_request(now, token.unwrap_or_default())?;
    let nowhere = || {
        CloudflareError::new(
            404,
            7003,
            format!("Could not route to {}, perhaps your object identifier is invalid?", ask.path),
        )
    };
    let route = Route::of(ask).ok_or_else(nowhere)?;
    let (zone, write) = route.needs();
    cloudflare.authorise(token, zone, write)?;
    act(cloudflare, now, &route, ask)
}

fn act(cloudflare: &mut Cloudflare, now: i64, route: &Route, ask: &Ask) -> Result<Answer, CloudflareError> {
    match route {
        Route::VerifyToken => Ok(success(200, json!({ "id": "0".repeat(32), "status": "active" }), &[])),
        Route::Delegation(zone) => Ok(success(200, cloudflare.delegation(zone)?, &[])),
        Route::Quota(zone) => Ok(success(200, cloudflare.quota(zone)?, &[])),
        Route::Fallback(zone) => Ok(success(200, cloudflare.fallback_origin(now, zone)?, &[])),
        Route::SetFallback(zone) => Ok(success(200, cloudflare.set_fallback_origin(now, zone, &body(ask)?)?, &[])),
        Route::DeleteFallback(zone) => Ok(success(200, cloudflare.delete_fallback_origin(now, zone)?, &[])),
        Route::List(zone) => list(cloudflare, now, zone, ask),
        Route::Get(zone, id) => Ok(success(200, cloudflare.show(zone, id)?, &[])),
        Route::Create(zone) => {
            let (id, messages) = cloudflare.create(now, zone, &body(ask)?)?;
            let shown = cloudflare.show(zone, &id)?;
            Ok(success(cloudflare.steering.created_status, shown, &messages))
        }
        Route::Edit(zone, id) => {
            cloudflare.edit(now, zone, id, &body(ask)?)?;
            let shown = cloudflare.show(zone, id)?;
            Ok(success(cloudflare.steering.edited_status, shown, &[]))
        }
        Route::Delete(zone, id) => {
            cloudflare.delete(zone, id)?;
            Ok(Answer::json(200, CONTENT_TYPE, &json!({ "id": id })))
        }
    }
}

fn list(cloudflare: &mut Cloudflare, now: i64, zone: &str, ask: &Ask) -> Result<Answer, CloudflareError> {
    let pairs = ask.query.split('&').filter_map(|pair| pair.split_once('='));
    let filter = Filter(pairs.map(|(name, value)| (decode(name), decode(value))).collect::<BTreeMap<_, _>>());
    let page = cloudflare.list(now, zone, &filter)?;
    let rows: Vec<Value> = page.ids.iter().map(|id| cloudflare.show(zone, id)).collect::<Result<_, _>>()?;
    let info = json!({
        "page": page.page,
        "per_page": page.per_page,
        "count": rows.len(),
        "total_count": page.total_count,
        "total_pages": page.total_pages,
    });
    let mut answer = envelope(json!(rows), &[]);
    answer["result_info"] = info;
    Ok(Answer::json(200, CONTENT_TYPE, &answer))
}

fn body(ask: &Ask) -> Result<Value, CloudflareError> {
    let wrong =
        |_| CloudflareError::new(400, 1400, "Unable to decode the JSON request body. Check your input and try again.");
    if ask.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&ask.body).map_err(wrong) }
}

fn success(status: u16, result: Value, messages: &[String]) -> Answer {
    Answer::json(status, CONTENT_TYPE, &envelope(result, messages))
}

fn envelope(result: Value, messages: &[String]) -> Value {
    json!({ "success": true, "errors": [], "messages": messages, "result": result })
}

fn refused(error: &CloudflareError) -> Answer {
    let answer = Answer::json(error.status, CONTENT_TYPE, &error.body());
    match error.retry_after {
        Some(wait) => answer.with("retry-after", (wait.max(0) as u64).div_ceil(1000).to_string()),
        None => answer,
    }
}

fn throttled() -> Answer {
    refused(&CloudflareError::new(429, 971, "Please wait and consider throttling your request speed"))
}

const CONTENT_TYPE: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Running;
    use crate::http::trial::world;
    use crate::model::dns::Kind;

    const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

    struct Api {
        world: Running,
        client: reqwest::Client,
    }

    impl Api {
        async fn call(
            &self,
            method: &str,
            path: &str,
            token: &str,
            body: Value,
        ) -> (u16, Value, reqwest::header::HeaderMap) {
            let url = format!("{}/zones/{ZONE}/{path}", self.world.addresses().cloudflare);
            let request = self.client.request(method.parse().unwrap(), url).bearer_auth(token).json(&body);
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, answer.json().await.unwrap(), headers)
        }
    }

    async fn api() -> (Api, crate::http::trial::Clock) {
        let (world, clock, client) = world().await;
        {
            let mut cloudflare = world.cloudflare();
            cloudflare.add_zone(clock.now(), ZONE, "saas.example.com");
            cloudflare.add_token("writer", &[ZONE], true);
            cloudflare.add_token("reader", &[ZONE], false);
        }
        (Api { world, client }, clock)
    }

    fn wish(hostname: &str) -> Value {
        json!({ "hostname": hostname, "ssl": { "method": "http", "type": "dv" } })
    }

    #[tokio::test]
    async fn a_hostname_is_made_points_and_becomes_active() {
        let (api, clock) = api().await;
        let (status, made, headers) =
            api.call("POST", "custom_hostnames", "writer", wish("shop.customer.example")).await;
        assert_eq!((status, &made["success"], &made["messages"]), (201, &json!(true), &json!([])));
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=1200;w=300");
        let id = made["result"]["id"].as_str().unwrap().to_owned();
        assert_eq!(made["result"]["status"], "pending");
        api.world.dns().add(clock.now(), "shop.customer.example", Kind::Cname, "saas.example.com");
        clock.pass(120_000);
        let (_, shown, _) = api.call("GET", &format!("custom_hostnames/{id}"), "reader", json!({})).await;
        assert_eq!(
            (&shown["result"]["status"], &shown["result"]["ssl"]["status"]),
            (&json!("active"), &json!("active"))
        );
        let (status, gone, _) = api.call("DELETE", &format!("custom_hostnames/{id}"), "writer", json!({})).await;
        assert_eq!((status, gone), (200, json!({ "id": id })), "no envelope");
        let (status, missing, _) = api.call("GET", &format!("custom_hostnames/{id}"), "reader", json!({})).await;
        assert_eq!((status, &missing["errors"][0]["code"]), (404, &json!(1436)));
    }

    #[tokio::test]
    async fn a_token_does_what_it_may_in_its_own_zones() {
        let (api, _) = api().await;
        assert_eq!(api.call("POST", "custom_hostnames", "reader", wish("a.customer.example")).await.0, 403);
        assert_eq!(api.call("GET", "custom_hostnames", "nobody", json!({})).await.0, 401);
        api.world.cloudflare().add_token("elsewhere", &[], true);
        assert_eq!(api.call("GET", "custom_hostnames", "elsewhere", json!({})).await.0, 403);
    }

    #[tokio::test]
    async fn a_list_says_what_it_granted() {
        let (api, _) = api().await;
        api.world.cloudflare().steering.largest_page = 50;
        api.call("POST", "custom_hostnames", "writer", wish("a.customer.example")).await;
        let (_, list, _) = api
            .call("GET", "custom_hostnames?per_page=1000&hostname.exact=a.customer.example", "reader", json!({}))
            .await;
        assert_eq!(
            list["result_info"],
            json!({ "page": 1, "per_page": 50, "count": 1, "total_count": 1, "total_pages": 1 })
        );
        let both = api.call("GET", "custom_hostnames?id=1&hostname=a", "reader", json!({})).await;
        assert_eq!(both.1["errors"][0]["code"], 1438);
    }

    #[tokio::test]
    async fn too_many_requests_block_everything_for_five_minutes() {
        let (api, clock) = api().await;
        api.world.cloudflare().steering.requests = Some((3, 300_000));
        for _ in 0..3 {
            assert_eq!(api.call("GET", "custom_hostnames/quota", "reader", json!({})).await.0, 200);
        }
        let (status, refused, headers) = api.call("GET", "custom_hostnames/quota", "reader", json!({})).await;
        assert_eq!(
            (status, &refused["errors"][0]["code"], &headers["retry-after"]),
            (429, &json!(971), &"300".parse().unwrap())
        );
        clock.pass(299_000);
        assert_eq!(api.call("GET", "custom_hostnames/quota", "reader", json!({})).await.0, 429);
        clock.pass(1_000);
        assert_eq!(api.call("GET", "custom_hostnames/quota", "reader", json!({})).await.0, 200);
    }
}
