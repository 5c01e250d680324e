//! Orders (RFC 8555 section 7.4): opened, looked at, answered, finalized, fetched. Each function is one attempt; the state that
//! the CA shows decides, and nothing here waits for it to change.

use claviger_config::{DnsName, Moment, Reason, Span};
use claviger_core::domain::{
    effect::{OrderSeen, Stage},
    failure::Failure,
};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeStatus, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus,
};
use serde::Deserialize;

use super::{fault::Trouble, problem::Problem, proof, reply::Reply, session::Ca, step::Step, trace};

/// Let's Encrypt asks for 3 seconds; a CA that asks for no pause or for days is held to these.
const SOONEST: Span = Span::seconds(1);
const LATEST: Span = Span::hours(1);
/// Four certificates have about 8 KiB.
const LARGEST_CHAIN: usize = 256 * 1024;

/// What an order is asked for with.
pub(super) struct Asked<'a> {
    /// The names.
    pub(super) names: &'a [DnsName],
    /// The profile.
    pub(super) profile: Option<&'a str>,
    /// The certificate that it replaces.
    pub(super) replaces: Option<&'a str>,
}

/// Whom a call talks to, about what, and when.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    /// The issuer.
    pub(super) issuer: &'a str,
    /// The account.
    pub(super) account: &'a Account,
    /// Now.
    pub(super) now: Moment,
}

/// The parts of an order's body that `instant-acme` loses or trips over.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    status: String,
    expires: Option<String>,
    authorizations: Vec<String>,
    replaces: Option<String>,
    error: Option<Problem>,
}

/// Opens an order, as a replacement where the CA takes it (RFC 9773 section 5), else without.
pub(super) async fn open(desk: Desk<'_>, ca: &Ca, asked: &Asked<'_>) -> Result<OrderSeen, Trouble> {
    check_profile(desk, ca, asked.profile).await?;
    let offered = ca.directory().await?.renewal_info.is_some();
    if let Some(replaces) = asked.replaces.filter(|_| offered).and_then(certificate_id) {
        match new_order(desk, asked, Some(replaces)).await {
            Err(trouble) if dislikes_replacing(&trouble) => {}
            other => return other,
        }
    }
    new_order(desk, asked, None).await
}

/// How far an order is.
pub(super) async fn look(desk: Desk<'_>, url: &str) -> Result<OrderSeen, Trouble> {
    match fetch(desk, url).await? {
        Some((order, reply)) => seen(desk, order, &reply).await,
        None => Ok(gone(url)),
    }
}

/// Tells the CA that each proof that waits for us is in place.
pub(super) async fn answer(desk: Desk<'_>, url: &str) -> Result<(), Trouble> {
    let Some((mut order, _)) = fetch(desk, url).await? else { return Err(lost(desk, url, "gone").into()) };
    if order.state().status != OrderStatus::Pending {
        return Ok(());
    }
    let proofs = proof::read(&mut order, false).await?;
    if let Some(failure) = proof::unprovable(desk.issuer, &proofs) {
        return Err(failure.into());
    }
    match announce_all(&mut order).await? {
        None => Ok(()),
        // Some CAs refuse an answer that was given already; a challenge that no longer waits is what we wanted.
        Some(refusal) => match look(desk, url).await?.stage {
            Stage::Pending { unanswered: 1.. } => Err(refusal),
            _ => Ok(()),
        },
    }
}

/// Hands in the request when the order is ready for it.
pub(super) async fn finalize(desk: Desk<'_>, url: &str, csr: &[u8]) -> Result<OrderSeen, Trouble> {
    let Some((mut order, reply)) = fetch(desk, url).await? else { return Ok(gone(url)) };
    if order.state().status != OrderStatus::Ready {
        return seen(desk, order, &reply).await;
    }
    trace::begin(Step::Finalize);
    loop {
        match order.finalize_csr(csr).await {
            Ok(()) => {
                let reply = trace::answer();
                return seen(desk, order, &reply.unwrap_or_default()).await;
            }
            Err(error) => match trace::bear(error) {
                Ok(()) => {}
                // Another hand was quicker, or this one, in an answer that was lost.
                Err(trouble) if trouble.word() == "orderNotReady" => return look(desk, url).await,
                Err(trouble) => return Err(trouble),
            },
        }
    }
}

