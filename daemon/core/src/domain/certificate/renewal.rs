//! When a certificate is renewed: an absolute instant, chosen once and stored; never "days left".

use claviger_config::{Moment, Reason, Span, certificate::RenewalSource};
use serde::{Deserialize, Serialize};

use super::{S, V, delivery, issue};
use crate::domain::{
    effect::{Chain, Query, Window},
    failure::{Failure, Retry},
    lot::lot,
    plan::Plan,
};

/// The instant of the renewal.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Renewal {
    /// When.
    pub at: Moment,
    /// Where it comes from.
    pub source: RenewalSource,
    /// The window that it was chosen in.
    pub window: Option<(Moment, Moment)>,
    /// Why the CA moved it.
    pub explanation_url: Option<String>,
}

pub(super) fn window_unknown(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    let certificate = issued.chain.renewal_id.clone()?;
    if view.seen.facts.window_again.is_some_and(|again| view.now < again) {
        return None;
    }
    let issuer = issued.issuer.as_ref().or_else(|| issue::choice(view).map(|choice| &choice.name))?.clone();
    let known = view.neighbours.accounts.contains_key(&issuer);
    known.then(|| Plan::look(Query::Window { issuer, certificate }, view.seen.record.said.reason))
}

pub(super) fn renewal_due(view: &V<'_>) -> Option<Plan> {
    let renewal = view.seen.record.memory.renewal.as_ref()?;
    (renewal.at <= view.now).then(|| issue::issue(view, Reason::RenewalDue))
}

pub(super) fn serving(view: &V<'_>) -> Option<Plan> {
    let memory = &view.seen.record.memory;
    memory.issued.as_ref().map(|_| Plan::rest(next(view), Reason::Issued))
}

/// The next instant at which something is planned for a certificate that is as it should be.
pub(super) fn next(view: &V<'_>) -> Option<Moment> {
    let renewal = view.seen.record.memory.renewal.as_ref().map(|renewal| renewal.at);
    let window = view.seen.facts.window_again.filter(|again| *again > view.now); // else it waits for an account, and is woken
    [renewal, window, Some(delivery::look_again(view))].into_iter().flatten().min()
}

/// Takes in what the CA suggests. An unchanged window keeps the instant that was chosen in it (RFC 9773 section 4.2).
pub(super) fn window(seen: &mut S, window: Option<Window>, now: Moment) {
    seen.facts.window_at = Some(now);
    let Some(window) = window else {
        seen.facts.window_again = Some(now + Span::days(1));
        return fall_back(seen, now);
    };
    if window.end <= window.start {
        // RFC 9773 section 4.2: such a window counts as no answer.
        seen.facts.window_again = Some(now + Span::hours(6));
        return fall_back(seen, now);
    }
    // Section 4.3.2 asks for limits of our own: a minute and a day.
    seen.facts.window_again = Some(window.ask_again.clamp(now + Span::minutes(1), now + Span::days(1)));
    let memory = &mut seen.record.memory;
    let Some(issued) = &memory.issued else { return };
    let bounds = (window.start, window.end);
    if memory.renewal.as_ref().is_some_and(|renewal| renewal.window == Some(bounds)) {
        return;
    }
    let chosen = window.start + Span(lot(seen.record.seed, window.start.0, window.end.since(window.start).0));
    memory.renewal = Some(Renewal {
        at: chosen.max(ceiling(&issued.chain)).min(floor(&issued.chain)),
        source: RenewalSource::Ari,
        window: Some(bounds),
        explanation_url: window.explanation_url,
    });
}

/// RFC 9773 section 4.3.3: renewal goes on without an answer; asked again in six hours, or when the CA said.
pub(super) fn unanswered(seen: &mut S, failure: &Failure, now: Moment) {
    seen.facts.window_again = Some(match failure.retry {
        Retry::At(at) => at.clamp(now + Span::minutes(1), now + Span::days(1)),
        Retry::Later | Retry::Never => now + Span::hours(6),
    });
    fall_back(seen, now);
}

/// Without a suggestion: two thirds of the lifetime, half of it below ten days. A suggestion that was heard before stays.
pub(super) fn fall_back(seen: &mut S, now: Moment) {
    let memory = &mut seen.record.memory;
    let Some(issued) = memory.issued.as_ref().filter(|_| memory.renewal.is_none()) else { return };
    let life = issued.chain.not_after.since(issued.chain.not_before);
    let share = if life < Span::days(10) { Span(life.0 / 2) } else { Span(life.0 / 3 * 2) };
    let spread = Span(lot(seen.record.seed, issued.chain.not_after.0, life.0 / 1_000));
    let at = (issued.chain.not_before + share + spread).min(floor(&issued.chain)).max(now);
    memory.renewal = Some(Renewal { at, source: RenewalSource::Lifetime, window: None, explanation_url: None });
}

/// One twentieth of the lifetime before the end: overrules every suggestion.
fn floor(chain: &Chain) -> Moment {
    chain.not_after - Span(chain.not_after.since(chain.not_before).0 / 20)
}

/// A day after it began, or a twentieth of the lifetime when that is shorter: a window in the past renews a new certificate once
/// and not for ever.
fn ceiling(chain: &Chain) -> Moment {
    let life = chain.not_after.since(chain.not_before);
    chain.not_before + Span(life.0 / 20).min(Span::days(1))
}
