//! `status`: the first screen. What is refused, what someone must know worst first, and how many are well.

use claviger_config::{
    Moment, Turn,
    admin::{AttentionView, DocumentsView, Finding, FleetStatus, SourceView, Total},
};
use serde_json::Value;

use crate::{
    args::{Format, Status},
    cluster::Cluster,
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::Printer,
    table::{BAD, GOOD, HEADING, PLAIN, QUIET, SLOW, Table, styled, wrapped},
    target::Target,
    when::When,
};

/// Show it.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Status) -> Result<Exit, Failure> {
    let mut answer = fleet.client.get(PATH).await?;
    narrow(&mut answer, fleet);
    check_environment(&answer, fleet).await?;
    let written = printer.as_data(&answer)?;
    if written && !arguments.exit_code {
        return Ok(Exit::Fine);
    }
    let mut status: FleetStatus = read(PATH, &answer)?;
    status.attention.sort_by_key(urgency);
    if !written {
        printer.text(&text(&status, fleet, printer.format()))?;
    }
    Ok(Exit::of(is_well(&status), arguments.exit_code))
}

/// A slip in the name of an environment must not read as if all were well there.
async fn check_environment(answer: &Value, fleet: &Fleet) -> Result<(), Failure> {
    let told = ["/attention/0", "/totals/0"].iter().any(|place| answer.pointer(place).is_some());
    let Some(environment) = fleet.environment.as_ref().filter(|_| !told) else {
        return Ok(());
    };
    let all = Fleet { client: fleet.client.clone(), namespace: None, environment: None };
    all.look_up(&Target::environment(environment)?).await.map(|_| ())
}

fn text(status: &FleetStatus, fleet: &Fleet, format: Format) -> String {
    match format {
        Format::Name => status.attention.iter().map(|attention| format!("{}\n", attention.object)).collect(),
        Format::Wide => page(status, fleet, When::ABSOLUTE, usize::MAX),
        _ => page(status, fleet, When::seen_from(status.as_of), FIRST_SCREEN),
    }
}

/// Leave out what the flags do not mean. Totals know no namespaces, so they go when one is named.
fn narrow(answer: &mut Value, fleet: &Fleet) {
    let keep = |item: &Value, pointer: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| item.pointer(pointer).and_then(Value::as_str) == Some(wanted))
    };
    let environment = fleet.environment.as_ref().map(|environment| environment.as_str());
    let namespace = fleet.within().map(|namespace| namespace.as_str());
    // Where objects are counted here they are counted by namespace.
    let counted = namespace.is_none() || fleet.client.cluster().is_some_and(Cluster::reads_objects);
    if let Some(attention) = answer.get_mut("attention").and_then(Value::as_array_mut) {
        attention.retain(|item| keep(item, "/environment", environment) && keep(item, "/object/namespace", namespace));
    }
    if let Some(totals) = answer.get_mut("totals").and_then(Value::as_array_mut) {
        totals.retain(|item| counted && keep(item, "/environment", environment));
    }
}

/// What hurts soonest comes first; of equals, what the operator can mend.
fn urgency(attention: &AttentionView) -> (Moment, bool, Moment, String) {
    let hurts = attention.hurts_at.unwrap_or(Moment::MAX);
    (hurts, attention.turn != Turn::Operator, attention.since, attention.object.to_string())
}

/// Nothing is wrong, and nothing is unknown: silence is never taken for health.
fn is_well(status: &FleetStatus) -> bool {
    let calm = |total: &Total| total.not_ready + total.unknown + total.late == 0;
    status.complete
        && !status.sources.iter().any(|source| source.stale)
        && status.documents.rejected.is_empty()
        && status.attention.is_empty()
        && status.totals.iter().all(calm)
}

