//! `hostname records`: what the owner of a host name must have in DNS, to be copied as a table, as zone-file lines or as JSON.

use claviger_config::{
    DnsName,
    admin::HostnameView,
    hostname::{CustomerRecord, RecordPurpose, Verdict},
};

use super::path_of;
use crate::{
    args::Format,
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::Printer,
    table::{BAD, PLAIN, SLOW, Table},
    when::When,
};

/// Show them.
pub(super) async fn run(fleet: &Fleet, printer: &mut Printer, hostname: &DnsName) -> Result<Exit, Failure> {
    let path = path_of(&fleet.edge().await?, hostname);
    let answer = fleet.client.get(&path).await?;
    if printer.as_data(&answer)? {
        return Ok(Exit::Fine);
    }
    let view: HostnameView = read(&path, &answer)?;
    let when = fleet.when(printer.format()).await;
    let text = match printer.format() {
        Format::Name => view.records.iter().map(|record| format!("{}\n", record.name)).collect(),
        Format::Zone => zone(&view),
        _ => table(&view, when),
    };
    if view.records.is_empty() {
        printer.say("which records are needed is not known yet");
    } else {
        printer.text(&text)?;
    }
    if let Some(next) = view.next_check.filter(|_| printer.format().is_prose()) {
        printer.say(&format!("next check {}", when.tell(next)));
    }
    Ok(Exit::Fine)
}

/// A record as a step that its owner can take.
pub(super) fn step(record: &CustomerRecord, when: When) -> String {
    let CustomerRecord { name, value, found, .. } = record;
    let checked = record.checked_at.map(|at| format!(" ({})", when.tell(at))).unwrap_or_default();
    let found = found.iter().map(|found| format!("\nDNS answers {found}{checked}")).collect::<String>();
    match (record.r#type.as_str(), record.verdict) {
        ("HTTP", _) => format!("serve this file at the present place of the host name:\n{name}\n{value}{found}"),
        (kind, Verdict::Add | Verdict::Ok) => format!("add this record:\n{kind}  {name}  {value}{found}"),
        (kind, Verdict::Conflict) => {
            format!("replace what stands there by this record:\n{kind}  {name}  {value}{found}")
        }
        (kind, Verdict::Unknown) => {
            format!(
                "see to it that DNS answers; it could not be asked for this record{checked}:\n{kind}  {name}  {value}"
            )
        }
    }
}

fn table(view: &HostnameView, when: When) -> String {
    let mut table = Table::new(&["VERDICT", "FOR", "TYPE", "NAME", "VALUE", "FOUND", "CHECKED"]);
    for record in &view.records {
        let style = match record.verdict {
            Verdict::Conflict => BAD,
            Verdict::Ok => PLAIN,
            Verdict::Add | Verdict::Unknown => SLOW,
        };
        table.row(
            style,
            vec![
                verdict(record),
                purpose(record).to_owned(),
                record.r#type.clone(),
                record.name.clone(),
                record.value.clone(),
                record.found.join(" "),
                when.tell_if_known(record.checked_at),
            ],
        );
    }
    table.text()
}

/// Lines for a master file (RFC 1035 section 5.1); what is no DNS record is a comment.
fn zone(view: &HostnameView) -> String {
    let mut text = format!("; {} in {}\n", view.hostname, view.environment);
    for record in &view.records {
        text.push_str(&format!("; {}: {}\n", purpose(record), verdict(record)));
        text.push_str(&match record.r#type.as_str() {
            "HTTP" => format!("; not DNS: serve {} with the content {}\n", record.name, record.value),
            "TXT" => format!("{} IN TXT {}\n", absolute(&record.name), quoted(&record.value)),
            kind @ ("CNAME" | "NS" | "PTR") => {
                format!("{} IN {kind} {}\n", absolute(&record.name), absolute(&record.value))
            }
            kind => format!("{} IN {kind} {}\n", absolute(&record.name), record.value),
        });
    }
    text
}

fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// Character strings of at most 255 bytes each (RFC 1035 section 3.3), with what is special escaped (section 5.1).
fn quoted(value: &str) -> String {
    let strings =
        value.as_bytes().chunks(255).map(|chunk| format!("\"{}\"", chunk.iter().map(letter).collect::<String>()));
    let strings = strings.collect::<Vec<_>>().join(" ");
    if strings.is_empty() { "\"\"".to_owned() } else { strings }
}

fn letter(byte: &u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        0x20..=0x7e => char::from(*byte).to_string(),
        other => format!("\\{other:03}"),
    }
}

fn verdict(record: &CustomerRecord) -> String {
    let word = match record.verdict {
        Verdict::Add => "add",
        Verdict::Conflict => "conflict",
        Verdict::Ok => "ok",
        Verdict::Unknown => "unknown",
    };
    if record.optional { format!("{word} (optional)") } else { word.to_owned() }
}

const fn purpose(record: &CustomerRecord) -> &'static str {
    match record.purpose {
        RecordPurpose::Certificate => "certificate",
        RecordPurpose::Ownership => "ownership",
        RecordPurpose::Traffic => "traffic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_escaped_as_a_zone_file_wants_it() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
        assert_eq!(quoted("ü"), r#""\195\188""#);
        assert_eq!(quoted(&"x".repeat(300)), format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn names_in_a_zone_file_end_with_a_dot() {
        assert_eq!(absolute("saas.example.com"), "saas.example.com.");
        assert_eq!(absolute("saas.example.com."), "saas.example.com.");
    }
}
