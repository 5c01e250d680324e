//! What comes from outside the pass: a person's ask, and word that something was changed.

use claviger_config::ObjectName;

use super::{
    kept::Kept,
    lock,
    pass::{Keeper, PassError, REPEATS},
};
use crate::domain::{
    failure::Done,
    noun::Noun,
    plan::{Plan, Step},
    record::Ask,
};

impl<N: Noun> Keeper<N> {
    /// A person's ask, stored, to be answered by the next pass; also while one is under way.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn ask(&self, name: &ObjectName, ask: Ask) -> Result<(), PassError> {
        let mut left = REPEATS;
        loop {
            let mut kept = self.take(name).await?;
            kept.wanted = self.common.source.wanted(name);
            kept.seen.record.ask = Some(ask.clone());
            let plan = Plan { step: Step::Rest, ..kept.plan.clone() };
            let claims = self.viewed(&kept, |view| N::claims(&view)).unwrap_or_default();
            left -= 1;
            match self.commit(name, &mut kept, &plan, &claims, self.common.clock.now()).await {
                Ok(()) => {
                    if let Some(stored) = &kept.stored {
                        lock(&self.asked).insert(name.clone(), (ask, stored.version));
                    }
                    self.put_back(name, kept);
                    lock(&self.out).remove(name);
                    return Ok(());
                }
                Err(failure) if failure.done == Done::No && left > 0 => {} // a pass that is out wrote meanwhile: read anew
                Err(failure) => return Err(PassError::Store(failure)),
            }
        }
    }

    /// What was seen of it no longer counts: its next pass looks again.
    pub fn doubt(&self, name: &ObjectName) {
        lock(&self.doubted).insert(name.clone());
    }

    /// An ask that was stored meanwhile is part of the record from now on.
    pub(super) fn take_in(&self, name: &ObjectName, kept: &mut Kept<N>) -> bool {
        let Some((ask, version)) = lock(&self.asked).remove(name) else { return false };
        let Some(stored) = kept.stored.as_mut().filter(|stored| stored.version.0 < version.0) else { return false };
        (stored.version, stored.digest) = (version, None);
        kept.seen.record.ask = Some(ask);
        true
    }
}
