//! The formats of text fields, each checked by the parser of its own word.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::{
    moment::{Moment, Span},
    name::{BadName, DnsName, EnvironmentName, IssuerName, Name, Namespace},
};

/// Why a text is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Refused {
    /// What is accepted, in words.
    pub accepted: &'static str,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

type Check = fn(&str) -> Result<(), Refused>;

/// Any text, also with line ends.
pub(super) const FREE: &str = "free-text";

/// The check of a format; none for a format that this page does not know.
pub(super) fn check(format: &str) -> Option<Check> {
    FORMATS.iter().find(|(name, _)| *name == format).map(|(_, check)| *check)
}

const FORMATS: &[(&str, Check)] = &[
    ("alias-prefix", alias_prefix),
    ("aws-account", aws_account),
    ("aws-region", aws_region),
    ("cloudflare-zone", cloudflare_zone),
    ("date-time", |text| parsed(text.parse::<Moment>(), |_| None)),
    ("directory-url", directory_url),
    ("dns-name", |text| parsed(text.parse::<DnsName>(), dns_name_for)),
    ("duration", |text| parsed(text.parse::<Span>(), span_for)),
    ("endpoint-url", endpoint_url),
    ("environment-name", |text| parsed(text.parse::<EnvironmentName>(), label_for)),
    ("file-mode", file_mode),
    (FREE, |_| Ok(())),
    ("issuer-name", |text| parsed(text.parse::<IssuerName>(), label_for)),
    ("keystore-name", keystore_name),
    ("label-value", label_value),
    ("listen-address", listen_address),
    ("mailto", mailto),
    ("metadata-key", metadata_key),
    ("name", |text| parsed(text.parse::<Name>(), name_for)),
    ("namespace", |text| parsed(text.parse::<Namespace>(), label_for)),
    ("percent", percent),
    ("relative-path", relative_path),
    ("role-arn", role_arn),
    ("secret-key", secret_key),
    ("socket-address", socket_address),
];

fn parsed<T>(result: Result<T, BadName>, meant: fn(&str) -> Option<String>) -> Result<(), Refused> {
    result.map(drop).map_err(|bad| Refused { accepted: bad.accepted, suggestion: meant(&bad.found) })
}

fn when(holds: bool, accepted: &'static str) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused { accepted, suggestion: None }) }
}

fn when_or(holds: bool, accepted: &'static str, meant: impl FnOnce() -> Option<String>) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused { accepted, suggestion: meant() }) }
}

fn label_for(found: &str) -> Option<String> {
    name_for(found).filter(|name| name.parse::<Namespace>().is_ok())
}

fn name_for(found: &str) -> Option<String> {
    let meant = found.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    meant.parse::<Name>().ok().map(String::from)
}

/// The host in a URL, the name without its final dot, or the name in punycode.
fn dns_name_for(found: &str) -> Option<String> {
    let host = found.trim().rsplit("://").next().unwrap_or_default();
    let host = host.split(['/', ':', '?']).next().unwrap_or_default().trim_end_matches('.');
    let (wildcard, base) = host.strip_prefix("*.").map_or(("", host), |base| ("*.", base));
    match Host::parse(base) {
        Ok(Host::Domain(name)) => format!("{wildcard}{name}").parse::<DnsName>().ok().map(String::from),
        _ => None,
    }
}

fn span_for(found: &str) -> Option<String> {
    let compact: String = found.to_ascii_lowercase().chars().filter(|character| *character != ' ').collect();
    let end = compact.find(|character: char| !character.is_ascii_digit())?;
    let unit = compact[end..].chars().next()?;
    format!("{}{unit}", &compact[..end]).parse::<Span>().ok().map(String::from)
}

fn aws_account(text: &str) -> Result<(), Refused> {
    when(text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()), "twelve digits")
}

