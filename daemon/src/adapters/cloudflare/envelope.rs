//! The envelope around every answer, read leniently.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    complaint::{Complaint, tame},
    fault::{Fault, Refusal},
    rate::Rate,
};

const MOST_COMPLAINTS: usize = 8;
const LONGEST_WORDS: usize = 300;

/// A successful answer.
#[derive(Debug)]
pub(super) struct Reply<T> {
    /// The HTTP status.
    pub(super) status: u16,
    /// `result`, or the whole of a bare answer.
    pub(super) result: T,
    /// `result_info.per_page`: how many rows a page has, as the server sees it.
    pub(super) per_page: Option<usize>,
    /// `messages`, for example that a name above the quota is billed.
    pub(super) messages: Vec<String>,
    /// The limits.
    pub(super) rate: Rate,
}

/// Opens an answer: its result, or why there is none.
pub(super) fn open<T: DeserializeOwned>(status: u16, rate: Rate, body: &[u8]) -> Result<Reply<T>, Fault> {
    let parsed = serde_json::from_slice::<Value>(body);
    let fine = (200..300).contains(&status);
    let mut fields = match parsed {
        Ok(Value::Object(fields)) => fields,
        Ok(_) if fine => return Err(Fault::NotUnderstood { status, source: None }),
        Err(source) if fine => return Err(Fault::NotUnderstood { status, source: Some(source) }),
        _ => return Err(Fault::Refused(Refusal { status, complaints: Vec::new(), rate })),
    };
    let complaints = complaints(&fields);
    if !fine || refuses(&fields, &complaints) {
        return Err(Fault::Refused(Refusal { status, complaints, rate }));
    }
    let (messages, per_page) = (messages(&fields), per_page(&fields));
    let result = if is_bare(&fields) { Value::Object(fields) } else { fields.remove("result").unwrap_or_default() };
    let result =
        serde_json::from_value(result).map_err(|source| Fault::NotUnderstood { status, source: Some(source) })?;
    Ok(Reply { status, result, per_page, messages, rate })
}

fn refuses(fields: &Map<String, Value>, complaints: &[Complaint]) -> bool {
    match fields.get("success") {
        Some(Value::Bool(success)) => !success,
        _ => !complaints.is_empty(),
    }
}

/// DELETE answers without an envelope.
fn is_bare(fields: &Map<String, Value>) -> bool {
    ["success", "result", "errors"].iter().all(|key| !fields.contains_key(*key))
}

fn per_page(fields: &Map<String, Value>) -> Option<usize> {
    fields.get("result_info")?.get("per_page")?.as_u64().and_then(|rows| usize::try_from(rows).ok())
}

fn messages(fields: &Map<String, Value>) -> Vec<String> {
    list(fields, "messages").take(MOST_COMPLAINTS).filter_map(words).collect()
}

/// `errors` and what is below them in `error_chain`.
fn complaints(fields: &Map<String, Value>) -> Vec<Complaint> {
    list(fields, "errors")
        .flat_map(|entry| {
            let chain = entry.get("error_chain").and_then(Value::as_array).into_iter().flatten();
            std::iter::once(entry).chain(chain)
        })
        .take(MOST_COMPLAINTS)
        .map(complaint)
        .collect()
}

fn complaint(entry: &Value) -> Complaint {
    let code = match entry.get("code") {
        Some(Value::Number(code)) => code.as_u64(),
        Some(Value::String(code)) => code.parse().ok(),
        _ => None,
    };
    Complaint {
        code: code.unwrap_or(0),
        message: words(entry).unwrap_or_default(),
        pointer: entry.pointer("/source/pointer").and_then(Value::as_str).map(|pointer| tame(pointer, LONGEST_WORDS)),
    }
}

fn list<'a>(fields: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Value> {
    fields.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// A text, or the `message` of an object.
pub(super) fn words(entry: &Value) -> Option<String> {
    entry.as_str().or_else(|| entry.get("message")?.as_str()).map(|words| tame(words, LONGEST_WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(status: u16, body: &str) -> Result<Reply<Value>, Fault> {
        open(status, Rate::default(), body.as_bytes())
    }

    fn refusal(status: u16, body: &str) -> Refusal {
        match opened(status, body) {
            Err(Fault::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_strings_or_objects() {
        let body =
            r#"{"success":true,"errors":[],"messages":["billed",{"code":1,"message":"soon"}],"result":{"id":"1"}}"#;
        for status in [200, 201, 202] {
            let reply = opened(status, body).unwrap();
            assert_eq!(reply.messages, ["billed", "soon"]);
            assert_eq!(reply.result["id"], "1");
            assert_eq!(reply.status, status);
        }
    }

    #[test]
    fn a_bare_answer_is_its_own_result() {
        assert_eq!(opened(200, r#"{"id":"1"}"#).unwrap().result, serde_json::json!({ "id": "1" }));
    }

    #[test]
    fn success_false_is_a_refusal_whatever_the_status() {
        assert_eq!(
            refusal(200, r#"{"success":false,"errors":[{"code":1404,"message":"no"}]}"#).complaints[0].code,
            1404
        );
        assert_eq!(refusal(200, r#"{"errors":[{"code":9}]}"#).complaints[0].code, 9);
        assert!(refusal(200, r#"{"success":false,"result":{}}"#).complaints.is_empty());
    }

    #[test]
    fn codes_of_any_size_and_the_field_are_kept() {
        let body = r#"{"success":false,"errors":[{"code":81058,"message":"a\nb","source":{"pointer":"/ssl"}},
            {"code":971,"message":"slow"},{"code":"6003","message":"x","error_chain":[{"code":6111,"message":"y"}]},"text"]}"#;
        let complaints = refusal(400, body).complaints;
        assert_eq!(
            complaints.iter().map(|complaint| complaint.code).collect::<Vec<_>>(),
            [81_058, 971, 6_003, 6_111, 0]
        );
        assert_eq!(complaints[0].message, "a b");
        assert_eq!(complaints[0].pointer.as_deref(), Some("/ssl"));
        assert_eq!(complaints[4].message, "text");
    }

    #[test]
    fn an_answer_that_is_no_json_is_told_apart_by_its_status() {
        assert!(matches!(opened(200, "<html>"), Err(Fault::NotUnderstood { status: 200, source: Some(_) })));
        assert!(matches!(opened(200, "[]"), Err(Fault::NotUnderstood { source: None, .. })));
        assert_eq!(refusal(502, "<html>bad gateway</html>").status, 502);
        assert_eq!(refusal(404, "").status, 404);
    }

    #[test]
    fn a_missing_result_is_not_an_empty_one() {
        let list = open::<Vec<Value>>(200, Rate::default(), br#"{"success":true}"#);
        assert!(matches!(list, Err(Fault::NotUnderstood { .. })));
    }
}
