//! One object, as the rules see it.

use super::{Incumbent, SettingsFacts, fleet::Fleet, refused::Refused};
use crate::{desired::Surroundings, document::Document};

/// One object and all that its rules look at.
pub(super) struct Subject<'a> {
    pub(super) document: &'a Document,
    /// Its environment, as it stands.
    pub(super) environment: Option<&'a Surroundings>,
    pub(super) incumbent: Option<&'a Incumbent>,
    pub(super) settings: &'a SettingsFacts,
    pub(super) fleet: &'a Fleet<'a>,
}

/// Why the object is not worked on, if the rule has something to say.
pub(super) type Rule = fn(&Subject<'_>) -> Option<Refused>;
