//! What claviger remembers of one subject. Memory, not truth: it may be lost, and a blank one leads to adoption of what is there.

use claviger_config::{
    EnvironmentName, Moment, Reason, Span, Turn, admin::HistoryEntry, condition::ConditionStatus, desired::Wanted,
};
use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    effect::{Again, Effect, News},
    failure::{Done, Failure, Retry},
    lot::lot,
    noun::{Noun, OutOfTurn, Ready},
    plan::{Plan, Step},
};

/// A row in SQLite, part of `status` in Kubernetes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record<M> {
    /// Drawn once, at birth: root of every intent id and of every choice that must look random.
    pub seed: u64,
    /// For life; absent until an environment claims the namespace.
    pub environment: Option<EnvironmentName>,
    /// The generation of the document that this speaks of.
    pub generation: u64,
    /// How many intents there were.
    pub intents: u64,
    /// Stored before the effect, gone with its outcome. Still there when a pass begins: unanswered.
    pub intent: Option<Intent>,
    /// What does not work out, and when it is tried again.
    pub trouble: Option<Trouble>,
    /// What a person asked for.
    pub ask: Option<Ask>,
    /// When its document went away.
    pub released: Option<Moment>,
    /// What was said last.
    pub said: Said,
    /// What happened, newest last.
    pub history: Vec<HistoryEntry>,
    /// What the kind remembers.
    pub memory: M,
}

/// An effect written down before it is tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Intent {
    /// Its id: seed and number.
    pub id: String,
    /// The effect, whole.
    pub effect: Effect,
    /// When it was written down.
    pub since: Moment,
}

/// What does not work out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trouble {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// What a person can do.
    pub fix: Vec<String>,
    /// Failures in a row.
    pub count: u32,
    /// Since when.
    pub since: Moment,
    /// When it is tried again; absent: when the document changes or a person asks.
    pub until: Option<Moment>,
}

impl Trouble {
    /// Whether it still keeps the subject waiting.
    pub fn holds(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a person asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ask {
    /// Who.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: String,
    /// A ticket.
    pub ticket: Option<String>,
    /// When.
    pub at: Moment,
    /// Whether it still lifts the back-off.
    pub fresh: bool,
}

/// What was said last, so that a change can be dated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Said {
    /// Condition `Ready`.
    pub ready: Dated,
    /// Condition `OnSchedule`.
    pub on_schedule: Dated,
    /// Why, and since when.
    pub reason: Reason,
    /// Since when.
    pub since: Moment,
}

/// A condition and when it last changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Dated {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// When `status` last changed.
    pub since: Moment,
}

impl Dated {
    fn say(&mut self, status: ConditionStatus, reason: Reason, now: Moment) {
        if self.status != status {
            self.since = now;
        }
        (self.status, self.reason) = (status, reason);
    }
}

/// Others may take an hour before it counts as late.
pub const PATIENCE: Span = Span::hours(1);

/// Whether a plan says that what was tried has worked out: it rests, and not in the middle of the way.
fn settles(plan: &Plan) -> bool {
    use Reason::{AccountPending, BudgetSpent, Missing, ProvingControl, Unanswered, WrappingKeyNotReady};
    let on_the_way = matches!(
        plan.reason,
        AccountPending | BudgetSpent | Missing | ProvingControl | Unanswered | WrappingKeyNotReady
    );
    plan.step == Step::Rest && !on_the_way
}

/// How much history a record keeps.
const HISTORY: usize = 16;

impl<M: Default> Record<M> {
    /// A blank memory.
    pub fn blank(seed: u64, now: Moment) -> Self {
        let unknown = Dated { status: ConditionStatus::Unknown, reason: Reason::NotObserved, since: now };
        Self {
            seed,
            environment: None,
            generation: 0,
            intents: 0,
            intent: None,
            trouble: None,
            ask: None,
            released: None,
            said: Said { ready: unknown, on_schedule: unknown, reason: Reason::NotObserved, since: now },
            history: Vec::new(),
            memory: M::default(),
        }
    }
}

/// Record and volatile facts (absent = unknown). Lives in the daemon between passes.
#[derive(Clone, Debug)]
pub struct Seen<N: Noun> {
    /// What is remembered.
    pub record: Record<N::Memory>,
    /// What was seen since the start.
    pub facts: N::Facts,
    /// When the far side last denied an unanswered intent that it may not show yet.
    pub recalled: Option<Moment>,
}

