//! What is asked of DNS, and what it answers.

use serde::{Deserialize, Serialize};

/// What is asked of DNS.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct DnsQuestion {
    /// The name.
    pub name: String,
    /// The type.
    pub r#type: RecordType,
}

/// Types of DNS records that claviger looks at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Who may issue (RFC 8659).
    Caa,
    /// Another name.
    Cname,
    /// Text.
    Txt,
}

/// What DNS answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DnsAnswer {
    /// The question.
    pub question: DnsQuestion,
    /// The values; names in lower case without a trailing dot. Absent when no server answered.
    pub values: Option<Vec<String>>,
    /// Who was asked.
    pub server: String,
}
