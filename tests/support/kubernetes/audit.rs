use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A request as the API server's audit log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// Who asked: a certificate's common name, or `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// What for: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core's, and for what is no resource.
    pub group: String,
    /// The resource in the plural, such as `secrets`; empty for what is no resource.
    pub resource: String,
    /// The subresource, such as `status`; mostly empty.
    pub subresource: String,
    /// The object's namespace; empty for those of the cluster.
    pub namespace: String,
    /// The object's name, where the request has it.
    pub name: String,
    /// The path with its query.
    pub uri: String,
    /// The status of the answer.
    pub code: u16,
    /// What the client calls itself.
    pub user_agent: String,
}

impl ApiRequest {
    /// Whether it asks for a change; the answer may be a refusal.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Whether it was done.
    pub fn done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Verb and resource in words, such as `patch secrets` or `update leases`, with `/status` for the subresource.
    pub fn deed(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.verb, self.resource, self.subresource)
    }
}

/// All requests in the log, in the order of their ends.
pub(super) fn read(log: &Path) -> Result<Vec<ApiRequest>> {
    let mut seen = BTreeSet::new();
    let mut requests = vec![];
    for line in lines(log)? {
        let event: Event = serde_json::from_str(&line).with_context(|| format!("no event: {line}"))?;
        // A watch is told of twice, when it begins and when it ends.
        if seen.insert(event.audit_id.clone()) {
            requests.push(event.into());
        }
    }
    Ok(requests)
}

/// Whether the end of the log tells of a request for this path.
pub(super) fn ends_with(log: &Path, path: &str) -> bool {
    let told = format!("\"requestURI\":\"{path}\"");
    end(log).is_ok_and(|end| end.contains(&told))
}

/// The log of a benchmark is too long to be read at each look.
fn end(log: &Path) -> io::Result<String> {
    let mut file = File::open(log)?;
    let from = file.metadata()?.len().saturating_sub(END);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

const END: u64 = 1 << 20;

/// The last line may be half written; then it has no end.
fn lines(log: &Path) -> Result<Vec<String>> {
    let file = File::open(log).with_context(|| format!("cannot open `{}`", log.display()))?;
    let mut reader = BufReader::new(file);
    let mut lines = vec![];
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
        lines.push(std::mem::take(&mut line));
    }
    Ok(lines)
}

/// The log's own words (audit.k8s.io/v1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

impl From<Event> for ApiRequest {
    fn from(event: Event) -> Self {
        let object = event.object_ref;
        Self {
            user: event.user.username,
            verb: event.verb,
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
            uri: event.request_uri,
            code: event.response_status.code,
            user_agent: event.user_agent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    fn event(id: &str, verb: &str, code: u16) -> String {
        let object = r#"{"resource":"secrets","namespace":"shop","name":"shop-tls"}"#;
        format!(
            r#"{{"auditID":"{id}","verb":"{verb}","requestURI":"/{id}","user":{{"username":"ann"}},"objectRef":{object},"responseStatus":{{"code":{code}}}}}"#
        )
    }

    fn log(text: &str) -> (Scratch, std::path::PathBuf) {
        let scratch = Scratch::new("audit").unwrap();
        let path = scratch.write("log", text).unwrap();
        (scratch, path)
    }

    #[test]
    fn a_watch_that_begins_and_ends_is_one_request() {
        let (_scratch, log) = log(&format!("{0}\n{0}\n{1}\n", event("1", "watch", 200), event("2", "patch", 409)));
        let requests = read(&log).unwrap();
        let told: Vec<_> = requests.iter().map(|told| (told.deed(), told.is_write(), told.done())).collect();
        assert_eq!(told, [("watch secrets".into(), false, true), ("patch secrets".into(), true, false)]);
    }

    #[test]
    fn a_line_that_is_still_being_written_waits() {
        let (_scratch, log) = log(&format!("{}\n{}", event("1", "create", 201), &event("2", "create", 201)[..30]));
        assert_eq!(read(&log).unwrap().len(), 1);
        assert!(ends_with(&log, "/1") && !ends_with(&log, "/2"));
    }

    #[test]
    fn a_line_that_is_no_event_is_an_error() {
        let (_scratch, log) = log("good morning\n");
        assert!(read(&log).unwrap_err().to_string().contains("good morning"));
    }
}
