//! Which issuers may be asked, and whose turn it is.

use std::collections::BTreeSet;

use claviger_config::{IssuerName, certificate::IssuerChoice, environment::Issuer};

use super::V;

/// The issuers that the document asks for, in order.
pub(super) fn choices<'a>(view: &V<'a>) -> &'a [IssuerChoice] {
    if !view.spec.issuers.is_empty() {
        return &view.spec.issuers;
    }
    view.wanted.environment.as_ref().map_or(&[], |at| at.spec.default_issuers.as_slice())
}

/// The same, by name.
pub(super) fn issuer_names(view: &V<'_>) -> BTreeSet<IssuerName> {
    acme_choices(view).into_iter().map(|choice| choice.name.clone()).collect()
}

pub(super) fn acme_choices<'a>(view: &V<'a>) -> Vec<&'a IssuerChoice> {
    let issuers: &[Issuer] = view.wanted.environment.as_ref().map_or(&[], |at| at.spec.issuers.as_slice());
    let speaks_acme = |choice: &&IssuerChoice| issuers.iter().any(|i| i.name == choice.name && i.acme.is_some());
    choices(view).iter().filter(speaks_acme).collect()
}

/// The issuer whose turn it is: after three failures in a row the next one is tried, and one whose account cannot be had is
/// passed over as long as there is another.
pub(super) fn choice<'a>(view: &V<'a>) -> Option<&'a IssuerChoice> {
    let usable = acme_choices(view);
    let turn = view.seen.record.memory.refusals as usize / 3;
    let in_turn = || (0..usable.len()).filter_map(|next| usable.get((turn + next) % usable.len()).copied());
    let open = |choice: &&IssuerChoice| !view.neighbours.refused.contains_key(&choice.name);
    in_turn().find(open).or_else(|| in_turn().next())
}
