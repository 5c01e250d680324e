//! When a certificate is renewed: an absolute instant, chosen once and stored; never "days left".

use claviger_config::{Moment, Reason, Span, certificate::RenewalSource};
use serde::{Deserialize, Serialize};

use super::{S, V, issuers, outlets};
use crate::domain::{
    effect::{Chain, Issued, Query, Window},
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
    let issuer = issued.issuer.as_ref().or_else(|| issuers::choice(view).map(|choice| &choice.name))?.clone();
    let known = view.neighbours.accounts.contains_key(&issuer);
    known.then(|| Plan::look(Query::Window { issuer, certificate }, view.seen.record.said.reason))
}

pub(super) fn serving(view: &V<'_>) -> Option<Plan> {
    let memory = &view.seen.record.memory;
    memory.issued.as_ref().map(|_| Plan::rest(next(view), Reason::Issued))
}

/// The next instant at which something is planned for a certificate that is as it should be.
pub(super) fn next(view: &V<'_>) -> Option<Moment> {
    let renewal = view.seen.record.memory.renewal.as_ref().map(|renewal| renewal.at);
    let window = view.seen.facts.window_again.filter(|again| *again > view.now); // else it waits for an account, and is woken
    [renewal, window, Some(outlets::look_again(view))].into_iter().flatten().min()
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
        at: chosen.min(floor(&issued.chain)).max(ceiling(issued)),
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
    let at = at.max(ceiling(issued));
    memory.renewal = Some(Renewal { at, source: RenewalSource::Lifetime, window: None, explanation_url: None });
}

/// One twentieth of the lifetime before the end: overrules every suggestion.
fn floor(chain: &Chain) -> Moment {
    chain.not_after - Span(chain.not_after.since(chain.not_before).0 / 20)
}

