//! Plans that can be executed, in memory: a restart forgets them, and whoever made one plans again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use claviger_config::{Moment, ObjectName, admin::Verb};

/// So many plans at most; the one that expires first makes room.
const PLANS: usize = 1_000;

/// Plans by hash.
#[derive(Default)]
pub(in crate::admin) struct Desk {
    plans: Mutex<BTreeMap<String, Held>>,
}

/// A plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::admin) struct Held {
    /// What shall be done.
    pub(super) verb: Verb,
    /// To which object.
    pub(super) object: ObjectName,
    /// Until when it can be executed.
    pub(super) expires: Moment,
}

impl Desk {
    /// Keeps a plan until it expires.
    pub(super) fn keep(&self, hash: String, plan: Held, now: Moment) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.retain(|_, held| now < held.expires);
        plans.insert(hash, plan);
        while plans.len() > PLANS {
            let first = plans.iter().min_by_key(|(_, held)| held.expires).map(|(hash, _)| hash.clone());
            first.and_then(|hash| plans.remove(&hash));
        }
    }

    /// Takes a plan away, when there is one that has not expired.
    pub(super) fn take(&self, hash: &str, now: Moment) -> Option<Held> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.remove(hash).filter(|held| now < held.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claviger_config::{Kind, Span};

    fn plan(expires: Moment) -> Held {
        let object = ObjectName { kind: Kind::KmsKey, namespace: "a".parse().ok(), name: "b".parse().unwrap() };
        Held { verb: Verb::Renew, object, expires }
    }

    #[test]
    fn a_plan_is_taken_once_and_not_after_it_expired() {
        let (desk, now) = (Desk::default(), Moment(1_000));
        desk.keep("a".to_owned(), plan(now + Span(1)), now);
        desk.keep("b".to_owned(), plan(now + Span(9)), now);
        assert_eq!(desk.take("a", now), Some(plan(now + Span(1))));
        assert_eq!(desk.take("a", now), None);
        assert_eq!(desk.take("b", now + Span(9)), None);
    }

    #[test]
    fn the_plan_that_expires_first_makes_room() {
        let (desk, now) = (Desk::default(), Moment(0));
        for index in 0..=PLANS {
            desk.keep(index.to_string(), plan(now + Span(1 + index as i64)), now);
        }
        assert_eq!(desk.plans.lock().unwrap().len(), PLANS);
        assert!(desk.take("0", now).is_none() && desk.take("1", now).is_some());
    }
}
