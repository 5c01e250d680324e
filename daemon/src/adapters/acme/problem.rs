//! What a CA says when it refuses: problem documents (RFC 7807, RFC 8555 section 6.7), read more forgivingly than
//! `instant-acme` reads them.

use serde::Deserialize;
use serde_json::Value;

/// Longer words of a CA are cut.
const LONGEST: usize = 600;
/// How many parts of a problem, or names of an order, a message tells about; there may be a hundred.
pub(super) const TOLD: usize = 10;

/// One problem.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Problem {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    subproblems: Vec<Self>,
    #[serde(default)]
    identifier: Option<Value>,
    #[serde(default)]
    instance: Option<Value>,
}

impl Problem {
    /// The problem document in a body; absent when the body is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(body).ok().filter(|problem| problem.kind.is_some() || problem.detail.is_some())
    }

    /// The last word of its type: `rateLimited`, `caa` …; empty when the CA gave none.
    pub(super) fn word(&self) -> &str {
        self.kind.as_deref().map_or("", |kind| kind.rsplit(':').next().unwrap_or(kind))
    }

    /// Everything the CA said about it, untrimmed; for looking things up in it, not for showing.
    pub(super) fn detail(&self) -> &str {
        self.detail.as_deref().unwrap_or("")
    }

    /// The name that it is about.
    pub(super) fn name(&self) -> Option<&str> {
        self.identifier.as_ref()?.get("value")?.as_str()
    }

    /// Where a person learns more (RFC 7807 section 3.1), and agrees to new terms (RFC 8555 section 7.3.3).
    pub(super) fn instance(&self) -> Option<&str> {
        self.instance.as_ref()?.as_str()
    }

    /// The problems it consists of.
    pub(super) fn parts(&self) -> &[Self] {
        &self.subproblems
    }

    /// What it says, for people: the CA's words, its type, and the same for each part.
    pub(super) fn words(&self) -> String {
        let detail = if self.detail().is_empty() { "no words".to_owned() } else { clean(self.detail()) };
        let own = if self.word().is_empty() { detail } else { format!("{detail} ({})", clean(self.word())) };
        let told = self.subproblems.iter().take(TOLD).fold(own, |said, part| match part.name() {
            Some(name) => format!("{said}; `{}`: {}", clean(name), part.words()),
            None => format!("{said}; {}", part.words()),
        });
        match self.subproblems.len().saturating_sub(TOLD) {
            0 => told,
            more => format!("{told}; and {more} more"),
        }
    }
}

impl From<instant_acme::Problem> for Problem {
    fn from(theirs: instant_acme::Problem) -> Self {
        let part = |part: instant_acme::Subproblem| Self {
            kind: part.r#type,
            detail: part.detail,
            subproblems: Vec::new(),
            instance: None,
            identifier: part.identifier.and_then(|identifier| serde_json::to_value(identifier).ok()),
        };
        Self {
            kind: theirs.r#type,
            detail: theirs.detail,
            subproblems: theirs.subproblems.into_iter().map(part).collect(),
            identifier: None,
            instance: None,
        }
    }
}

/// Words from outside, fit for one line of a log or a terminal: no control characters, not endless.
pub(super) fn clean(words: &str) -> String {
    let whole = words.trim();
    let mut line: String = whole.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if whole.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_one_line_with_its_parts() {
        let body = br#"{"type":"urn:ietf:params:acme:error:malformed","detail":"Some names\n were refused","status":400,
            "new":{"field":1},"subproblems":[
            {"type":"urn:ietf:params:acme:error:caa","detail":"CAA says no","identifier":{"type":"dns","value":"a.example"}},
            {"type":"urn:ietf:params:acme:error:new","identifier":{"type":"unheard-of","value":[1]}}]}"#;
        let problem = Problem::read(body).unwrap();
        assert_eq!(problem.word(), "malformed");
        let said = "Some names  were refused (malformed); `a.example`: CAA says no (caa); no words (new)";
        assert_eq!(problem.words(), said);
    }

    #[test]
    fn of_many_parts_the_first_are_told_and_the_others_counted() {
        let part = r#"{"type":"dns","detail":"no"}"#;
        let body = format!(r#"{{"detail":"many","subproblems":[{}]}}"#, vec![part; 100].join(","));
        let said = Problem::read(body.as_bytes()).unwrap().words();
        assert_eq!(said.matches("no (dns)").count(), TOLD);
        assert!(said.ends_with("; and 90 more"), "{said}");
    }

    #[test]
    fn what_is_no_problem_document_is_none() {
        for body in ["", "<html>502</html>", "{", "[]", "{}", r#"{"status":"pending"}"#] {
            assert!(Problem::read(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn endless_words_and_terminal_commands_are_tamed() {
        assert_eq!(clean("a\u{1b}[31mb\r\n"), "a [31mb");
        assert_eq!(clean(&"x".repeat(9_999)).chars().count(), LONGEST + 1);
    }
}
