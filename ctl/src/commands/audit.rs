//! `audit verify`: a journal is checked where it lies. No daemon is asked.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use serde_json::Value;

use crate::{
    args::{Audit, AuditCommand, Format},
    failure::{Exit, Failure, not_understood},
    journal::{Report, Unanswered, verify},
    print::{Printer, clean},
    table::{BAD, GOOD, PLAIN, SLOW, Table, styled},
};

/// Check it, and say what was found.
pub(crate) fn run(printer: &mut Printer, arguments: &Audit) -> Result<Exit, Failure> {
    let AuditCommand::Verify(arguments) = &arguments.command;
    let report = read(&arguments.file, arguments.includes.as_deref())
        .map_err(|source| Failure::File { path: arguments.file.clone(), source })?;
    let value = serde_json::to_value(&report).map_err(|source| not_understood("audit", source))?;
    if !printer.as_data(&value)? {
        let text = match printer.format() {
            Format::Name => format!("{}\n", report.head),
            Format::Wide => page(&report, usize::MAX),
            _ => page(&report, A_FEW),
        };
        printer.text(&text)?;
    }
    match (report.broken, &arguments.includes) {
        (Some(broken), _) => Err(Failure::JournalBroken { line: broken.line, what: broken.what }),
        (None, Some(head)) if report.includes == Some(false) => Err(Failure::JournalShort { head: head.clone() }),
        (None, _) => Ok(Exit::Fine),
    }
}

fn read(path: &Path, head: Option<&str>) -> io::Result<Report> {
    if path == Path::new("-") {
        return verify(io::stdin().lock(), head);
    }
    verify(BufReader::new(File::open(path)?), head)
}

fn page(report: &Report, limit: usize) -> String {
    let verdict = match (&report.broken, report.torn_bytes) {
        (Some(broken), _) => styled(BAD, &format!("broken at line {}", broken.line)),
        (None, Some(bytes)) => styled(SLOW, &format!("holds, but for {bytes} bytes of a torn last line")),
        (None, None) => styled(GOOD, "holds"),
    };
    let mut text = format!("chain       {verdict}\nlines       {}\nhead        {}\n", report.lines, report.head);
    text.push_str(&format!("unanswered  {}\n", report.unanswered.len()));
    if !report.unanswered.is_empty() {
        text.push('\n');
        text.push_str(&unanswered(&report.unanswered, limit));
    }
    text
}

/// Not an error: a daemon that is stopped amid an effect asks for its outcome when it starts again.
fn unanswered(unanswered: &[Unanswered], limit: usize) -> String {
    let mut table = Table::new(&["LINE", "INTENT", "WHEN", "VERB", "OBJECT"]);
    for open in unanswered.iter().take(limit) {
        let words = [&open.timestamp, &open.verb, &open.object].map(word);
        let cells = [open.line.to_string(), clean(&open.intent)].into_iter().chain(words).collect();
        table.row(PLAIN, cells);
    }
    let more = unanswered.len().saturating_sub(limit);
    let rest = if more > 0 { format!("and {more} more: `-o wide` shows all\n") } else { String::new() };
    table.text() + &rest
}

fn word(value: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Null => String::new(),
        Value::Object(fields) => {
            let parts = ["kind", "namespace", "name"].map(|field| fields.get(field).map(text));
            clean(&parts.into_iter().flatten().collect::<Vec<_>>().join("/"))
        }
        other => clean(&text(other)),
    }
}

const A_FEW: usize = 20;
