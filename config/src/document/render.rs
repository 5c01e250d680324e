//! Findings as text for people. Colours are the command's affair.

use std::fmt::Write;

use crate::admin::Finding;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The document is rejected.
    Error,
    /// It is accepted, and worth knowing.
    Note,
    /// It is accepted, and the object is not worked on.
    Refused,
}

impl Severity {
    /// The word before the code.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
            Self::Refused => "refused",
        }
    }
}

/// Findings as text, one paragraph each.
pub fn render(severity: Severity, findings: &[Finding]) -> String {
    findings.iter().map(|finding| paragraph(severity, finding)).collect::<Vec<_>>().join("\n")
}

fn paragraph(severity: Severity, finding: &Finding) -> String {
    let Finding { file, line, column, code, found, accepted, message, fix } = finding;
    let place = if *line == 0 { file.clone() } else { format!("{file}:{line}:{column}") };
    let mut text = format!("{}[{code}]: {message}\n  --> {place}\n", severity.word());
    let mut row = |word: &str, value: &str| writeln!(text, "  {word:>8}: {value}").expect("a String takes every write");
    if let Some(found) = found {
        row("found", found);
    }
    if !accepted.is_empty() {
        row("accepted", &accepted.join(", "));
    }
    row("hint", fix);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::read;

    #[test]
    fn an_error_reads_like_a_compilers() {
        let text = "\
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: web, namespace: staging }
spec:
  dnsName: [www.staging.example.com]
  outlets: [{ name: nginx, files: { directory: web } }]
";
        let reading = read("web.yaml", text.as_bytes());
        assert_eq!(
            render(Severity::Error, &reading.findings),
            "\
error[CLV-0104]: unknown field `dnsName` in `spec`
  --> web.yaml:5:3
     found: dnsName
  accepted: dnsNames
      hint: write `dnsNames`
"
        );
    }
}
