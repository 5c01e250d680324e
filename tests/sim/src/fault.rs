//! Faults on the way: what a network and a tired service do to a call, one rule at a time.
//!
//! A rule names a service and an operation (the names that [`Calls`](crate::Calls) counts by) and the fault that the
//! call meets. Both kinds of failure are there: refused, with nothing done, and done, with the answer lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::dice::Dice;
use crate::lock;

/// A simulator. What matches no operation is `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Service {
    /// The ACME CA. Operations: `account`, `authorization`, `certificate`, `challenge`, `directory`, `finalize`,
    /// `keyChange`, `newAccount`, `newNonce`, `newOrder`, `order`, `renewalInfo`, `revokeCert`.
    Acme,
    /// Cloudflare's API. Operations: `create`, `dcvDelegation`, `delete`, `deleteFallbackOrigin`, `edit`,
    /// `fallbackOrigin`, `get`, `list`, `quota`, `setFallbackOrigin`, `verifyToken`.
    Cloudflare,
    /// The name servers. Operations: record types such as `TXT`, and `UPDATE`. A refused call and a lost answer are
    /// silence, a throttled one is REFUSED, any status is SERVFAIL.
    Dns,
    /// AWS KMS. Operations: those of its API, such as `GenerateDataKey`.
    Kms,
    /// AWS STS. Operations: `AssumeRole`, `GetCallerIdentity`.
    Sts,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Everything is done and the connection is closed without an answer.
    AnswerLost,
    /// The answer comes so much later, in real time. The operation is done at once.
    Delay(Duration),
    /// Done, and answered with half a body.
    Garble,
    /// The call is accepted, nothing is done and no answer ever comes.
    Mute,
    /// The connection is closed and nothing is done.
    RefuseBefore,
    /// Nothing is done and this is the answer.
    Status(Answer),
    /// Done, but the connection breaks in the middle of the body.
    Tear,
    /// Nothing is done and the service says "slower" in its own words.
    Throttle(RetryAfter),
}

/// The `Retry-After` of a throttled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// An HTTP date, so many seconds ahead in the world's own time.
    Date(i64),
    /// The header is missing.
    Missing,
    /// Seconds.
    Seconds(i64),
}

/// Which calls meet a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    service: Service,
    operation: String,
    skip: u32,
    times: Option<u32>,
    per_mille: u16,
    fault: Fault,
}

impl Rule {
    /// The next call of `operation` (`*`: of any) meets `fault`.
    pub fn once(service: Service, operation: &str, fault: Fault) -> Self {
        Self { service, operation: operation.into(), skip: 0, times: Some(1), per_mille: 1000, fault }
    }

    /// All calls from now on meet it.
    pub fn always(service: Service, operation: &str, fault: Fault) -> Self {
        Self { times: None, ..Self::once(service, operation, fault) }
    }

    /// Lets so many calls pass first: `after(1)` strikes the second.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    /// Strikes so many times, then is spent.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Strikes `per_mille` of 1,000 calls that it could strike.
    #[must_use]
    pub fn sometimes(self, per_mille: u16) -> Self {
        Self { per_mille, ..self }
    }

    fn matches(&self, service: Service, operation: &str) -> bool {
        self.service == service && (self.operation == "*" || self.operation == operation) && self.times != Some(0)
    }
}

/// A call, told to whoever asked to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which simulator.
    pub service: Service,
    /// Which operation.
    pub operation: String,
    /// The how-manieth call of this operation, from 1.
    pub number: u64,
    /// Before anything is done, or after everything is done and written down but before the answer leaves.
    pub moment: Moment,
}

/// Where in a call a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is done yet.
    Before,
    /// Done and kept; the answer has not left.
    After,
}

/// The rules and the hooks of a world.
pub struct Faults {
    rules: Mutex<(Vec<Rule>, Dice)>,
    hooks: Mutex<Vec<Hook>>,
}

type Hook = Arc<dyn Fn(&Seen) + Send + Sync>;

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rules: Mutex::new((Vec::new(), Dice::new(seed, "faults"))), hooks: Mutex::default() }
    }

    /// Adds a rule. Of several that fit a call, the first one strikes.
    pub fn add(&self, rule: Rule) {
        lock(&self.rules).0.push(rule);
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        lock(&self.rules).0.clear();
    }

    /// True when no rule is left that could still strike.
    pub fn spent(&self) -> bool {
        lock(&self.rules).0.iter().all(|rule| rule.times == Some(0))
    }

    /// Runs `hook` before and after every call, on the simulator's own task: the call waits for it. This is where a
    /// test kills its daemon at an exact moment.
    pub fn on_call(&self, hook: impl Fn(&Seen) + Send + Sync + 'static) {
        lock(&self.hooks).push(Arc::new(hook));
    }

    /// Forgets all hooks.
    pub fn clear_hooks(&self) {
        lock(&self.hooks).clear();
    }

    /// The fault that this call meets.
    pub(crate) fn strike(&self, service: Service, operation: &str) -> Option<Fault> {
        let (rules, dice) = &mut *lock(&self.rules);
        for rule in rules.iter_mut().filter(|rule| rule.matches(service, operation)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if dice.hits(rule.per_mille) {
                rule.times = rule.times.map(|times| times - 1);
                return Some(rule.fault.clone());
            }
        }
        None
    }

    pub(crate) fn tell(&self, seen: &Seen) {
        let hooks = lock(&self.hooks).clone();
        for hook in hooks {
            hook(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_the_call_it_names_and_is_then_spent() {
        let faults = Faults::new(1);
        faults.add(Rule::once(Service::Kms, "Sign", Fault::Mute).after(1));
        assert_eq!(faults.strike(Service::Sts, "Sign"), None);
        assert_eq!(faults.strike(Service::Kms, "Encrypt"), None);
        assert_eq!(faults.strike(Service::Kms, "Sign"), None);
        assert!(!faults.spent());
        assert_eq!(faults.strike(Service::Kms, "Sign"), Some(Fault::Mute));
        assert_eq!(faults.strike(Service::Kms, "Sign"), None);
        assert!(faults.spent());
    }

    #[test]
    fn a_rule_for_some_calls_leaves_the_others_alone() {
        let faults = Faults::new(1);
        faults.add(Rule::always(Service::Acme, "*", Fault::RefuseBefore).sometimes(200));
        let struck = (0..1000).filter(|_| faults.strike(Service::Acme, "new-order").is_some()).count();
        assert!((150..250).contains(&struck), "{struck}");
    }
}
