//! What must be there before a certificate can be asked for: the wrapping key, and an account.

use claviger_config::{IssuerName, Reason, Span, certificate::IssuerChoice};

use super::V;
use crate::domain::plan::Plan;

/// Why an issuer cannot be asked yet.
pub(super) fn waiting(view: &V<'_>, choice: &IssuerChoice) -> Option<Plan> {
    if view.neighbours.wrapping_key().is_none() {
        return Some(wrapping_key_pending(view));
    }
    (!view.neighbours.accounts.contains_key(&choice.name)).then(|| account_pending(view, &choice.name))
}

/// Why nothing can be wrapped yet. The key wakes its neighbours when that changes.
pub(super) fn wrapping_key_pending(view: &V<'_>) -> Plan {
    let why = view.neighbours.wrapping.as_ref().and_then(|wrapping| wrapping.as_ref().err());
    let plan = Plan::rest(Some(view.now + Span::minutes(10)), Reason::WrappingKeyNotReady);
    match why {
        Some(why) => plan.saying(format!("the wrapping key of the environment is not ready: {}", why.hint())),
        None => plan,
    }
}

/// Why there is no account yet. The environment wakes its certificates when that changes.
pub(super) fn account_pending(view: &V<'_>, issuer: &IssuerName) -> Plan {
    let later = Some(view.now + Span::minutes(10));
    match view.neighbours.refused.get(issuer) {
        Some((reason, message)) => Plan::rest(later, *reason).saying(message.clone()),
        None => Plan::rest(later, Reason::AccountPending),
    }
}