impl<N: Noun> Seen<N> {
    /// A record just loaded or born; nothing seen yet.
    pub fn new(record: Record<N::Memory>) -> Self {
        Self { record, facts: N::Facts::default(), recalled: None }
    }

    /// Takes in what a step brought: the only place where an intent goes. The news of a recall is the news of the effect.
    ///
    /// # Errors
    /// News that nobody asked for: a fault in claviger.
    pub fn hear(&mut self, step: &Step, heard: Result<Option<News>, Failure>, now: Moment) -> Result<(), OutOfTurn> {
        match heard {
            Ok(Some(news)) => {
                (self.record.intent, self.recalled) = (None, None);
                if let Some(failure) = N::hear(self, step, news, now)? {
                    self.fail(failure.bounded(now), now);
                }
            }
            Ok(None) => self.denied(now),
            Err(failure) => {
                let failure = failure.bounded(now);
                if failure.done == Done::No && matches!(step, Step::Act(_)) {
                    self.record.intent = None;
                }
                if !N::bears(self, step, &failure, now) {
                    self.fail(failure, now);
                }
            }
        }
        Ok(())
    }

    /// The far side says that it never happened; that counts once it can no longer be a late view.
    fn denied(&mut self, now: Moment) {
        let settle = self.record.intent.as_ref().map_or(Span(0), |intent| match intent.effect.terms().again {
            Again::AfterAsking { settle } => settle,
            Again::Freely => Span(0),
        });
        if self.record.intent.as_ref().is_none_or(|intent| intent.since + settle <= now) {
            (self.record.intent, self.recalled) = (None, None);
        } else {
            self.recalled = Some(now);
        }
    }

    fn fail(&mut self, failure: Failure, now: Moment) {
        let before = self.record.trouble.take();
        self.record.trouble = Some(self.worse(before.as_ref(), failure, now));
    }

    /// One more failure in a row.
    pub fn worse(&self, before: Option<&Trouble>, failure: Failure, now: Moment) -> Trouble {
        let count = before.map_or(1, |trouble| trouble.count.saturating_add(1));
        let until = match failure.retry {
            Retry::At(at) => Some(at),
            Retry::Later => Some(self.back_off(count, now)),
            Retry::Never => None,
        };
        let since = before.map_or(now, |trouble| trouble.since);
        Trouble { reason: failure.reason, message: failure.message, fix: failure.fix, count, since, until }
    }

    /// 1, 10 and 100 minutes, then daily, a tenth of it spread; sooner as the end comes near and for a day beyond it, but never so
    /// often that five failures an hour are reached
    /// (<https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account>).
    fn back_off(&self, count: u32, now: Moment) -> Moment {
        let step = match count {
            0 | 1 => Span::minutes(1),
            2 => Span::minutes(10),
            3 => Span::minutes(100),
            _ => Span::days(1),
        };
        // What has been out of service for a day does not hurry any more: a client that cannot stop is a burden to the CA.
        let end = N::end(self).filter(|end| now < *end + Span::days(1));
        let near = end.map(|end| Span(end.since(now).0 / 20).max(Span::minutes(15)));
        let step = near.map_or(step, |near| step.min(near));
        now + step + Span(lot(self.record.seed, i64::from(count), step.0 / 10))
    }

    /// Writes down what is about to happen, and why: the only place where an intent comes from.
    pub fn note(&mut self, wanted: &Wanted, plan: &Plan, ready: Ready, now: Moment) {
        let changed = self.record.generation != wanted.generation;
        let asked = self.record.ask.as_mut().is_some_and(|ask| std::mem::replace(&mut ask.fresh, false));
        if changed || asked {
            N::lift(self);
        }
        let record = &mut self.record;
        if record.environment.is_none() {
            record.environment = wanted.environment.as_ref().map(|at| at.name.clone());
        }
        match &mut record.trouble {
            Some(trouble) if asked && !changed => trouble.until = Some(now),
            Some(trouble) if changed || settles(plan) && !trouble.holds(now) => record.trouble = None,
            _ => {}
        }
        if plan.step == Step::Rest && plan.reason.turn() == Turn::Nobody {
            record.ask = None; // there is nothing to be done about it, or it is done
        }
        record.generation = wanted.generation;
        record.released = None;
        record.say(plan, ready, now);
        if let Step::Act(effect) = &plan.step {
            record.intents += 1;
            if effect.terms().again != Again::Freely {
                record.intent = Some(Intent { id: record.intent_id(), effect: effect.clone(), since: now });
            }
        }
    }

