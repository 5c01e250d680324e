//! How much Cloudflare still lets an environment ask.

use claviger_config::{Moment, Span};

use super::rate::Rate;

/// How an environment stands with Cloudflare.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) last_success: Option<Moment>,
    pub(super) closed_until: Option<Moment>,
    /// Calls that Cloudflare said were left, and until when that counts.
    pub(super) room: Option<(u64, Moment)>,
    /// Calls that are out: Cloudflare may not have counted them when it said what was left.
    pub(super) out: u64,
}

impl Standing {
    /// Until when nothing more may be sent.
    pub(super) fn closed_until(&self, now: Moment) -> Option<Moment> {
        let full = self.room.filter(|(left, _)| *left <= self.out).map(|(_, until)| until);
        self.closed_until.into_iter().chain(full).filter(|until| *until > now).max()
    }

    /// Answers overtake each other: of one window the least that was left counts.
    pub(super) fn hear(&mut self, rate: Rate, now: Moment) {
        let Some((left, until)) = rate.remaining.zip(rate.resets_at) else { return };
        let same = self.room.filter(|(_, known)| *known > now && until <= *known + Span::seconds(2));
        self.room = Some(same.map_or((left, until), |(known, end)| (left.min(known), end)));
    }
}
