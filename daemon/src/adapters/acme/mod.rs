//! ACME (RFC 8555) with renewal information (RFC 9773) on `instant-acme`: plays [`Acme`].
//!
//! One call is one attempt. The state that the CA shows decides what a call does, so that an order is taken up at any stage:
//! after a crash, after a lost answer, or hours later. `instant-acme` signs and speaks; `http` carries, with deadlines and a
//! ceiling, and has `trace` write down what passed; `fault` holds the one table that makes a [`Failure`] out of it.
//!
//! # Where we differ from RFC 8555 and RFC 9773
//!
//! - Section 6.4 of RFC 8555 (GET for everything but directory and nonce): renewal information is read by a plain GET, as
//!   RFC 9773 section 4.1 says.
//! - Section 6.5 (nonces): none is kept between calls; each call begins with a `HEAD` of newNonce. After `badNonce` it is tried
//!   again: three attempts by `instant-acme`, and five times as many more by us before the call fails.
//! - Section 7.1.1 (directory): read once a day, and again when a URL of it gives 404. Caching headers are not looked at.
//! - Section 7.1.3 (orders): `notBefore` and `notAfter` are never asked for. The list of an account's orders (section 7.1.2.1)
//!   is not used, because the largest CA does not offer it: a lost answer to newOrder costs at most one stray order.
//! - Section 7.1.6 (states): an order whose `expires` has passed while it was pending or ready counts as gone, whatever its
//!   status. So does one that still is pending although one of its authorizations was deactivated or revoked, or has expired.
//! - Section 7.3 (accounts): terms of service are agreed to by registering. Contacts follow in a second request. External
//!   account binding (section 7.3.4) and key roll-over (section 7.3.5) are not offered; no account is ever deactivated.
//! - Section 7.4.2 (chains): the CA's default chain is taken, alternates are not looked at.
//! - Section 7.5.1 (challenges): http-01 alone is answered. Section 8.2's advice to ask the CA to try a challenge again is not
//!   followed, since the CAs that count fail it at once; the next order tries again.
//! - RFC 9773 section 5: `replaces` is sent only to a CA that offers renewal information. A refusal of it is not a failure: the
//!   order is opened once more without. An answer that does not repeat it is taken as an order that replaces nothing.

use std::sync::Arc;

use claviger_config::{DnsName, IssuerName, desired::Surroundings};
use claviger_core::{
    domain::{
        effect::{OrderSeen, Window},
        failure::Failure,
    },
    ports::{Acme, Answer, Clock, Registered, Secret, Session},
};
use instant_acme::Account;

use self::{
    fault::{Scene, Trouble},
    http::Patience,
    order::{Asked, Desk},
    session::{Ca, Cas},
};

mod directory;
mod fault;
mod header;
mod http;
mod order;
mod problem;
mod proof;
mod register;
mod renewal;
mod reply;
mod roots;
#[cfg(test)]
mod script;
mod session;
mod step;
#[cfg(test)]
mod tests;
mod trace;

pub use self::{
    http::{Observed, Observer},
    roots::Files,
};

/// Every ACME CA that the environments name.
pub struct AcmeCa {
    clock: Arc<dyn Clock>,
    cas: Cas,
}

impl AcmeCa {
    /// Speaks to nobody yet. `observer` hears of every request by its operation (`new_order`, `read_order` …) and its code: the
    /// status, or how it broke.
    pub fn new(clock: Arc<dyn Clock>, files: Files, observer: Observer) -> Self {
        Self::patient(clock, files, observer, Patience::default())
    }

    fn patient(clock: Arc<dyn Clock>, files: Files, observer: Observer, patience: Patience) -> Self {
        // Somebody else may have installed it before, which is the same one.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        Self { cas: Cas::new(Arc::clone(&clock), files, observer, patience), clock }
    }

    fn scene<'a>(&self, issuer: &'a IssuerName, names: &'a [DnsName]) -> Scene<'a> {
        Scene { issuer: issuer.as_str(), names, now: self.clock.now() }
    }