/// A day after it began and after we had it, or a twentieth of the lifetime when that is shorter: neither a window in the past nor a
/// clock that is ahead renews a new certificate for ever.
fn ceiling(issued: &Issued) -> Moment {
    let chain = &issued.chain;
    let life = chain.not_after.since(chain.not_before);
    let begun = if issued.issuer.is_some() { issued.at.max(chain.not_before) } else { chain.not_before };
    begun + Span(life.0 / 20).min(Span::days(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        certificate::{Certificate, delivery},
        effect::{AcmeEffect, Effect, News},
        given::{self, Given, NOW, chain, glance, serving, serving_for},
        plan::Step,
    };

    /// Issued and delivered for so many days; the CA has not been asked for a window yet.
    fn delivered(days: i64) -> Given<Certificate> {
        given::deliver(given::issue(glance(given::certificate()), "key-1", days))
    }

    fn suggestion(start: Moment, end: Moment) -> Option<Window> {
        Some(Window { start, end, ask_again: NOW + Span::hours(6), explanation_url: Some("https://why".to_owned()) })
    }

    fn told(given: Given<Certificate>, start: Moment, end: Moment) -> Given<Certificate> {
        given.hears(News::Window(suggestion(start, end)))
    }

    fn at(given: &Given<Certificate>) -> Moment {
        given.seen.record.memory.renewal.as_ref().unwrap().at
    }

    fn day(n: i64) -> Moment {
        NOW + Span::days(n)
    }

    #[test]
    fn without_a_suggestion_two_thirds_of_the_lifetime_pass_and_half_below_ten_days() {
        for (days, share) in [(90, 60.0), (45, 30.0), (10, 6.67), (6, 3.0)] {
            let passed = at(&serving_for(days, &["nginx"])).since(NOW).0 as f64 / 86_400_000.0;
            assert!((passed - share).abs() < 0.15, "{days} days: renewed after {passed}");
        }
        assert_eq!(serving().seen.record.memory.renewal.unwrap().source, RenewalSource::Lifetime);
    }

    #[test]
    fn a_clock_that_is_far_ahead_renews_once_a_day_and_not_for_ever() {
        let mut given = delivered(90);
        let memory = &mut given.seen.record.memory;
        let chain = &mut memory.issued.as_mut().unwrap().chain;
        (chain.not_before, chain.not_after, memory.renewal) = (day(-70), day(20), None);
        fall_back(&mut given.seen, given.now);
        assert_eq!(at(&given), day(1));
        window(&mut given.seen, suggestion(day(-60), day(-59)), given.now);
        assert_eq!(at(&given), day(1));
    }

    #[test]
    fn the_instant_is_absolute_and_outlives_a_restart() {
        let given = serving();
        let before = at(&given);
        let given = glance(given.later(Span::days(59)).restarted()).hears(News::Window(None));
        assert_eq!(at(&given), before);
        assert_eq!(given.reason(), Reason::Issued);
        let given = glance(given.at(before)).hears(News::Window(None));
        assert_eq!(given.reason(), Reason::RenewalDue);
    }

    #[test]
    fn an_instant_in_the_window_of_the_ca_is_drawn_once_and_kept_while_the_window_stays() {
        let given = told(delivered(90), day(50), day(52));
        let chosen = at(&given);
        assert!((day(50)..day(52)).contains(&chosen));
        let renewal = given.seen.record.memory.renewal.clone().unwrap();
        assert_eq!((renewal.source, renewal.explanation_url.as_deref()), (RenewalSource::Ari, Some("https://why")));
        let given = told(glance(given.later(Span::hours(7)).restarted()), day(50), day(52));
        assert_eq!(at(&given), chosen);
        let given = told(glance(given.later(Span::days(1))), day(10), day(11));
        assert!((day(10)..day(11)).contains(&at(&given)), "the CA moved the window");
    }

    #[test]
    fn a_renewal_says_what_it_replaces() {
        let given = told(delivered(90), day(50), day(52));
        let due = at(&given);
        let given = told(glance(given.at(due)), day(50), day(52));
        let algorithm = claviger_config::KeyAlgorithm::EcdsaP256;
        let key = News::KeySealed(crate::domain::effect::KeyUse::Certificate, given::sealed("key-2", algorithm));
        let Effect::Acme(AcmeEffect::OpenOrder { replaces, .. }) = given.hears(key).act() else { panic!("an order") };
        assert_eq!(replaces.as_deref(), Some("id-key-1"));
    }

    #[test]
    fn a_window_in_the_past_renews_at_once_but_never_in_a_circle() {
        let given = told(glance(serving().later(Span::days(20))), day(-10), day(-9));
        assert_eq!(given.reason(), Reason::RenewalDue);
        let given = given::deliver(given::issue(given, "key-2", 90));
        let given = told(given, day(-10), day(-9)).noted();
        assert_eq!((given.reason(), at(&given)), (Reason::Issued, day(21)), "a day for a new certificate");
    }

    #[test]
    fn the_floor_overrules_a_window_that_comes_too_late() {
        let given = told(delivered(90), day(400), day(401));
        assert_eq!(at(&given), day(90) - Span(Span::days(90).0 / 20));
    }

    #[test]
    fn a_window_that_ends_before_it_begins_counts_as_no_answer() {
        let given = told(delivered(90), day(50), day(49));
        assert_eq!(given.seen.record.memory.renewal.as_ref().unwrap().source, RenewalSource::Lifetime);
        assert_eq!(given.seen.facts.window_again, Some(NOW + Span::hours(6)));
    }

    #[test]
    fn the_ca_is_asked_again_when_it_says_within_a_minute_and_a_day() {
        for (asked, kept) in [(Span::days(400), Span::days(1)), (Span(-5), Span::minutes(1))] {
            let window = Window { ask_again: NOW + asked, ..suggestion(day(50), day(51)).unwrap() };
            let given = delivered(90).hears(News::Window(Some(window)));
            assert_eq!(given.seen.facts.window_again, Some(NOW + kept));
        }
    }

    #[test]
    fn renewal_goes_on_without_an_answer() {
        let down = Failure::new(Reason::AcmeUnreachable, "no answer");
        let given = delivered(90).fails(down.clone());
        assert!(given.seen.record.trouble.is_none());
        assert_eq!((given.reason(), given.seen.facts.window_again), (Reason::Issued, Some(NOW + Span::hours(6))));
        let given = told(delivered(90), day(50), day(52));
        let chosen = at(&given);
        let given = glance(given.later(Span::hours(7))).fails(down.retry(Retry::At(day(100))));
        assert_eq!(at(&given), chosen, "a suggestion that was heard before stays");
        assert_eq!(given.seen.facts.window_again, Some(given.now + Span::days(1)));
    }

    #[test]
    fn an_adopted_certificate_near_its_end_is_renewed_at_once() {
        let mut given = glance(given::certificate());
        let issued = Issued {
            chain: chain("key-1", day(-88), 90),
            key: given::sealed("key-1", claviger_config::KeyAlgorithm::EcdsaP256),
            issuer: None,
            profile: None,
            at: NOW,
        };
        delivery::adopted(&mut given.seen, &Step::Rest, Some(issued));
        assert_eq!(at(&given), NOW);
        let given = told(given::deliver(given), day(-30), day(-29));
        assert_eq!(given.reason(), Reason::RenewalDue);
    }

    #[test]
    fn a_certificate_without_an_account_at_its_issuer_rests_and_is_not_busy() {
        let mut given = serving();
        given.neighbours.accounts.clear();
        let given = glance(given.later(Span::days(2)));
        assert_eq!(given.rest(), (Reason::Issued, Some(given.now + Span::hours(1))));
    }

    proptest! {
        #[test]
        fn whatever_the_ca_suggests_there_is_time_left(
            days in 1_i64..400, start in -400_i64..800, width in -10_i64..100, seed: u64,
        ) {
            let mut given = delivered(days);
            given.seen.record.seed = seed;
            let given = told(given, day(start), day(start + width));
            let life = Span::days(days).0;
            prop_assert!(at(&given) >= NOW + Span(life / 20).min(Span::days(1)));
            prop_assert!(at(&given) <= NOW + Span(life - life / 20));
        }
    }
}
