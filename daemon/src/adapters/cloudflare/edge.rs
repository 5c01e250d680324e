//! Plays `Edge`: one environment's custom host names.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use claviger_config::{DnsName, EnvironmentName, Moment, Reason, Span, desired::Surroundings};
use claviger_core::{
    domain::{
        budget::Class,
        effect::{EdgeSettings, HostnameSeen},
        failure::Failure,
    },
    ports::{Answer, Clock, Edge},
};

use super::{
    envelope::Reply,
    fault::{Attempt, Fault, label},
    rate::Rate,
    seen::{FallbackOrigin, Hostname, Quota},
    sender::{BadSender, Sender, Timing},
    standing::Standing,
    token::{self, Token},
    wire::{Call, Create, Edit, ROWS, ReadFallbackOrigin, ReadOne, ReadQuota, Search, method},
};
use crate::adapters::aside::Secrets;

/// Pages that are read at most for one exact name.
const MOST_PAGES: usize = 20;

/// One call, as metrics count it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The environment whose token was used.
    pub environment: &'a EnvironmentName,
    /// For example `create_hostname`.
    pub operation: &'static str,
    /// Cloudflare's error code, else the HTTP status, else a word such as `timed-out`.
    pub code: &'a str,
    /// Whether Cloudflare did what it was asked.
    pub succeeded: bool,
    /// When it ended.
    pub at: Moment,
    /// How long it took.
    pub took: Span,
    /// The limits that came with the answer.
    pub rate: Rate,
}

/// Is told of every call that was sent.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// Cloudflare SSL for SaaS, for every environment that has an edge.
pub struct CloudflareEdge {
    clock: Arc<dyn Clock>,
    sender: Sender,
    files: Option<PathBuf>,
    secrets: Option<Secrets>,
    observer: Observer,
    standing: Mutex<BTreeMap<EnvironmentName, Standing>>,
}

/// One environment's zone with its token, for the calls of one call of the port.
struct Zone<'a> {
    environment: &'a EnvironmentName,
    id: &'a str,
    token: Token,
}

impl CloudflareEdge {
    /// Sends to `base_url`, or to Cloudflare, with tokens from files below `files` (the setting `files.read`).
    pub fn new(
        clock: Arc<dyn Clock>,
        base_url: Option<&str>,
        files: Option<PathBuf>,
        observer: Observer,
    ) -> Result<Self, BadSender> {
        Self::timed(clock, base_url, files, observer, Timing::USUAL)
    }

    /// The same, with tokens from Secrets of a cluster too.
    #[must_use]
    pub fn with_secrets(self, secrets: Option<Secrets>) -> Self {
        Self { secrets, ..self }
    }

    pub(super) fn timed(
        clock: Arc<dyn Clock>,
        base_url: Option<&str>,
        files: Option<PathBuf>,
        observer: Observer,
        timing: Timing,
    ) -> Result<Self, BadSender> {
        Ok(Self {
            clock,
            sender: Sender::new(base_url, timing)?,
            files,
            secrets: None,
            observer,
            standing: Mutex::default(),
        })
    }

    /// When Cloudflare last did what this environment asked; absent before the first time.
    pub fn last_success(&self, environment: &EnvironmentName) -> Option<Moment> {
        self.standing().get(environment)?.last_success
    }

    /// Where requests go that no custom origin is set for; `None` when the zone has none.
    pub fn fallback_origin<'a>(&'a self, at: &'a Surroundings) -> Answer<'a, Option<FallbackOrigin>> {
        Box::pin(async move {
            let zone = self.enter(at).await?;
            match self.call(&zone, &ReadFallbackOrigin { zone: zone.id }, zone.id).await {
                Ok(reply) => Ok(Some(reply.result).filter(|origin| origin.origin.is_some())),
                Err(fault) if fault.has_code(1551) => Ok(None),
                Err(fault) => Err(self.failure::<ReadFallbackOrigin<'_>>(fault, zone.id)),
            }
        })
    }

    /// How many custom host names the zone may have.
    pub fn quota<'a>(&'a self, at: &'a Surroundings) -> Answer<'a, Quota> {
        Box::pin(async move {
            let zone = self.enter(at).await?;
            let reply = self.call(&zone, &ReadQuota { zone: zone.id }, zone.id).await;
            reply.map(|reply| reply.result).map_err(|fault| self.failure::<ReadQuota<'_>>(fault, zone.id))
        })
    }

    async fn enter<'a>(&self, at: &'a Surroundings) -> Result<Zone<'a>, Failure> {
        let Some(edge) = &at.spec.edge else {
            let message = format!("environment `{}` has no `edge`, so it has no place for host names", at.name);
            return Err(Failure::new(Reason::SettingMissing, message).fix("add `edge.cloudflare` to the environment"));
        };
        let edge = &edge.cloudflare;
        let token = match (&edge.api_token.secret, &self.secrets) {
            (Some(key), Some(secrets)) => token::of(&secrets(key.clone()).await?, &format!("{}/{}", key.name, key.key)),
            _ => token::read(self.files.as_deref(), &edge.api_token).await,
        };
        let token = token.map_err(|problem| problem.into_failure(at.name.as_str(), self.clock.now()))?;
        Ok(Zone { environment: &at.name, id: &edge.zone_id, token })
    }