    fn desk<'a>(&self, with: &'a Session<'_>, account: &'a Account) -> Desk<'a> {
        Desk { issuer: with.account.issuer.as_str(), account, now: self.clock.now() }
    }

    async fn seated(&self, with: &Session<'_>) -> Result<(Arc<Ca>, Account), Trouble> {
        let ca = self.cas.find(with.at, &with.account.issuer).await?;
        let account = ca.account(with).await;
        Ok((Arc::clone(&ca), learnt(&ca, account, None).await?))
    }

    /// Judges what a call of a session came to.
    async fn close<T>(
        &self,
        ca: &Ca,
        with: &Session<'_>,
        names: &[DnsName],
        result: Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let result = learnt(ca, result, Some(&with.account.url)).await;
        result.map_err(|trouble| trouble.failure(&self.scene(&with.account.issuer, names)))
    }

    fn told<'a>(&'a self, issuer: &'a IssuerName) -> impl Fn(Trouble) -> Failure + 'a {
        move |trouble| trouble.failure(&self.scene(issuer, &[]))
    }
}

async fn learnt<T>(ca: &Ca, result: Result<T, Trouble>, account: Option<&str>) -> Result<T, Trouble> {
    if let Err(trouble) = &result {
        ca.learn(trouble, account).await;
    }
    result
}

impl Acme for AcmeCa {
    fn register<'a>(&'a self, at: &'a Surroundings, issuer: &'a IssuerName, key: &'a Secret) -> Answer<'a, Registered> {
        Box::pin(trace::traced(async move {
            let ca = self.cas.find(at, issuer).await?;
            let contacts = &session::described(at, issuer)?.contacts;
            let registered = register::register(&ca, issuer, contacts, key).await;
            learnt(&ca, registered, None).await.map_err(self.told(issuer))
        }))
    }

    fn open_order<'a>(
        &'a self,
        with: Session<'a>,
        names: &'a [DnsName],
        profile: Option<&'a str>,
        replaces: Option<&'a str>,
    ) -> Answer<'a, OrderSeen> {
        Box::pin(trace::traced(async move {
            let (ca, account) = self.seated(&with).await.map_err(self.told(&with.account.issuer))?;
            let asked = Asked { names, profile, replaces };
            let opened = order::open(self.desk(&with, &account), &ca, &asked).await;
            self.close(&ca, &with, names, opened).await
        }))
    }

    fn order<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, OrderSeen> {
        Box::pin(trace::traced(async move {
            let (ca, account) = self.seated(&with).await.map_err(self.told(&with.account.issuer))?;
            let seen = order::look(self.desk(&with, &account), url).await;
            self.close(&ca, &with, &[], seen).await
        }))
    }

    fn answer<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, ()> {
        Box::pin(trace::traced(async move {
            let (ca, account) = self.seated(&with).await.map_err(self.told(&with.account.issuer))?;
            let answered = order::answer(self.desk(&with, &account), url).await;
            self.close(&ca, &with, &[], answered).await
        }))
    }

    fn finalize<'a>(&'a self, with: Session<'a>, url: &'a str, csr: &'a [u8]) -> Answer<'a, OrderSeen> {
        Box::pin(trace::traced(async move {
            let (ca, account) = self.seated(&with).await.map_err(self.told(&with.account.issuer))?;
            let seen = order::finalize(self.desk(&with, &account), url, csr).await;
            self.close(&ca, &with, &[], seen).await
        }))
    }

    fn certificate<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, String> {
        Box::pin(trace::traced(async move {
            let (ca, account) = self.seated(&with).await.map_err(self.told(&with.account.issuer))?;
            let pem = order::certificate(self.desk(&with, &account), url).await;
            self.close(&ca, &with, &[], pem).await
        }))
    }

    fn window<'a>(&'a self, with: Session<'a>, certificate: &'a str) -> Answer<'a, Option<Window>> {
        Box::pin(trace::traced(async move {
            let ca = self.cas.find(with.at, &with.account.issuer).await?;
            let window = renewal::window(&ca, certificate, self.clock.now()).await;
            self.close(&ca, &with, &[], window).await
        }))
    }
}
