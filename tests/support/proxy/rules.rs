use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Bytes;

/// When a fault happens.
#[derive(Clone, Debug)]
pub struct Rule {
    path: String,
    action: Option<String>,
    method: Option<Method>,
    passes: usize,
    left: Option<usize>,
    fault: Fault,
}

impl Rule {
    /// Happens on every request whose path begins so.
    pub fn on(path: &str, fault: Fault) -> Self {
        Self { path: path.into(), action: None, method: None, passes: 0, left: None, fault }
    }

    /// Happens on every request to AWS for this action, such as `CreateKey`.
    pub fn on_action(action: &str, fault: Fault) -> Self {
        Self { action: Some(action.into()), ..Self::on("/", fault) }
    }

    /// Happens on requests with this method only.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Lets the first so many matching requests pass.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.passes = requests;
        self
    }

    /// Happens so many times, and never again.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Happens once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The fault, if this request meets it; counts.
    pub(super) fn meet<B>(&mut self, request: &Request<B>) -> Option<Fault> {
        if self.left == Some(0) || !self.is_about(request) {
            return None;
        }
        if self.passes > 0 {
            self.passes -= 1;
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        Some(self.fault.clone())
    }

    fn is_about<B>(&self, request: &Request<B>) -> bool {
        let method = self.method.as_ref().is_none_or(|method| method == request.method());
        let asked = self.action.as_deref().is_none_or(|wanted| action(request) == Some(wanted));
        method && asked && request.uri().path().starts_with(&self.path)
    }
}

/// What a request to AWS asks for, in the JSON protocol: the last part of `TrentService.CreateKey`.
pub(super) fn action<B>(request: &Request<B>) -> Option<&str> {
    request.headers().get("x-amz-target")?.to_str().ok()?.rsplit('.').next()
}

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// The request is passed on after this long.
    Delay(Duration),
    /// The answer's body is put through a function.
    Edit(Edit),
    /// The server does it; then the connection breaks before the answer.
    LoseAnswer,
    /// Nothing is passed on and nothing answered, while the client waits.
    Mute,
    /// The connection breaks before anything is passed on.
    Refuse,
    /// The server does it; its answer's body is replaced when it succeeded, its status and headers stay.
    ReplaceBody(Bytes),
    /// Nothing is passed on; the proxy answers this.
    Status(Status),
    /// The server does it; the connection breaks in the middle of the answer's body.
    Truncate,
}

/// Changes a body.
pub type Edit = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

impl Fault {
    /// Edits the answer's body.
    pub fn edit(edit: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(edit))
    }

    /// Takes a field out of the answer's JSON object: `renewalInfo` out of the directory makes a CA without ARI.
    pub fn without(field: &'static str) -> Self {
        Self::edit(move |body| without(body, field).unwrap_or_else(|| body.to_vec()))
    }
}

fn without(body: &[u8], field: &str) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.as_object_mut()?.shift_remove(field)?;
    Some(value.to_string().into_bytes())
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(formatter, "Delay({time:?})"),
            Self::Edit(_) => formatter.write_str("Edit"),
            Self::LoseAnswer => formatter.write_str("LoseAnswer"),
            Self::Mute => formatter.write_str("Mute"),
            Self::Refuse => formatter.write_str("Refuse"),
            Self::ReplaceBody(body) => write!(formatter, "ReplaceBody({body:?})"),
            Self::Status(status) => write!(formatter, "{status:?}"),
            Self::Truncate => formatter.write_str("Truncate"),
        }
    }
}

/// An answer of the proxy's own.
#[derive(Clone, Debug)]
pub struct Status {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) headers: Vec<(String, String)>,
}

impl Status {
    /// A status with an empty body.
    pub fn empty(code: u16) -> Self {
        Self { code, content_type: "text/plain", body: String::new(), retry_after: None, headers: vec![] }
    }

    /// A page of HTML, as load balancers send.
    pub fn html(code: u16) -> Self {
        let body = format!("<html><body><h1>{code}</h1></body></html>");
        Self { content_type: "text/html", body, ..Self::empty(code) }
    }

    /// A problem document of ACME (RFC 8555 section 6.7), such as `rateLimited`.
    pub fn problem(code: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let body = serde_json::json!({ "type": kind, "detail": detail, "status": code }).to_string();
        Self { content_type: "application/problem+json", body, ..Self::empty(code) }
    }

    /// An error of AWS in the JSON protocol, such as `ThrottlingException`.
    pub fn aws(code: u16, kind: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": kind, "message": message }).to_string();
        Self { content_type: "application/x-amz-json-1.1", body, ..Self::empty(code) }
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// The two forms of `Retry-After` (RFC 9110 section 10.2.3), and what some servers send instead.
#[derive(Clone, Debug)]
pub enum RetryAfter {
    /// So many seconds after the answer, as an HTTP-date.
    DateIn(u32),
    /// Whatever this is.
    Literally(String),
    /// Seconds.
    Seconds(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str) -> Request<()> {
        Request::builder().method(method).uri(path).body(()).unwrap()
    }

    fn met(rule: &mut Rule, paths: &[&str]) -> Vec<bool> {
        paths.iter().map(|path| rule.meet(&request(Method::POST, path)).is_some()).collect()
    }

    #[test]
    fn a_rule_knows_its_path() {
        let mut rule = Rule::on("/my-order/", Fault::Refuse);
        assert_eq!(met(&mut rule, &["/my-order/1", "/order-plz", "/my-order/2"]), [true, false, true]);
    }

    #[test]
    fn a_rule_lets_some_pass_and_is_used_up() {
        let mut rule = Rule::on("/", Fault::Refuse).after(1).times(2);
        assert_eq!(met(&mut rule, &["/", "/", "/", "/"]), [false, true, true, false]);
    }

    #[test]
    fn a_rule_knows_its_method() {
        let mut rule = Rule::on("/", Fault::Refuse).method(Method::HEAD);
        assert!(rule.meet(&request(Method::POST, "/")).is_none());
        assert!(rule.meet(&request(Method::HEAD, "/")).is_some());
    }

    #[test]
    fn a_rule_knows_its_action() {
        let mut rule = Rule::on_action("CreateKey", Fault::Refuse);
        assert!(rule.meet(&request(Method::POST, "/")).is_none());
        let asks = |target| Request::builder().uri("/").header("X-Amz-Target", target).body(()).unwrap();
        assert!(rule.meet(&asks("TrentService.DescribeKey")).is_none());
        assert!(rule.meet(&asks("TrentService.CreateKey")).is_some());
    }

    #[test]
    fn a_field_is_taken_out_and_the_rest_stays() {
        assert_eq!(without(br#"{"a":1,"b":2}"#, "a").unwrap(), br#"{"b":2}"#);
    }
}