    /// Sends once and counts it, unless an earlier answer said that there is no room.
    async fn call<C: Call>(&self, zone: &Zone<'_>, call: &C, subject: &str) -> Result<Reply<C::JsonResponse>, Fault> {
        let out = self.set_out(zone.environment)?;
        let began = self.clock.now();
        let reply = self.sender.send(&*self.clock, &zone.token, call, C::LONGEST).await;
        self.note::<C>(zone, subject, began, &reply);
        drop(out); // counted until its answer is taken in
        reply
    }

    /// Takes a place among the calls that are out, when there is room for one more.
    fn set_out<'a>(&'a self, environment: &'a EnvironmentName) -> Result<Out<'a>, Fault> {
        let mut standing = self.standing();
        let standing = standing.entry(environment.clone()).or_default();
        if let Some(until) = standing.closed_until(self.clock.now()) {
            return Err(Fault::Closed { until });
        }
        standing.out += 1;
        Ok(Out { edge: self, environment })
    }

    fn note<C: Call>(
        &self,
        zone: &Zone<'_>,
        subject: &str,
        began: Moment,
        reply: &Result<Reply<C::JsonResponse>, Fault>,
    ) {
        let (at, environment, operation) = (self.clock.now(), zone.environment, C::OPERATION);
        let (code, rate) = match reply {
            Ok(reply) => (label(reply.status), reply.rate),
            Err(fault) => (fault.label(), fault.rate()),
        };
        for message in reply.iter().flat_map(|reply| &reply.messages) {
            tracing::info!(%environment, operation, subject, message, "Cloudflare remarks");
        }
        let limit = reply.as_ref().err().and_then(|fault| fault.limit(self.attempt::<C>(subject)));
        let limited = limit.and_then(|(class, until)| (class == Class::EdgeCalls).then_some(until));
        let succeeded = reply.is_ok();
        self.remember(environment, succeeded.then_some(at), limited.or_else(|| rate.closed_until()), rate);
        (self.observer)(&Observed { environment, operation, code: &code, succeeded, at, took: at.since(began), rate });
    }

