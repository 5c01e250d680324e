//! Which names an order may have.

use super::problem::{Problem, malformed};

/// Lower case, sorted, each once.
///
/// # Errors
/// A name that no public CA takes, with what is wrong with each.
pub(super) fn tidy(names: &[String], most: usize) -> Result<Vec<String>, Problem> {
    if names.is_empty() {
        return Err(malformed("NewOrder request did not specify any identifiers"));
    }
    let mut tidy: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    tidy.sort();
    tidy.dedup();
    if tidy.len() > most {
        return Err(malformed(format!("Order cannot contain more than {most} identifiers")));
    }
    let wrong: Vec<(String, Problem)> = tidy.iter().filter_map(|name| Some((name.clone(), refuse(name)?))).collect();
    match wrong.as_slice() {
        [] => Ok(tidy),
        [(_, only)] => Err(only.clone()),
        _ => {
            let kind = &wrong[0].1.kind;
            let detail = format!(
                "Cannot issue for {:?}: refused (and {} more problems. Refer to sub-problems for more information.)",
                wrong[0].0,
                wrong.len() - 1
            );
            Err(Problem { subproblems: wrong.clone(), ..Problem::new(kind, detail) })
        }
    }
}

/// The name without the asterisk, and whether there was one.
pub(super) fn base(name: &str) -> (&str, bool) {
    name.strip_prefix("*.").map_or((name, false), |base| (base, true))
}

/// Without the public suffix list: the last two labels.
pub(super) fn registered_domain(name: &str) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    labels[labels.len().saturating_sub(2)..].join(".")
}

fn refuse(name: &str) -> Option<Problem> {
    let (bare, _) = base(name);
    let reason = if bare.parse::<std::net::IpAddr>().is_ok() {
        return Some(Problem::new(
            "rejectedIdentifier",
            format!("Cannot issue for {name:?}: The ACME server can not issue a certificate for an IP address"),
        ));
    } else if name.len() > 253 {
        "Domain name is longer than 253 bytes"
    } else if !bare.contains('.') {
        "Domain name needs at least one dot"
    } else if bare.ends_with('.') {
        "Domain name ends in a dot"
    } else if !bare.split('.').all(is_label) {
        "Domain name contains an invalid character"
    } else if bare.rsplit('.').next().is_some_and(|top| RESERVED.contains(&top)) {
        "Domain name does not end with a valid public suffix (TLD)"
    } else {
        return None;
    };
    Some(Problem::new("rejectedIdentifier", format!("Cannot issue for {name:?}: {reason}")))
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-')
}

/// Special names of RFC 6761 and its like. `example` is let through: the world of the tests lives there.
const RESERVED: &[&str] = &["localhost", "local", "internal", "invalid", "test", "onion", "arpa", "lan", "home"];