    /// What was to be written is refused: said, and nothing else.
    pub fn refuse(&mut self, plan: &Plan, now: Moment) {
        self.record.say(plan, Ready::False(plan.reason), now);
    }

    /// Its document is gone: claviger looks after it no longer and removes nothing.
    pub fn release(&mut self, now: Moment) {
        self.record.released.get_or_insert(now);
        self.record.trouble = None;
        let plan = Plan::rest(None, Reason::Released);
        let ready = Ready::Unknown(Reason::Released);
        self.record.say(&plan, ready, now);
    }
}

impl<M> Record<M> {
    /// The id of the latest intent.
    pub fn intent_id(&self) -> String {
        format!("{:016x}-{}", self.seed, self.intents)
    }

    fn say(&mut self, plan: &Plan, ready: Ready, now: Moment) {
        let (status, reason) = ready.parts();
        // While it is being asked, what was known last stays said: a restart is no news.
        if status != ConditionStatus::Unknown || !matches!(plan.step, Step::Look(_)) {
            self.said.ready.say(status, reason, now);
        }
        if !matches!(plan.step, Step::Look(_)) && self.said.reason != plan.reason {
            (self.said.reason, self.said.since) = (plan.reason, now); // a question says nothing new
            let intent = self.intent.as_ref().map(|intent| intent.id.clone());
            self.remember(HistoryEntry { at: now, reason: plan.reason, message: plan.message.clone(), intent });
        }
        let schedule = if self.late(plan, now) { ConditionStatus::False } else { ConditionStatus::True };
        self.said.on_schedule.say(schedule, self.said.reason, now);
    }

    /// Something planned is late: it does not work out, a person must act, the end has passed, or somebody who should have
    /// answered has not for an hour. Waiting in a budget's line is the plan.
    fn late(&self, plan: &Plan, now: Moment) -> bool {
        let overdue = match self.said.reason.turn() {
            Turn::Operator => true,
            Turn::Cloudflare | Turn::Customer | Turn::Nobody => false,
            Turn::Aws | Turn::CertificateAuthority | Turn::Claviger => {
                self.said.reason != Reason::BudgetSpent && now.since(self.said.since) >= PATIENCE
            }
        };
        overdue || self.trouble.is_some() || plan.hurts.is_some_and(|hurts| hurts <= now)
    }

    fn remember(&mut self, entry: HistoryEntry) {
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        effect::{Effect, KmsEffect},
        given::{ARN, NOW, certificate, glance, hostname, hostname_seen, key, key_in_order, key_seen, serving},
    };

    fn down() -> Failure {
        Failure::new(Reason::KmsUnreachable, "AWS does not answer")
    }

    #[test]
    fn an_effect_that_may_not_be_repeated_is_written_down_before_it_is_tried() {
        let given = key().hears(News::Key(None)).noted();
        let intent = given.seen.record.intent.as_ref().unwrap();
        assert_eq!(intent.id, format!("{:016x}-1", given.seen.record.seed));
        assert!(matches!(intent.effect, Effect::Kms(KmsEffect::CreateKey { .. })));
    }

    #[test]
    fn an_effect_that_may_be_repeated_is_counted_and_not_written_down() {
        let given = glance(certificate()).noted();
        assert_eq!((given.seen.record.intents, given.seen.record.intent.is_none()), (1, true));
    }

    #[test]
    fn what_did_not_happen_leaves_no_intent_behind() {
        let given = key().hears(News::Key(None)).fails(down());
        assert!(given.seen.record.intent.is_none());
        let given = key().hears(News::Key(None)).fails(down().maybe_done());
        assert!(given.seen.record.intent.is_some());
    }

