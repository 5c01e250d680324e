//! Sends any `EndpointSpec` of the `cloudflare` crate, once, and gives back what the crate's own client hides.

use std::time::Duration;

use cloudflare::framework::endpoint::{RequestBody, spec::EndpointSpec};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use claviger_core::ports::Clock;

use super::{
    envelope::{self, Reply},
    fault::Fault,
    rate::Rate,
    token::Token,
};

const VENDOR: &str = "https://api.cloudflare.com/client/v4";

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Until a connection stands.
    pub(super) connect: Duration,
    /// Between two pieces of the answer.
    pub(super) read: Duration,
    /// From the first byte to the last.
    pub(super) total: Duration,
}

impl Timing {
    pub(super) const USUAL: Self =
        Self { connect: Duration::from_secs(10), read: Duration::from_secs(20), total: Duration::from_secs(60) };
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum BadSender {
    /// The address is none.
    #[error(
        "`endpoints.cloudflare` is `{found}`; `https://HOST/PATH` is accepted, and `http://HOST/PATH` for an emulator"
    )]
    Address {
        /// What was found.
        found: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client for Cloudflare could not be made; look at the machine's trusted certificates")]
    Client(#[source] reqwest::Error),
}

/// Sends requests to one address.
pub(super) struct Sender {
    client: Client,
    base: Url,
}

impl Sender {
    /// Sends to `base`, or to Cloudflare.
    pub(super) fn new(base: Option<&str>, timing: Timing) -> Result<Self, BadSender> {
        // Whoever comes first installs it; it is the same provider everywhere.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("clavigerd/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(timing.connect)
            .read_timeout(timing.read)
            .timeout(timing.total)
            // A redirect would carry the token elsewhere, and so would a proxy that a document cannot see.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(BadSender::Client)?;
        Ok(Self { client, base: address(base.unwrap_or(VENDOR))? })
    }

    /// Sends once. `longest` is the longest answer, in bytes, that is read. Endpoints with raw answers do not compile.
    pub(super) async fn send<E: EndpointSpec>(
        &self,
        clock: &dyn Clock,
        token: &Token,
        endpoint: &E,
        longest: usize,
    ) -> Result<Reply<E::JsonResponse>, Fault> {
        const { assert!(!E::IS_RAW_BODY, "only endpoints that answer with JSON can be sent") };
        let request = self.request(token, endpoint)?;
        let response = request.send().await.map_err(Fault::from_client)?;
        let status = response.status();
        let rate = Rate::read(response.headers(), clock.now());
        let mut body = match body(response, longest).await {
            Ok(body) => body,
            Err(fault) if status.is_success() => return Err(fault),
            // The status says enough.
            Err(_) => Vec::new(),
        };
        token.hide_in(&mut body);
        envelope::open(status.as_u16(), rate, &body)
    }

    fn request<E: EndpointSpec>(&self, token: &Token, endpoint: &E) -> Result<reqwest::RequestBuilder, Fault> {
        let authorization = token.expose_header().ok_or(Fault::Unsendable("the token cannot stand in a header"))?;
        let url = self.url(&endpoint.path(), endpoint.query().as_deref())?;
        let request = self
            .client
            .request(endpoint.method(), url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json");
        Ok(match endpoint.body() {
            None => request,
            Some(RequestBody::Json(body)) => request.header(CONTENT_TYPE, "application/json").body(body),
            Some(RequestBody::Raw(body)) => request.header(CONTENT_TYPE, "application/octet-stream").body(body),
            Some(RequestBody::MultiPart(_)) => return Err(Fault::Unsendable("forms of several parts are not sent")),
        })
    }

    fn url(&self, path: &str, query: Option<&str>) -> Result<Url, Fault> {
        let mut url = self.base.join(path).map_err(|_| Fault::Unsendable("the path is no path"))?;
        url.set_query(query);
        // An id with dots must not climb out of the API.
        if url.as_str().starts_with(self.base.as_str()) {
            Ok(url)
        } else {
            Err(Fault::Unsendable("the path leads out of the API"))
        }
    }
}

/// The base with a slash behind it, so that paths are joined below it.
fn address(found: &str) -> Result<Url, BadSender> {
    let bad = || BadSender::Address { found: found.to_owned() };
    let url = Url::parse(&format!("{}/", found.trim_end_matches('/'))).map_err(|_| bad())?;
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain { Ok(url) } else { Err(bad()) }
}

async fn body(mut response: Response, longest: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Fault::from_client)? {
        if body.len() + chunk.len() > longest {
            return Err(Fault::TooLong { longest });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_below_the_base_with_or_without_a_slash() {
        for base in ["http://127.0.0.1:1/client/v4", "http://127.0.0.1:1/client/v4/"] {
            let sender = Sender::new(Some(base), Timing::USUAL).unwrap();
            let url = sender.url("zones/1/custom_hostnames", Some("page=1")).unwrap();
            assert_eq!(url.as_str(), "http://127.0.0.1:1/client/v4/zones/1/custom_hostnames?page=1");
            assert!(sender.url("../../elsewhere", None).is_err());
            assert!(sender.url("https://elsewhere.example/", None).is_err());
        }
    }

    #[test]
    fn without_an_address_it_is_cloudflares_own() {
        let sender = Sender::new(None, Timing::USUAL).unwrap();
        assert_eq!(sender.base.as_str(), "https://api.cloudflare.com/client/v4/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for base in ["", "api.cloudflare.com", "ftp://x/", "https://user:word@x/", "https://x/?a=b"] {
            let refused = Sender::new(Some(base), Timing::USUAL);
            assert!(matches!(refused, Err(BadSender::Address { .. })), "{base}");
        }
    }
}