/// The chain, PEM: the one that the CA gives by default.
pub(super) async fn certificate(desk: Desk<'_>, url: &str) -> Result<String, Trouble> {
    let Some((mut order, _)) = fetch(desk, url).await? else { return Err(lost(desk, url, "gone").into()) };
    match order.state().status {
        OrderStatus::Valid => {}
        OrderStatus::Invalid => return Err(lost(desk, url, "invalid").into()),
        other => return Err(early(desk, url, other).into()),
    }
    trace::begin(Step::DownloadCertificate);
    let pem = loop {
        match order.certificate().await {
            Ok(Some(pem)) => break pem,
            Ok(None) => return Err(early(desk, url, OrderStatus::Processing).into()),
            Err(error) => trace::bear(error)?,
        }
    };
    check_chain(desk, pem)
}

async fn check_profile(desk: Desk<'_>, ca: &Ca, profile: Option<&str>) -> Result<(), Trouble> {
    let Some(profile) = profile else { return Ok(()) };
    if ca.directory().await?.profiles().any(|offered| offered == profile) {
        return Ok(());
    }
    // The directory may be a day old, and the profile new.
    ca.distrust_directory().await;
    let directory = ca.directory().await?;
    let offered: Vec<String> = directory.profiles().map(|offered| format!("`{offered}`")).collect();
    if directory.profiles().any(|offered| offered == profile) {
        return Ok(());
    }
    let offered = if offered.is_empty() { "no profiles at all".to_owned() } else { offered.join(", ") };
    let message = format!("`{}` does not offer the profile `{profile}`; it offers {offered}", desk.issuer);
    Err(Failure::new(Reason::ProfileUnknown, message)
        .fix("choose one that is offered, or none for the CA's default")
        .into())
}