fn page(status: &FleetStatus, fleet: &Fleet, when: When, limit: usize) -> String {
    let exceptions = findings("Exceptions from a policy", &status.documents.findings);
    if is_well(status) {
        return all_is_well(status, fleet) + &exceptions;
    }
    let parts = [
        header(status, when, fleet.client.cluster().is_some_and(Cluster::reads_objects)),
        rejected(&status.documents),
        attention(&status.attention, when, limit),
        exceptions.trim_start().to_owned(),
        totals(&status.totals),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn all_is_well(status: &FleetStatus, fleet: &Fleet) -> String {
    if let Some(namespace) = fleet.within() {
        let calm = styled(GOOD, &format!("Nothing in the namespace `{namespace}` needs attention"));
        return format!("{calm} (as of {})\n", status.as_of.to_second());
    }
    let objects: u64 = status.totals.iter().map(|total| total.ready).sum();
    let counted = match objects {
        0 => String::new(),
        1 => ": 1 object is ready and on schedule".to_owned(),
        many => format!(": {many} objects are ready and on schedule"),
    };
    format!("{}{counted} (as of {})\n", styled(GOOD, "All is well"), status.as_of.to_second())
}

/// The instant, and whether everything has been looked at.
fn header(status: &FleetStatus, when: When, from_objects: bool) -> String {
    let stale: Vec<&SourceView> = status.sources.iter().filter(|source| source.stale).collect();
    let verdict = match (status.complete, stale.len()) {
        (true, 0) => "complete".to_owned(),
        _ if from_objects => styled(SLOW, FROM_OBJECTS),
        (false, 0) => styled(SLOW, "incomplete, not everything has been looked at yet"),
        (_, count) => styled(SLOW, &format!("incomplete, {count} of {} sources stale", status.sources.len())),
    };
    let mut text = format!("As of {}: {verdict}\n", status.as_of.to_second());
    for source in stale {
        let answered =
            source.observed_at.map_or_else(|| "never answered".to_owned(), |at| format!("answered {}", when.tell(at)));
        let trouble = source.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        text.push_str(&wrapped(&format!("{} {answered}{trouble}", source.name), "  ", WIDTH));
    }
    text
}

fn rejected(documents: &DocumentsView) -> String {
    findings("Rejected documents (the last accepted version stays in force)", &documents.rejected)
        .trim_start()
        .to_owned()
}

fn findings(title: &str, findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let told: String = findings.iter().map(finding).collect();
    format!("\n{}\n{told}", styled(HEADING, title))
}

fn finding(finding: &Finding) -> String {
    let place = match finding.line {
        0 => finding.file.clone(),
        line => format!("{}:{line}:{}", finding.file, finding.column),
    };
    let line = format!("  {} {}\n", styled(BAD, &place), finding.code);
    line + &wrapped(&finding.message, "    ", WIDTH) + &fix(&finding.fix, "    ")
}

fn attention(attention: &[AttentionView], when: When, limit: usize) -> String {
    if attention.is_empty() {
        return String::new();
    }
    let mut blocks = vec![styled(HEADING, &format!("Attention, worst first: {}", attention.len())) + "\n"];
    blocks.extend(attention.iter().take(limit).map(|one| block(one, when)));
    if let Some(more @ 1..) = attention.len().checked_sub(limit) {
        blocks.push(styled(QUIET, &format!("  and {more} more: `clavigerctl status -o wide` shows all")) + "\n");
    }
    blocks.join("\n").replacen("\n\n", "\n", 1)
}

/// One thing that someone must know: what, why, whose turn, since when, until when, what to do.
fn block(attention: &AttentionView, when: When) -> String {
    let style = if attention.turn == Turn::Operator { BAD } else { SLOW };
    let reason = styled(style, attention.reason.word());
    let mut text = format!("  {}\n", styled(HEADING, &attention.object.to_string()));
    text.push_str(&format!("    {reason}, turn: {}{}\n", attention.turn, hurts(attention, when)));
    let next = attention.next_try.map(|next| format!(", next try {}", when.tell(next))).unwrap_or_default();
    text.push_str(&format!("    since: {}{next}\n", when.tell(attention.since)));
    text.push_str(&wrapped(&attention.message, "    ", WIDTH));
    text.push_str(&attention.fix.iter().map(|step| fix(step, "    ")).collect::<String>());
    text
}

fn hurts(attention: &AttentionView, when: When) -> String {
    match attention.hurts_at {
        None => String::new(),
        Some(at) => match when.passed(at) {
            Some(length) => format!(", {}", styled(BAD, &format!("has hurt for {length}"))),
            None => format!(", hurts {}", when.tell(at)),
        },
    }
}

fn fix(step: &str, indent: &str) -> String {
    wrapped(&format!("fix: {step}"), indent, WIDTH)
}

fn totals(totals: &[Total]) -> String {
    if totals.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["ENVIRONMENT", "KIND", "READY", "NOT READY", "UNKNOWN", "LATE"]);
    for total in totals {
        let environment = total.environment.as_ref().map(ToString::to_string).unwrap_or_default();
        let counts = [total.ready, total.not_ready, total.unknown, total.late].map(|count| count.to_string());
        let cells = [environment, total.kind.to_string()].into_iter().chain(counts).collect();
        table.row(if total.not_ready > 0 { BAD } else { PLAIN }, cells);
    }
    table.text()
}

/// Which CA, KMS or edge last answered stands in no object.
const FROM_OBJECTS: &str = "as far as stored objects tell; `--port-forward` asks the daemon";
/// As many blocks as a screen shows without hiding the header.
const FIRST_SCREEN: usize = 10;
const WIDTH: usize = 80;
const PATH: &str = "/v1/status";