    #[test]
    fn failures_in_a_row_are_counted_from_the_first() {
        let given = key().fails(down()).rested().fails(down());
        let trouble = given.seen.record.trouble.as_ref().unwrap();
        assert_eq!((trouble.count, trouble.since), (2, NOW));
    }

    #[test]
    fn trouble_is_over_when_it_works_out_also_if_a_customer_must_act_now() {
        let given = hostname().fails(down()).rested();
        let given = given.hears(News::Hostname(Some(Box::new(hostname_seen("blocked", "active")))));
        let given = given.fails(down()).noted();
        assert_eq!((given.reason(), given.seen.record.trouble.is_none()), (Reason::EdgeBlocked, true));
    }

    #[test]
    fn trouble_is_not_over_in_the_middle_of_the_way() {
        let mut given = key().fails(down()).rested().hears(News::Key(None)).hears(News::KeyCreated(ARN.to_owned()));
        given = given.hears(News::Key(None)).noted();
        assert_eq!((given.reason(), given.seen.record.trouble.is_some()), (Reason::Missing, true));
    }

    #[test]
    fn a_question_says_nothing_new_and_a_change_is_dated() {
        let given = key_in_order().noted();
        let said = given.seen.record.said.clone();
        assert_eq!((said.reason, said.since), (Reason::KeyReady, NOW));
        let given = given.later(Span::minutes(10)).hears(News::Key(Some(Box::new(key_seen())))).noted();
        assert_eq!(given.seen.record.said, said);
    }

    #[test]
    fn history_keeps_what_was_said_and_never_grows_without_end() {
        let mut given = key_in_order().noted();
        for _ in 0..20 {
            given = given.later(Span::minutes(10)).fails(down()).noted();
            given = given.rested().hears(News::Key(Some(Box::new(key_seen())))).noted();
        }
        let history = &given.seen.record.history;
        assert_eq!((history.len(), history.last().unwrap().reason), (HISTORY, Reason::KeyReady));
    }

    #[test]
    fn a_record_is_written_and_read_back_as_it_was() {
        let given = serving();
        let body = serde_json::to_string(&given.seen.record).unwrap();
        let back: Record<crate::domain::certificate::Memory> = serde_json::from_str(&body).unwrap();
        assert_eq!(back, given.seen.record);
    }

    #[test]
    fn somebody_elses_turn_counts_as_late_after_an_hour_and_a_budgets_line_does_not() {
        let rest = |reason| Plan::rest(None, reason);
        let late = |reason, span| {
            let mut given = key_in_order().noted();
            given.seen.note(&given.wanted, &rest(reason), Ready::True(reason), NOW);
            given.seen.note(&given.wanted, &rest(reason), Ready::True(reason), NOW + span);
            given.seen.record.said.on_schedule.status == ConditionStatus::False
        };
        assert!(!late(Reason::ProvingControl, Span::minutes(59)) && late(Reason::ProvingControl, Span::hours(1)));
        assert!(!late(Reason::BudgetSpent, Span::days(3)));
        assert!(!late(Reason::AwaitingCustomerDns, Span::days(3)), "the customer's schedule is not ours");
        assert!(late(Reason::KeyDisabled, Span(0)), "an operator's turn");
    }

    #[test]
    fn a_removed_document_is_released_and_comes_back_as_it_was() {
        let mut given = serving();
        given.seen.release(NOW + Span::days(1));
        assert_eq!(given.seen.record.said.reason, Reason::Released);
        assert_eq!(given.seen.record.said.ready.status, ConditionStatus::Unknown);
        assert_eq!(given.seen.record.released, Some(NOW + Span::days(1)));
        given.seen.release(NOW + Span::days(2));
        assert_eq!(given.seen.record.released, Some(NOW + Span::days(1)), "the first day counts");
        let given = glance(given.later(Span::days(3))).hears(News::Window(None)).noted();
        assert_eq!((given.reason(), given.seen.record.released), (Reason::Issued, None));
    }

    #[test]
    fn the_environment_is_remembered_for_life() {
        let given = key().noted();
        assert_eq!(given.seen.record.environment.as_ref().unwrap().as_str(), "staging");
        let given = given.surrounded(|at| at.name = "other".parse().unwrap()).noted();
        assert_eq!(given.seen.record.environment.as_ref().unwrap().as_str(), "staging");
    }
}