    fn remember(
        &self,
        environment: &EnvironmentName,
        success: Option<Moment>,
        closed_until: Option<Moment>,
        rate: Rate,
    ) {
        let now = self.clock.now();
        let mut standing = self.standing();
        let standing = standing.entry(environment.clone()).or_default();
        standing.last_success = success.or(standing.last_success);
        standing.closed_until = closed_until.or(standing.closed_until);
        standing.hear(rate, now);
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<EnvironmentName, Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt<'a, C: Call>(&self, subject: &'a str) -> Attempt<'a> {
        Attempt { task: C::TASK, subject, changes: C::CHANGES, now: self.clock.now() }
    }

    fn failure<C: Call>(&self, fault: Fault, subject: &str) -> Failure {
        fault.into_failure(self.attempt::<C>(subject))
    }

    async fn by_id(&self, zone: &Zone<'_>, hostname: &DnsName, id: &str) -> Result<Option<Hostname>, Failure> {
        match self.call(zone, &ReadOne { zone: zone.id, id }, hostname.as_str()).await {
            Ok(reply) => Ok(Some(reply.result).filter(|found| found.is(hostname.as_str()))),
            // Whether it is there at all is said by the list: a 404 may come from anything on the way.
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(self.failure::<ReadOne<'_>>(fault, hostname.as_str())),
        }
    }

    /// The row of exactly that name. The filter is not trusted: an edge that ignores it must not make a name look missing.
    async fn by_name(&self, zone: &Zone<'_>, hostname: &DnsName) -> Result<Option<Hostname>, Failure> {
        let mut leaving = None;
        for page in 1..=MOST_PAGES {
            let search = Search { zone: zone.id, hostname, page };
            let reply = self.call(zone, &search, hostname.as_str()).await;
            let reply = reply.map_err(|fault| self.failure::<Search<'_>>(fault, hostname.as_str()))?;
            let rows = reply.result.0;
            let last = rows.len() < reply.per_page.map_or(ROWS, |granted| granted.clamp(1, ROWS));
            for found in rows.into_iter().filter(|found| found.is(hostname.as_str())) {
                if !found.is_leaving() {
                    return Ok(Some(found));
                }
                leaving = Some(found);
            }
            if last || leaving.is_some() {
                return Ok(leaving);
            }
        }
        Err(filter_ignored(hostname))
    }

    fn seen(&self, found: Hostname) -> HostnameSeen {
        found.into_seen(self.clock.now())
    }

    async fn create_one(
        &self,
        at: &Surroundings,
        hostname: &DnsName,
        settings: EdgeSettings,
    ) -> Result<HostnameSeen, Failure> {
        let zone = self.enter(at).await?;
        match self.call(&zone, &Create { zone: zone.id, hostname, settings }, hostname.as_str()).await {
            Ok(reply) if reply.result.is(hostname.as_str()) => Ok(self.seen(reply.result)),
            Ok(reply) => Err(another(hostname, &reply.result).maybe_done()),
            // The same code says "it is in your zone" and "it is in somebody's zone".
            Err(fault) if fault.has_code(1406) => match self.by_name(&zone, hostname).await? {
                Some(found) => Ok(self.seen(found)),
                None => Err(self.failure::<Create<'_>>(fault, hostname.as_str())),
            },
            Err(fault) => Err(self.failure::<Create<'_>>(fault, hostname.as_str())),
        }
    }

    async fn find_one(
        &self,
        at: &Surroundings,
        hostname: &DnsName,
        id: Option<&str>,
    ) -> Result<Option<HostnameSeen>, Failure> {
        let zone = self.enter(at).await?;
        let known = match id {
            Some(id) => self.by_id(&zone, hostname, id).await?,
            None => None,
        };
        let found = match known {
            Some(found) => Some(found),
            None => self.by_name(&zone, hostname).await?,
        };
        Ok(found.map(|found| self.seen(found)))
    }

    async fn update_one(
        &self,
        at: &Surroundings,
        hostname: &DnsName,
        id: &str,
        settings: EdgeSettings,
    ) -> Result<HostnameSeen, Failure> {
        let zone = self.enter(at).await?;
        let edited = self.call(&zone, &Edit { zone: zone.id, id, hostname, settings }, hostname.as_str()).await;
        edited.map_err(|fault| self.failure::<Edit<'_>>(fault, hostname.as_str()))?;
        let read = self.call(&zone, &ReadOne { zone: zone.id, id }, hostname.as_str()).await;
        let read = read.map_err(|fault| self.failure::<ReadOne<'_>>(fault, hostname.as_str()).maybe_done())?;
        if !read.result.is(hostname.as_str()) {
            return Err(another(hostname, &read.result).maybe_done());
        }
        let seen = self.seen(read.result);
        match unchanged(&seen, settings) {
            Some(words) => Err(not_made(hostname, &words)),
            None => Ok(seen),
        }
    }
}

/// A call that is out; also one that is given up counts no longer.
struct Out<'a> {
    edge: &'a CloudflareEdge,
    environment: &'a EnvironmentName,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if let Some(standing) = self.edge.standing().get_mut(self.environment) {
            standing.out = standing.out.saturating_sub(1);
        }
    }
}

impl Edge for CloudflareEdge {
    fn create<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen> {
        Box::pin(self.create_one(at, hostname, settings))
    }

    fn find<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        id: Option<&'a str>,
    ) -> Answer<'a, Option<HostnameSeen>> {
        Box::pin(self.find_one(at, hostname, id))
    }

    fn update<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        id: &'a str,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen> {
        Box::pin(self.update_one(at, hostname, id, settings))
    }
}

/// The owned fields that are not as they were asked for, in words.
fn unchanged(seen: &HostnameSeen, settings: EdgeSettings) -> Option<String> {
    let certificate = seen.certificate.as_ref();
    let told = |value: Option<&str>| value.unwrap_or("nothing").to_owned();
    let shown = certificate.and_then(|certificate| certificate.method.as_deref());
    if shown != Some(method(settings.validation)) {
        return Some(format!("`ssl.method` is {} and not {}", told(shown), method(settings.validation)));
    }
    let wanted = settings.min_tls_version?.word();
    let shown = certificate.and_then(|certificate| certificate.min_tls_version.as_deref());
    (shown != Some(wanted)).then(|| format!("`ssl.settings.min_tls_version` is {} and not {wanted}", told(shown)))
}

fn not_made(hostname: &DnsName, words: &str) -> Failure {
    let message = format!("cannot change `{hostname}`: Cloudflare accepted the change and did not make it: {words}");
    Failure::new(Reason::EdgeUnchanged, message)
        .maybe_done()
        .fix("change it in Cloudflare's dashboard, or ask its support")
}

fn another(hostname: &DnsName, found: &Hostname) -> Failure {
    let message =
        format!("Cloudflare answered with `{}` (id {}) where `{hostname}` was asked for", found.hostname, found.id);
    Failure::new(Reason::AnswerNotUnderstood, message).fix("report it with both names")
}

fn filter_ignored(hostname: &DnsName) -> Failure {
    let message =
        format!("cannot look up `{hostname}`: {MOST_PAGES} pages asked for by exact name hold other names only");
    Failure::new(Reason::AnswerNotUnderstood, message)
        .fix("check that `endpoints.cloudflare` leads to Cloudflare's API")
}
