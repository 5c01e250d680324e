//! Headers that `instant-acme` does not show: `Retry-After`, `Date` and `Link`.

use claviger_config::{Moment, Span};
use http::{HeaderMap, HeaderName, header};
use jiff::{civil::DateTime, fmt::rfc2822::DateTimeParser, tz::TimeZone};

/// No CA has a reason to keep us waiting for longer; a longer wait is cut.
const FURTHEST: Span = Span::days(365);

/// `Retry-After` (RFC 9110 section 10.2.3) as an instant from now on; absent when it is missing, negative or garbage.
pub(super) fn retry_after(headers: &HeaderMap, now: Moment) -> Option<Moment> {
    let value = text(headers, &header::RETRY_AFTER)?;
    let at = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        now + Span::seconds(value.parse().unwrap_or(i64::MAX))
    } else {
        http_date(value)?
    };
    Some(at.clamp(now, now + FURTHEST))
}

/// When the far side says it answered.
pub(super) fn date(headers: &HeaderMap) -> Option<Moment> {
    http_date(text(headers, &header::DATE)?)
}

/// Where the thing is that was made.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    text(headers, &header::LOCATION).map(str::to_owned)
}

/// Relation and target of every `Link` (RFC 8288 section 3).
pub(super) fn links(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok()).flat_map(split).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// All three forms, because RFC 9110 section 5.6.7 has a recipient accept "all three HTTP-date formats".
fn http_date(value: &str) -> Option<Moment> {
    let modern = DateTimeParser::new().parse_timestamp(value).ok();
    let timestamp = modern.or_else(|| {
        let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        let civil = forms.iter().find_map(|form| DateTime::strptime(form, value).ok())?;
        TimeZone::UTC.to_timestamp(civil).ok()
    })?;
    Some(Moment(timestamp.as_millisecond()))
}

fn split(value: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    // A target may hold commas, so the targets' own brackets divide the list.
    for part in value.split('<').skip(1) {
        let Some((target, parameters)) = part.split_once('>') else { continue };
        links.extend(relation(parameters).map(|relation| (relation, target.to_owned())));
    }
    links
}

fn relation(parameters: &str) -> Option<String> {
    parameters.split([';', ',']).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("rel").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T08:00:00Z";

    fn after(value: &'static str) -> Option<String> {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, http::HeaderValue::from_static(value))]);
        retry_after(&headers, NOW.parse().unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn a_wait_in_seconds_or_as_a_date_is_an_instant() {
        assert_eq!(after("120").unwrap(), "2026-11-24T08:02:00Z");
        for date in ["Tue, 24 Nov 2026 08:05:00 GMT", "Tuesday, 24-Nov-26 08:05:00 GMT", "Tue Nov 24 08:05:00 2026"] {
            assert_eq!(after(date).as_deref(), Some("2026-11-24T08:05:00Z"), "{date}");
        }
    }

    #[test]
    fn a_wait_lies_between_now_and_a_year() {
        assert_eq!(after("0").unwrap(), NOW);
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT").unwrap(), NOW);
        assert_eq!(after("604800").unwrap(), "2026-12-01T08:00:00Z");
        for absurd in ["99999999999", "99999999999999999999999999", "Thu, 31 Dec 2099 23:59:59 GMT"] {
            assert_eq!(after(absurd).as_deref(), Some("2027-11-24T08:00:00Z"), "{absurd}");
        }
    }

    #[test]
    fn a_wait_that_cannot_be_read_is_absent() {
        for garbage in ["", "-5", "soon", "1.5", "12 s", "Tue, 99 Nov 2026 08:05:00 GMT"] {
            assert_eq!(after(garbage), None, "{garbage}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Moment(0)), None);
    }

    #[test]
    fn links_are_told_apart_by_their_relation() {
        let mut headers = HeaderMap::new();
        headers.append(header::LINK, "<https://a.example/dir>;rel=\"index\"".parse().unwrap());
        headers.append(
            header::LINK,
            "<https://a.example/1,2>; rel=alternate, <https://b.example>; title=x; REL=\"Help\"".parse().unwrap(),
        );
        let expected =
            [("index", "https://a.example/dir"), ("alternate", "https://a.example/1,2"), ("help", "https://b.example")];
        assert_eq!(links(&headers), expected.map(|(relation, target)| (relation.to_owned(), target.to_owned())));
    }
}