async fn new_order(
    desk: Desk<'_>,
    asked: &Asked<'_>,
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<OrderSeen, Trouble> {
    let identifiers: Vec<Identifier> =
        asked.names.iter().map(|name| Identifier::Dns(name.as_str().to_owned())).collect();
    trace::begin(Step::NewOrder);
    loop {
        let mut order = NewOrder::new(&identifiers);
        if let Some(profile) = asked.profile {
            order = order.profile(profile);
        }
        if let Some(replaces) = replaces.clone() {
            order = order.replaces(replaces);
        }
        let error = desk.account.new_order(&order).await.err();
        // What the wire saw counts: the crate takes an order whose answer does not repeat `replaces` for a failure and loses its
        // URL, although the order is there. Boulder answers so when it hands back an older order for the same names.
        if let Some(made) = trace::answer().filter(Reply::is_success) {
            return opened(desk, &made, replaces.as_ref(), error);
        }
        if let Some(error) = error {
            trace::bear(error)?;
        }
    }
}

fn opened(
    desk: Desk<'_>,
    made: &Reply,
    replaces: Option<&CertificateIdentifier<'_>>,
    error: Option<Error>,
) -> Result<OrderSeen, Trouble> {
    let garbled = |words: String| Trouble::Garbled { step: Step::NewOrder, changes: true, words };
    let Some(url) = made.location.clone() else {
        return Err(garbled("it has no Location".to_owned()));
    };
    let body: Body = serde_json::from_slice(&made.body).map_err(|error| garbled(error.to_string()))?;
    let stage = match body.status.as_str() {
        // Not read one by one: answering passes over those that need no answer.
        "pending" => Stage::Pending { unanswered: u32::try_from(body.authorizations.len()).unwrap_or(u32::MAX) },
        "ready" => Stage::Ready,
        "processing" => Stage::Processing,
        "valid" => Stage::Valid,
        "invalid" => Stage::Invalid(Box::new(proof::verdict(desk.issuer, body.error.as_ref(), &[]))),
        other => {
            let words = error.map_or_else(|| format!("unknown status `{other}`"), |error| error.to_string());
            return Err(garbled(words));
        }
    };
    let replaces = replaces.is_some_and(|asked| body.replaces.as_deref() == Some(asked.to_string().as_str()));
    Ok(OrderSeen { url, stage, ask_again: ask_again(desk, made), replaces })
}

/// The CA refuses the replacement, not the order: already replaced (409), another account's (403), unknown (404), no shared name.
fn dislikes_replacing(trouble: &Trouble) -> bool {
    match trouble.status() {
        Some(404 | 409) => true,
        Some(400 | 403) => matches!(trouble.word(), "alreadyReplaced" | "malformed" | "unauthorized"),
        _ => false,
    }
}

async fn fetch(desk: Desk<'_>, url: &str) -> Result<Option<(Order, Reply)>, Trouble> {
    trace::begin(Step::ReadOrder);
    loop {
        match desk.account.order(url.to_owned()).await {
            Ok(order) => return Ok(Some((order, trace::answer().unwrap_or_default()))),
            Err(error) => match trace::bear(error) {
                Ok(()) => {}
                Err(trouble) if trouble.is_gone(url) => return Ok(None),
                Err(trouble) => return Err(trouble),
            },
        }
    }
}

async fn seen(desk: Desk<'_>, mut order: Order, reply: &Reply) -> Result<OrderSeen, Trouble> {
    let body: Body = serde_json::from_slice(&reply.body).unwrap_or_default();
    let stage = match order.state().status {
        OrderStatus::Pending | OrderStatus::Ready if body.is_expired(desk.now) => Stage::Gone,
        OrderStatus::Pending => proof::stage(desk.issuer, &proof::read(&mut order, false).await?),
        OrderStatus::Ready => Stage::Ready,
        OrderStatus::Processing => Stage::Processing,
        OrderStatus::Valid => Stage::Valid,
        OrderStatus::Invalid => {
            let proofs = proof::read(&mut order, true).await?;
            Stage::Invalid(Box::new(proof::verdict(desk.issuer, body.error.as_ref(), &proofs)))
        }
    };
    // Where the order itself names no instant, its authorizations may, which were read last.
    let ask_again = ask_again(desk, reply).or_else(|| ask_again(desk, &trace::answer()?));
    // Boulder leaves it out of later answers (<https://github.com/letsencrypt/boulder/issues/8272>): only a "yes" says something.
    let replaces = order.state().replaces.is_some();
    Ok(OrderSeen { url: order.url().to_owned(), stage, ask_again, replaces })
}

impl Body {
    fn is_expired(&self, now: Moment) -> bool {
        self.expires.as_ref().and_then(|expires| expires.parse::<Moment>().ok()).is_some_and(|expires| expires <= now)
    }
}

/// Answers every challenge that waits, and hands back the last refusal. The authorizations were read before: walking them again
/// asks nobody.
async fn announce_all(order: &mut Order) -> Result<Option<Trouble>, Trouble> {
    let mut refusal = None;
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let Ok(mut authorization) = next else { continue };
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else { continue };
        if challenge.status != ChallengeStatus::Pending {
            continue;
        }
        match announce(&mut challenge).await {
            Ok(()) => {}
            Err(trouble) if matches!(trouble.status(), Some(400..=428)) => refusal = Some(trouble),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(refusal)
}

async fn announce(challenge: &mut ChallengeHandle<'_>) -> Result<(), Trouble> {
    trace::begin(Step::AnswerChallenge);
    loop {
        match challenge.set_ready().await {
            Ok(()) => return Ok(()),
            // The challenge was taken and shows an error: it has failed, and the order will tell.
            Err(Error::Api(_)) if trace::answer().is_some_and(|reply| reply.is_success()) => return Ok(()),
            Err(error) => trace::bear(error)?,
        }
    }
}

fn certificate_id(id: &str) -> Option<CertificateIdentifier<'_>> {
    let (authority, serial) = id.split_once('.')?;
    Some(CertificateIdentifier { authority_key_identifier: authority.into(), serial: serial.into() })
}

fn ask_again(desk: Desk<'_>, reply: &Reply) -> Option<Moment> {
    reply.retry_after.map(|at| at.clamp(desk.now + SOONEST, desk.now + LATEST))
}

fn gone(url: &str) -> OrderSeen {
    OrderSeen { url: url.to_owned(), stage: Stage::Gone, ask_again: None, replaces: false }
}

fn lost(desk: Desk<'_>, url: &str, how: &str) -> Failure {
    Failure::new(Reason::OrderLost, format!("order `{url}` at `{}` is {how}", desk.issuer))
}

fn early(desk: Desk<'_>, url: &str, status: OrderStatus) -> Failure {
    let status = format!("{status:?}").to_ascii_lowercase();
    let message = format!("order `{url}` at `{}` is {status}, so there is no certificate to fetch", desk.issuer);
    Failure::new(Reason::AnswerNotUnderstood, message)
}

fn check_chain(desk: Desk<'_>, pem: String) -> Result<String, Trouble> {
    if pem.len() > LARGEST_CHAIN {
        let message =
            format!("`{}` gave a chain of {} bytes; at most {LARGEST_CHAIN} are accepted", desk.issuer, pem.len());
        return Err(Failure::new(Reason::WrongCertificate, message).into());
    }
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        let words = "it holds no certificate in PEM".to_owned();
        return Err(Trouble::Garbled { step: Step::DownloadCertificate, changes: false, words });
    }
    Ok(pem)
}
