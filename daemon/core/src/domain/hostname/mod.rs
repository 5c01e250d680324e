//! Customers' host names at the edge: created, watched until ownership and certificate are both active, kept equal, started
//! again when stuck. A removed name is left where it is.

mod machine;
mod records;
mod watch;

use claviger_config::{
    Kind, Moment, Reason,
    admin::{Check, ExplainedStep, StepState},
    condition::CommonStatus,
    desired::Spec,
    environment::CloudflareEdge,
    hostname::{CustomHostnameSpec, CustomHostnameStatus, EdgeOrigin, EdgeView, RecordPurpose, Verdict},
};
use serde::{Deserialize, Serialize};

use super::{
    effect::{DnsAnswer, EdgeEffect, EdgeSettings, Effect, HostnameSeen, News, Query},
    failure::Failure,
    noun::{Noun, OutOfTurn, Ready, Rule, Seen, View, Viewed, explained},
    plan::Step,
};

/// `CustomHostname`.
#[derive(Clone, Debug)]
pub struct Hostname;

/// What is remembered of a host name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Its id at the edge and how it came there.
    pub edge: Option<Place>,
    /// Since when it has been in the state that it is in.
    pub since: Option<Moment>,
    /// The words of that state, to see a change.
    pub state: Option<(String, String)>,
    /// When validation was last started again, and how often since the state changed.
    pub refreshed: Option<(Moment, u32)>,
    /// The end of the certificate that was last seen in service.
    #[serde(default)]
    pub served_until: Option<Moment>,
}

/// Its place at the edge.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Place {
    /// The id.
    pub id: String,
    /// How it came there.
    pub origin: EdgeOrigin,
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Facts {
    /// The host name at the edge; `None` inside: there is none.
    pub seen: Option<(Option<Box<HostnameSeen>>, Moment)>,
    /// What DNS showed.
    pub answers: Vec<DnsAnswer>,
    /// When.
    pub answered_at: Option<Moment>,
}

impl Noun for Hostname {
    const KIND: Kind = Kind::CustomHostname;
    type Spec = CustomHostnameSpec;
    type Memory = Memory;
    type Facts = Facts;
    const RULES: &'static [Rule<Self>] = &[
        watch::edge_missing,
        watch::unseen,
        watch::missing,
        watch::differs,
        watch::records_unseen,
        watch::blocked,
        watch::forbidden_by_caa,
        watch::stuck,
        watch::moved,
        watch::awaiting_customer,
        watch::awaiting_certificate,
        watch::active,
    ];

    fn spec(spec: &Spec) -> Option<&CustomHostnameSpec> {
        if let Spec::CustomHostname(spec) = spec { Some(spec) } else { None }
    }

    fn ready(view: &View<'_, Self>) -> Ready {
        if let Some(refusal) = &view.wanted.refusal {
            return Ready::False(refusal.reason);
        }
        let Some((seen, _)) = &view.seen.facts.seen else { return Ready::Unknown(Reason::NotObserved) };
        let Some(seen) = seen else { return Ready::False(Reason::Missing) };
        if !machine::serves(seen, view.now) {
            return Ready::False(watch::phase(view));
        }
        match records::traffic(view) {
            Verdict::Add | Verdict::Conflict => Ready::False(Reason::HostnameMoved),
            Verdict::Ok | Verdict::Unknown => Ready::True(Reason::Active),
        }
    }

    fn hear(seen: &mut Seen<Self>, step: &Step, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn> {
        match news {
            News::Hostname(mut found) => {
                if let Some(found) = &mut found {
                    watch::take_end_of_service(&mut seen.record.memory, found);
                }
                watch::remember(seen, step, found.as_deref(), now);
                let unchanged = found.as_deref().and_then(|found| watch::unchanged(step, found));
                seen.facts.seen = Some((found, now));
                seen.record.ask = None;
                return Ok(unchanged);
            }
            News::Records(answers) => (seen.facts.answers, seen.facts.answered_at) = (answers, Some(now)),
            news => return Err(OutOfTurn { kind: Self::KIND, news: news.word() }),
        }
        Ok(None)
    }

    fn bears(seen: &mut Seen<Self>, step: &Step, _failure: &Failure, now: Moment) -> bool {
        match step {
            Step::Look(Query::Records { .. }) => {
                (seen.facts.answers, seen.facts.answered_at) = (Vec::new(), Some(now)); // unknown, not missing
                true
            }
            Step::Act(Effect::Edge(EdgeEffect::Create { .. })) => {
                seen.facts.seen = None; // looked for before it is tried again
                false
            }
            _ => false,
        }
    }

    fn hurts(view: &View<'_, Self>) -> Option<Moment> {
        view.seen.facts.seen.as_ref()?.0.as_ref()?.certificate.as_ref()?.not_after
    }

    fn claims(view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        vec![("hostname", view.spec.hostname.to_string())]
    }

    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value {
        let edge = view.seen.facts.seen.as_ref().and_then(|(seen, at)| shown(view, seen.as_deref()?, *at));
        let status = CustomHostnameStatus {
            common,
            origin: view.wanted.map(|wanted| wanted.origin),
            edge,
            records: records::shown(view),
        };
        serde_json::to_value(status).unwrap_or_default()
    }

    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep> {
        steps(view)
    }
}

