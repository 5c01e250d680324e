//! When the CA suggests to renew (RFC 9773). Asked without an account, and not by `instant-acme`, which hides a 404 and fails
//! when there is no `Retry-After`.

use claviger_config::{Moment, Reason, Span};
use claviger_core::domain::{
    effect::Window,
    failure::{Failure, Retry},
};
use serde::Deserialize;

use super::{
    fault::{Said, Trouble},
    reply::Reply,
    session::Ca,
    step::Step,
    trace,
};

/// The bounds that RFC 9773 section 4.3.2 gives as an example.
const SOONEST: Span = Span::minutes(1);
const LATEST: Span = Span::days(1);
/// RFC 9773 section 4.3.3, for an answer without the header.
const USUAL: Span = Span::hours(6);
const LONGEST_LINK: usize = 2_048;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: SuggestedWindow,
    #[serde(default, rename = "explanationURL")]
    explanation_url: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: String,
    end: String,
}

/// The CA's suggestion for a certificate; absent when it has none.
pub(super) async fn window(ca: &Ca, certificate: &str, now: Moment) -> Result<Option<Window>, Trouble> {
    check_id(certificate)?;
    let directory = ca.directory().await?;
    let Some(base) = &directory.renewal_info else { return Ok(None) };
    let url = format!("{}/{certificate}", base.trim_end_matches('/'));
    let step = Step::RenewalInfo;
    trace::begin(step);
    let reply = ca.wire.get(&url).await.map_err(|broken| Trouble::Broken { step, changes: false, broken })?;
    if reply.is_success() {
        return read(&reply, now).map(Some);
    }
    let trouble = Trouble::Said(Box::new(Said::new(step, false, false, url.clone(), reply)));
    // The id is well made, so also "malformed" says that the CA knows no such certificate: another CA issued it.
    if trouble.is_gone(&url) { Ok(None) } else { Err(trouble) }
}

fn read(reply: &Reply, now: Moment) -> Result<Window, Trouble> {
    let garbled = |words: String| Trouble::Garbled { step: Step::RenewalInfo, changes: false, words };
    let info: RenewalInfo = serde_json::from_slice(&reply.body).map_err(|error| garbled(error.to_string()))?;
    let instant = |text: &str| text.parse::<Moment>().map_err(|error| garbled(error.to_string()));
    let (start, end) = (instant(&info.suggested_window.start)?, instant(&info.suggested_window.end)?);
    if end <= start {
        return Err(garbled(format!("the window ends at {end}, not after it starts at {start}")));
    }
    let ask_again = reply.retry_after.unwrap_or(now + USUAL).clamp(now + SOONEST, now + LATEST);
    Ok(Window { start, end, ask_again, explanation_url: info.explanation_url.and_then(link) })
}

fn link(found: serde_json::Value) -> Option<String> {
    let link = found.as_str()?;
    let fine = (link.starts_with("https://") || link.starts_with("http://"))
        && link.len() <= LONGEST_LINK
        && !link.contains(char::is_control);
    fine.then(|| link.to_owned())
}

/// The id becomes part of a URL, so it must be what RFC 9773 section 4.1 makes: base64url, a period, base64url.
fn check_id(id: &str) -> Result<(), Failure> {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match id.split_once('.') {
        Some((authority, serial)) if part(authority) && part(serial) => Ok(()),
        _ => Err(Failure::new(
            Reason::Refused,
            format!("`{id}` is no certificate id: accepted is what RFC 9773 section 4.1 makes"),
        )
        .retry(Retry::Never)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use claviger_config::IssuerName;

    use super::*;
    use crate::adapters::acme::fault::Scene;

    const NOW: &str = "2026-11-24T08:00:00Z";

    fn now() -> Moment {
        NOW.parse().unwrap()
    }

    fn reply(body: &'static str, retry_after: Option<Span>) -> Reply {
        Reply {
            status: 200,
            retry_after: retry_after.map(|span| now() + span),
            date: None,
            location: None,
            links: Vec::new(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    const FINE: &str = r#"{"suggestedWindow":{"start":"2026-12-01T00:00:00Z","end":"2026-12-02T00:00:00Z"},"explanationURL":"https://ca.example/why","new":1}"#;

    #[test]
    fn it_is_asked_again_as_told_within_a_minute_and_a_day() {
        let cases = [
            (None, Span::hours(6)),
            (Some(Span(0)), Span::minutes(1)),
            (Some(Span::hours(2)), Span::hours(2)),
            (Some(Span::days(365)), Span::days(1)),
        ];
        for (told, expected) in cases {
            let window = read(&reply(FINE, told), now()).unwrap();
            assert_eq!(window.ask_again.since(now()), expected, "{told:?}");
            assert_eq!(window.explanation_url.as_deref(), Some("https://ca.example/why"));
        }
    }

    #[test]
    fn a_window_that_makes_no_sense_is_not_understood() {
        let broken = [
            r#"{"suggestedWindow":{"start":"2026-12-02T00:00:00Z","end":"2026-12-01T00:00:00Z"}}"#,
            r#"{"suggestedWindow":{"start":"2026-12-02T00:00:00Z","end":"2026-12-02T00:00:00Z"}}"#,
            r#"{"suggestedWindow":{"start":"tomorrow","end":"2026-12-02T00:00:00Z"}}"#,
            r#"{"suggestedWindow":{"#,
            "",
        ];
        let issuer: IssuerName = "pebble".parse().unwrap();
        let scene = Scene { issuer: issuer.as_str(), names: &[], now: now() };
        for body in broken {
            let failure = read(&reply(body, None), now()).unwrap_err().failure(&scene);
            assert_eq!((failure.reason, failure.retry), (Reason::AnswerNotUnderstood, Retry::Later), "{body}");
        }
    }

    #[test]
    fn an_odd_explanation_is_left_out() {
        for odd in ["javascript:alert(1)", "https://a\nb", "ca.example"] {
            assert_eq!(link(odd.into()), None, "{odd}");
        }
    }

    #[test]
    fn only_a_certificate_id_becomes_part_of_a_url() {
        assert!(check_id("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").is_ok());
        for id in ["", "a", ".", "a.", "a.b.c", "../a.b", "a.b?c", "a.b/c"] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }
}
