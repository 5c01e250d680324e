//! The two machines of a custom host name at the edge: how their words are read.

use claviger_config::{Moment, hostname::Validation};

use super::V;
use crate::domain::effect::{EdgeSettings, HostnameSeen};

pub(super) fn current<'a>(view: &V<'a>) -> Option<&'a HostnameSeen> {
    view.seen.facts.seen.as_ref()?.0.as_deref()
}

pub(super) fn seen_at(view: &V<'_>) -> Moment {
    view.seen.facts.seen.as_ref().map_or(view.now, |(_, at)| *at)
}

/// Ownership is proven.
pub(super) fn owned(seen: &HostnameSeen) -> bool {
    matches!(seen.status.as_str(), "active" | "active_redeploying")
}

/// A certificate serves. At renewal Cloudflare's status leaves `active` while the old one still does, until it ends.
pub(super) fn certified(seen: &HostnameSeen, now: Moment) -> bool {
    let status = certificate_status(seen);
    match seen.certificate.as_ref().and_then(|certificate| certificate.not_after) {
        Some(end) => now < end && status != "deleted",
        None => matches!(status, "active" | "pending_cleanup" | "backup_issued" | "holding_deployment"),
    }
}

pub(super) fn serves(seen: &HostnameSeen, now: Moment) -> bool {
    owned(seen) && certified(seen, now)
}

pub(super) fn is_blocked(seen: &HostnameSeen) -> bool {
    matches!(seen.status.as_str(), "blocked" | "pending_blocked" | "test_blocked")
}

/// The certificate's machine has given up; a change that changes nothing starts it again.
pub(super) fn is_stopped(seen: &HostnameSeen) -> bool {
    let certificate = certificate_status(seen);
    certificate.ends_with("_timed_out") || certificate == "expired"
}

/// The name pointed elsewhere for long, or was never proven.
pub(super) fn is_gone(seen: &HostnameSeen) -> bool {
    matches!(seen.status.as_str(), "moved" | "deleted")
}

pub(super) fn certificate_status(seen: &HostnameSeen) -> &str {
    seen.certificate.as_ref().map_or("none", |certificate| certificate.status.as_str())
}

/// Only fields that claviger owns are compared.
pub(super) fn is_equal(seen: &HostnameSeen, settings: EdgeSettings) -> bool {
    let certificate = seen.certificate.as_ref();
    let method = certificate.and_then(|certificate| certificate.method.as_deref());
    let oldest = certificate.and_then(|certificate| certificate.min_tls_version.as_deref());
    method == Some(method_word(settings))
        && settings.min_tls_version.is_none_or(|version| oldest == Some(version.word()))
}

fn method_word(settings: EdgeSettings) -> &'static str {
    match settings.validation {
        Validation::Http => "http",
        Validation::Delegated | Validation::Txt => "txt",
    }
}
