//! How a subject comes to its pass: from the last one, or from the store.

use std::sync::Arc;

use claviger_config::{ObjectName, Span};

use super::{
    kept::{Kept, Stored, digest, essence, read},
    lock,
    pass::{Keeper, PassError},
};
use crate::domain::{
    failure::Failure,
    noun::{Noun, Seen},
    plan::Plan,
    record::Record,
};

impl<N: Noun> Keeper<N> {
    /// Both locks are held, so that nobody looks for it in between.
    fn take_out(&self, name: &ObjectName) -> Option<Box<Kept<N>>> {
        let mut all = lock(&self.kept);
        let kept = all.take(name)?;
        lock(&self.out).insert(name.clone(), Arc::new(Kept::clone(&kept)));
        Some(kept)
    }

    pub(super) async fn take(&self, name: &ObjectName) -> Result<Box<Kept<N>>, PassError> {
        let wanted = self.common.source.wanted(name);
        let same = |kept: &Kept<N>| wanted.as_ref().is_none_or(|wanted| !kept.is_of_another(wanted));
        if let Some(kept) = self.take_out(name).filter(|kept| same(kept)) {
            return Ok(kept);
        }
        self.load(name).await
    }

    /// As the store holds it, blank where it holds nothing.
    async fn load(&self, name: &ObjectName) -> Result<Box<Kept<N>>, PassError> {
        let stored = self.common.world.load(name).await.map_err(PassError::Store)?;
        let blank = || Record::blank(self.common.clock.draw(), self.common.clock.now());
        let (record, stored) = match stored {
            None => (blank(), None),
            Some((body, version)) => {
                let record: Record<N::Memory> = read(name, &body).map_err(PassError::Store)?;
                let (intent, digest) = (record.intent.clone(), Some(digest(&body)));
                let stored =
                    Stored { intent, digest, essence: essence(&record), version, claims: Vec::new(), ours: false };
                (record, Some(stored))
            }
        };
        let plan = Plan::rest(None, record.said.reason);
        Ok(Box::new(Kept { seen: Seen::new(record), stored, plan, wanted: None }))
    }

    /// A record that cannot be read stops its own subject: shown, left as it is, and looked at again later.
    pub(super) fn unreadable(&self, name: &ObjectName, failure: Failure) -> Plan {
        let now = self.common.clock.now();
        let plan = Plan::rest(Some(now + Span::minutes(10)), failure.reason).saying(failure.message);
        let plan = Plan { fix: failure.fix, ..plan };
        let mut seen = Seen::new(Record::blank(0, now));
        seen.refuse(&plan, now);
        let wanted = self.common.source.wanted(name);
        let shown = Kept { seen, stored: None, plan: plan.clone(), wanted };
        lock(&self.out).insert(name.clone(), Arc::new(shown));
        plan
    }
}