type V<'a> = View<'a, Hostname>;

fn zone<'a>(view: &V<'a>) -> Option<&'a CloudflareEdge> {
    view.wanted.environment.as_ref()?.spec.edge.as_ref().map(|edge| &edge.cloudflare)
}

fn settings(view: &V<'_>) -> Option<EdgeSettings> {
    let defaults = &zone(view)?.defaults;
    let validation = view.spec.validation.unwrap_or(defaults.validation);
    Some(EdgeSettings { validation, min_tls_version: defaults.min_tls_version })
}

fn shown(view: &Viewed<'_, Hostname>, seen: &HostnameSeen, at: Moment) -> Option<EdgeView> {
    let place = view.seen.record.memory.edge.as_ref()?;
    Some(EdgeView {
        id: place.id.clone(),
        origin: place.origin,
        hostname: seen.status.clone(),
        certificate: seen.certificate.as_ref().map(|certificate| certificate.status.clone()),
        not_after: seen.certificate.as_ref().and_then(|certificate| certificate.not_after).map(|at| at.to_second()),
        observed_at: at.to_second(),
    })
}

fn steps(view: &Viewed<'_, Hostname>) -> Vec<ExplainedStep> {
    let memory = &view.seen.record.memory;
    let seen = view.seen.facts.seen.as_ref().and_then(|(seen, _)| seen.as_deref());
    let records = records::shown(view);
    let points = records.iter().any(|record| record.purpose == RecordPurpose::Traffic && record.verdict == Verdict::Ok);
    let done = [
        ("CreateHostname", memory.edge.is_some()),
        ("CustomerRecords", points),
        ("Ownership", seen.is_some_and(machine::owned)),
        ("Certificate", seen.is_some_and(|seen| machine::certified(seen, view.now))),
    ];
    let reached = done.iter().position(|(_, done)| !done).unwrap_or(done.len());
    let state = |index: usize, done: bool| match index == reached {
        _ if done => StepState::Done,
        true if view.seen.record.trouble.is_some() => StepState::Failed,
        true => StepState::Current,
        false => StepState::Waiting,
    };
    let mut steps: Vec<_> =
        done.iter().enumerate().map(|(index, (name, done))| explained(name, state(index, *done))).collect();
    steps[0].r#ref = memory.edge.as_ref().map(|place| place.id.clone());
    let check = |record: claviger_config::hostname::CustomerRecord| Check {
        server: format!("{} {}", record.r#type, record.name),
        saw: if record.verdict == Verdict::Ok { vec![record.value.clone()] } else { record.found },
        want: record.value,
    };
    steps[1].checks = records.into_iter().filter(|record| !record.optional).map(check).collect();
    let errors = |texts: &[String], want: &str| {
        texts
            .iter()
            .map(|text| Check { server: "cloudflare".to_owned(), saw: vec![text.clone()], want: want.to_owned() })
            .collect()
    };
    if let Some(seen) = seen {
        steps[2].checks = errors(&seen.errors, "status active");
        let texts = seen.certificate.as_ref().map_or(&[] as &[String], |certificate| &certificate.errors);
        steps[3].checks = errors(texts, "ssl.status active");
    }
    steps
}