fn aws_region(text: &str) -> Result<(), Refused> {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let holds = match parts.as_slice() {
        [area, middle @ .., number] => {
            area.len() == 2
                && letters(area)
                && !middle.is_empty()
                && middle.iter().all(letters)
                && (1..=2).contains(&number.len())
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    when(holds && text.len() <= 32, "an AWS Region, for example `eu-west-1`")
}

fn role_arn(text: &str) -> Result<(), Refused> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let holds = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            matches!(*partition, "aws" | "aws-cn" | "aws-us-gov") && aws_account(account).is_ok() && role(resource)
        }
        _ => false,
    };
    when(holds, "the ARN of an IAM role, for example `arn:aws:iam::222222222222:role/claviger`")
}

/// `role/`, a path and a name of at most 64 characters:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
fn role(resource: &str) -> bool {
    let name = resource.rsplit('/').next().unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    resource.starts_with("role/")
        && (1..=64).contains(&name.len())
        && resource.len() <= 600
        && resource.bytes().all(allowed)
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>: letters, digits, `/`, `_`, `-`; `aws/` is AWS's.
fn alias_prefix(text: &str) -> Result<(), Refused> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let segment = |segment: &str| !segment.is_empty() && segment.bytes().all(allowed);
    let meant = || {
        let trimmed = text.strip_prefix("alias/").unwrap_or(text).trim_matches('/');
        (trimmed != text && alias_prefix(trimmed).is_ok()).then(|| trimmed.to_owned())
    };
    let reserved = text.split('/').next().is_some_and(|first| first == "aws" || first == "alias");
    when_or(
        text.split('/').all(segment) && !reserved && text.len() <= 180,
        "letters, digits, `_` and `-`, in parts joined by `/`, at most 180 bytes; not beginning with `alias/` or `aws/`",
        meant,
    )
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn label_value(text: &str) -> Result<(), Refused> {
    let accepted = "at most 63 of letters, digits and inner `-`, `_` and `.`";
    when(text.is_empty() || qualified(text), accepted)
}

/// The key of a label or an annotation, except for what claviger writes itself.
fn metadata_key(text: &str) -> Result<(), Refused> {
    if is_own(text) {
        return when(
            false,
            "a key that is not claviger's own: those are `app.kubernetes.io/managed-by` and all of `claviger.dev/`",
        );
    }
    let holds = match text.split_once('/') {
        Some((prefix, name)) => prefix.parse::<Name>().is_ok() && qualified(name),
        None => qualified(text),
    };
    when(holds, "at most 63 of letters, digits and inner `-`, `_` and `.`, optionally behind a domain and `/`")
}

fn is_own(key: &str) -> bool {
    key.starts_with("claviger.dev/") || key == "app.kubernetes.io/managed-by"
}

fn qualified(name: &str) -> bool {
    let outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    bytes.len() <= 63 && outer(bytes.first()) && outer(bytes.last()) && bytes.iter().all(inner)
}

fn cloudflare_zone(text: &str) -> Result<(), Refused> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    when(text.len() == 32 && text.bytes().all(hexadecimal), "the id of a Cloudflare zone: 32 digits of `0-9` and `a-f`")
}

fn directory_url(text: &str) -> Result<(), Refused> {
    let holds = Url::parse(text).is_ok_and(|url| {
        bare(&url) && (url.scheme() == "https" || url.scheme() == "http" && loopback(&url)) && url.fragment().is_none()
    });
    let accepted = "a URL with `https`, or `http` on loopback, without user name and password";
    when_or(holds, accepted, || secure(text).filter(|url| directory_url(url).is_ok()))
}

fn endpoint_url(text: &str) -> Result<(), Refused> {
    let holds = Url::parse(text).is_ok_and(|url| {
        bare(&url) && matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
    });
    let accepted = "a URL with `http` or `https`, without user name, password, query and fragment";
    when_or(holds, accepted, || secure(text).filter(|url| endpoint_url(url).is_ok()))
}

fn secure(text: &str) -> Option<String> {
    match text.split_once("://") {
        Some(("http", rest)) => Some(format!("https://{rest}")),
        None if text.contains('.') => Some(format!("https://{text}")),
        _ => None,
    }
}

fn bare(url: &Url) -> bool {
    url.host().is_some() && url.username().is_empty() && url.password().is_none()
}

fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// RFC 8555 section 7.3: "mailto" URLs must not contain header fields or more than one address.
fn mailto(text: &str) -> Result<(), Refused> {
    let address = |text: &str| {
        let parts: Vec<&str> = text.split('@').collect();
        let clean = text.bytes().all(|byte| byte.is_ascii_graphic() && !b",?;<>\"%".contains(&byte));
        parts.len() == 2 && parts.iter().all(|part| !part.is_empty()) && clean && text.len() <= 254
    };
    when_or(
        text.strip_prefix("mailto:").is_some_and(address),
        "one address, for example `mailto:itops@example.com`",
        || address(text).then(|| format!("mailto:{text}")),
    )
}

fn percent(text: &str) -> Result<(), Refused> {
    let number = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let holds = number.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|share| (1..=100).contains(&share));
    when(holds, "a whole number from 1 to 100 with `%` behind it")
}

/// Below a folder and never beside it. Links are looked at when the path is opened.
fn relative_path(text: &str) -> Result<(), Refused> {
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
    let meant = || {
        let trimmed = text.trim_start_matches("./").trim_end_matches('/');
        (trimmed != text && relative_path(trimmed).is_ok()).then(|| trimmed.to_owned())
    };
    when_or(
        text.split('/').all(part) && !text.contains('\\') && text.len() <= 1024,
        "a path below the folder of the settings: relative, with `/`, without `.`, `..` and `\\`",
        meant,
    )
}

fn file_mode(text: &str) -> Result<(), Refused> {
    let meant = || matches!(text, "400" | "440" | "600" | "640").then(|| format!("0{text}"));
    when_or(matches!(text, "0400" | "0440" | "0600" | "0640"), "`0400`, `0440`, `0600` or `0640`", meant)
}

/// <https://kubernetes.io/docs/concepts/configuration/secret/>: letters, digits, `-`, `_` and `.`.
fn keystore_name(text: &str) -> Result<(), Refused> {
    if ["tls.key", "tls.crt", "ca.crt"].contains(&text) {
        return when(false, "a name of its own: `tls.key`, `tls.crt` and `ca.crt` are there already");
    }
    parsed(text.parse::<Name>(), name_for)
}

fn secret_key(text: &str) -> Result<(), Refused> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    when((1..=253).contains(&text.len()) && text.bytes().all(allowed), "1 to 253 letters, digits, `-`, `_` and `.`")
}

fn socket_address(text: &str) -> Result<(), Refused> {
    let holds = text.parse::<SocketAddr>().is_ok_and(|address| address.port() != 0);
    when_or(holds, "an IP address with a port, for example `10.0.0.1:53` or `[2001:db8::1]:53`", || {
        text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53).to_string())
    })
}

