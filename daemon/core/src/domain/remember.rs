//! How what is known of a subject changes: what a step brought is taken in, and what is about to happen is written down.

use claviger_config::{Moment, Reason, Span, Turn, admin::HistoryEntry, condition::ConditionStatus, desired::Wanted};

use super::{
    effect::{Again, News},
    failure::{Done, Failure, Retry, is_away, knock},
    lot::lot,
    noun::{Noun, OutOfTurn, Ready, Seen},
    plan::{Plan, Step},
    record::{Intent, PATIENCE, Record, Trouble},
};

impl<N: Noun> Seen<N> {
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
        let count = match before {
            None => 1,
            // The far side failed before, which says nothing against the object: no day is lost over it. Yet whoever is refused in
            // turn with it waits 100 minutes, far from five an hour.
            Some(before) if is_away(before.reason) && !is_away(failure.reason) => before.count.saturating_add(1).min(3),
            Some(before) => before.count.saturating_add(1),
        };
        // How long it is away is not how long something else was wrong before.
        let alike = before.filter(|before| is_away(before.reason) == is_away(failure.reason));
        let since = alike.map_or(now, |trouble| trouble.since);
        let until = match failure.retry {
            Retry::At(at) => Some(at),
            Retry::Later if is_away(failure.reason) => Some(self.knock(since, now)),
            Retry::Later => Some(self.back_off(count, now)),
            Retry::Never => None,
        };
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
        let step = self.near(now).map_or(step, |near| step.min(near));
        now + step + Span(lot(self.record.seed, i64::from(count), step.0 / 10))
    }

    /// When a far side that is away since then is asked again: a fifth of the wait is spread. After an hour at most, and six while
    /// something is in service.
    fn knock(&self, since: Moment, now: Moment) -> Moment {
        let serves = N::end(self).is_some_and(|end| end > now);
        let longest = Span::hours(if serves { 6 } else { 1 });
        let step = knock(now.since(since), self.near(now).map_or(longest, |near| near.min(longest)));
        now + step + Span(lot(self.record.seed, now.0, step.0 / 5))
    }

    /// How long to wait at most as the end comes near; absent when there is none.
    fn near(&self, now: Moment) -> Option<Span> {
        // What has been out of service for a day does not hurry any more: a client that cannot stop is a burden to the CA.
        let end = N::end(self).filter(|end| now < *end + Span::days(1));
        end.map(|end| Span(end.since(now).0 / 20).max(Span::minutes(15)))
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
                record.intent = Some(Intent { id: record.intent_id(), effect: effect.clone(), since: now, term: 0 });
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
}

/// Whether a plan says that what was tried has worked out: it rests, and not in the middle of the way.
fn settles(plan: &Plan) -> bool {
    use Reason::{AccountPending, BudgetSpent, Missing, ProvingControl, Unanswered, WrappingKeyNotReady};
    let on_the_way = matches!(
        plan.reason,
        AccountPending | BudgetSpent | Missing | ProvingControl | Unanswered | WrappingKeyNotReady
    );
    plan.step == Step::Rest && !on_the_way
}

#[cfg(test)]
mod tests;