fn listen_address(text: &str) -> Result<(), Refused> {
    let unix = text.strip_prefix("unix:").is_some_and(|path| !path.is_empty() && !path.ends_with('/'));
    let meant = || {
        let port = text.strip_prefix("localhost").unwrap_or(text).strip_prefix(':')?.parse::<u16>().ok()?;
        Some(format!("127.0.0.1:{port}"))
    };
    when_or(
        unix || text.parse::<SocketAddr>().is_ok(),
        "an IP address with a port, for example `127.0.0.1:9464`, or `unix:PATH`",
        meant,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(format: &str, texts: &[&str]) {
        for text in texts {
            assert_eq!(check(format).unwrap()(text), Ok(()), "{format}: {text}");
        }
    }

    fn bad(format: &str, texts: &[&str]) {
        for text in texts {
            assert!(check(format).unwrap()(text).is_err(), "{format}: {text} should be refused");
        }
    }

    fn meant(format: &str, found: &str) -> Option<String> {
        check(format).unwrap()(found).unwrap_err().suggestion
    }

    #[test]
    fn aws_words_are_checked() {
        good("aws-account", &["222222222222"]);
        bad("aws-account", &["22222222222", "2222-2222-2222", ""]);
        good("aws-region", &["eu-west-1", "us-gov-west-1", "ap-southeast-2"]);
        bad("aws-region", &["eu-west", "EU-WEST-1", "eu-west-1a", "", "eu--1"]);
        good("role-arn", &["arn:aws:iam::222222222222:role/claviger", "arn:aws-cn:iam::222222222222:role/a/b"]);
        bad(
            "role-arn",
            &[
                "arn:aws:iam::222222222222:user/x",
                "arn:aws:iam::2:role/x",
                "claviger",
                "arn:aws:iam::222222222222:role/",
            ],
        );
        good("alias-prefix", &["claviger/staging", "a"]);
        bad("alias-prefix", &["", "/a", "a/", "a//b", "aws/x", "a.b", "alias/a"]);
        assert_eq!(meant("alias-prefix", "alias/claviger/").as_deref(), Some("claviger"));
    }

    #[test]
    fn urls_carry_no_password_and_leave_the_machine_encrypted() {
        good(
            "directory-url",
            &["https://acme.example/directory", "http://127.0.0.1:14000/dir", "http://localhost/dir"],
        );
        bad(
            "directory-url",
            &["http://acme.example/directory", "https://u:p@acme.example/", "acme.example", "ftp://x/"],
        );
        assert_eq!(meant("directory-url", "http://acme.example/d").as_deref(), Some("https://acme.example/d"));
        good("endpoint-url", &["http://127.0.0.1:5000", "https://api.cloudflare.com/client/v4"]);
        bad("endpoint-url", &["https://h/?q", "file:///etc", "127.0.0.1:5000"]);
    }

    #[test]
    fn a_host_name_in_another_spelling_is_suggested_in_its_own() {
        for (found, suggestion) in [
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("www.example.com.", "www.example.com"),
            ("https://www.example.com/path", "www.example.com"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
        ] {
            assert_eq!(meant("dns-name", found).as_deref(), Some(suggestion), "{found}");
        }
        assert_eq!(meant("dns-name", "10.0.0.1"), None);
    }

    #[test]
    fn paths_stay_below_their_folder() {
        good("relative-path", &["web", "a/b", ".aws/credentials"]);
        bad("relative-path", &["", "/etc", "..", "a/../b", "a//b", "./a", "a/", "a\\b"]);
        assert_eq!(meant("relative-path", "./web/").as_deref(), Some("web"));
    }

    #[test]
    fn a_private_key_is_never_readable_by_everybody() {
        good("file-mode", &["0600", "0640", "0400"]);
        bad("file-mode", &["0644", "0777", "0666", "", "rw"]);
        assert_eq!(meant("file-mode", "600").as_deref(), Some("0600"));
    }

    #[test]
    fn addresses_are_numbers_with_a_port() {
        good("socket-address", &["10.0.0.1:53", "[::1]:53"]);
        bad("socket-address", &["10.0.0.1", "ns.example:53", "10.0.0.1:0", ":53"]);
        good("listen-address", &["127.0.0.1:0", "unix:./admin.sock"]);
        bad("listen-address", &["unix:", "localhost:80", "80"]);
        assert_eq!(meant("listen-address", ":9464").as_deref(), Some("127.0.0.1:9464"));
    }

    #[test]
    fn small_words_are_checked() {
        good("mailto", &["mailto:a@example.com"]);
        bad("mailto", &["a@example.com", "mailto:a@b,c@d", "mailto:a@b?subject=x", "mailto:"]);
        assert_eq!(meant("mailto", "a@example.com").as_deref(), Some("mailto:a@example.com"));
        good("percent", &["5%", "100%"]);
        bad("percent", &["5", "0%", "101%", "-1%", "%"]);
        good("cloudflare-zone", &["023e105f4ecef8ad9ca31a8372d0c353"]);
        bad("cloudflare-zone", &["023E105f4ecef8ad9ca31a8372d0c353", "023e"]);
        good("secret-key", &["tls.key"]);
        bad("secret-key", &["", "a/b"]);
        assert_eq!(meant("duration", "30 days").as_deref(), Some("30d"));
        assert_eq!(meant("namespace", "My_Team").as_deref(), Some("my-team"));
    }
}
