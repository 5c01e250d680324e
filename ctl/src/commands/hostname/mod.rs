//! `hostname`: customers' host names, as the product's own backend sees them.

mod records;

use anstyle::Style;
use claviger_config::{
    DnsName, EnvironmentName, Turn,
    admin::{HostnameRequest, HostnameView},
    hostname::{CustomerRecord, Verdict},
};
use http::Method;
use serde_json::Value;

use crate::{
    args::{Format, Hostname, HostnameAdd, HostnameCheck, HostnameCommand, HostnameList},
    cluster::Cluster,
    columns::{Column, Told, table},
    commands::{
        get::as_list,
        wait::{NotYet, Seen, until},
    },
    escape::escaped,
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::Printer,
    table::{BAD, GOOD, HEADING, PLAIN, SLOW, styled, wrapped},
    when::When,
};

/// Do what was asked.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Hostname) -> Result<Exit, Failure> {
    match &arguments.command {
        HostnameCommand::Add(arguments) => add(fleet, printer, arguments).await,
        HostnameCommand::Check(arguments) => check(fleet, printer, arguments).await,
        HostnameCommand::List(arguments) => list(fleet, printer, arguments).await,
        HostnameCommand::Records(one) => records::run(fleet, printer, &one.hostname).await,
        HostnameCommand::Remove(one) => remove(fleet, printer, &one.hostname).await,
    }
}

async fn add(fleet: &Fleet, printer: &mut Printer, arguments: &HostnameAdd) -> Result<Exit, Failure> {
    let path = path_of(&fleet.edge().await?, &arguments.hostname);
    let request = HostnameRequest {
        tenant: arguments.tenant.clone(),
        validation: arguments.validation,
        reference: arguments.reference.clone(),
    };
    let mut answer = answered(fleet, &path, fleet.client.send(Method::PUT, &path, Some(&request)).await?).await?;
    if arguments.wait {
        let not_yet = NotYet { object: arguments.hostname.to_string(), lacks: "does not serve".to_owned() };
        let look = async || judge(&path, fleet.client.get(&path).await?);
        answer = until(printer, not_yet, arguments.timeout, look, async || fleet.client.news(&path).await).await?;
    }
    show(fleet, printer, &path, &answer).await?;
    Ok(Exit::Fine)
}

async fn check(fleet: &Fleet, printer: &mut Printer, arguments: &HostnameCheck) -> Result<Exit, Failure> {
    let path = path_of(&fleet.edge().await?, &arguments.hostname);
    let answer = fleet.client.send(Method::POST, &format!("{path}/check"), None::<&()>).await?;
    let answer = answered(fleet, &path, answer).await?;
    let ready = show(fleet, printer, &path, &answer).await?;
    Ok(Exit::of(ready, arguments.exit_code))
}

async fn remove(fleet: &Fleet, printer: &mut Printer, hostname: &DnsName) -> Result<Exit, Failure> {
    let environment = fleet.edge().await?;
    let answer = fleet.client.send(Method::DELETE, &path_of(&environment, hostname), None::<&()>).await?;
    if !answer.is_null() {
        printer.as_data(&answer)?;
    }
    printer.say(&format!("`{hostname}` is no longer asked for in `{environment}`"));
    Ok(Exit::Fine)
}

async fn list(fleet: &Fleet, printer: &mut Printer, arguments: &HostnameList) -> Result<Exit, Failure> {
    let query = arguments.tenant.as_ref().map(|tenant| format!("?tenant={}", escaped(tenant))).unwrap_or_default();
    let mut items = Vec::new();
    for environment in fleet.edges().await? {
        items.extend(fleet.pages(&format!("/v1/environments/{environment}/hostnames{query}")).await?);
    }
    if printer.as_data(&as_list(&items)?)? {
        return Ok(Exit::Fine);
    }
    if fleet.client.cluster().is_some_and(Cluster::reads_objects) {
        printer
            .hint("host names that were asked for over the admin API are no objects; `--port-forward` shows them too");
    }
    if items.is_empty() {
        printer.say("no host name found");
        return Ok(Exit::Fine);
    }
    let text = match printer.format() {
        Format::Name => names(&items)?,
        format => table(COLUMNS, &items, fleet.when(format).await, format == Format::Wide, style_of),
    };
    printer.text(&text)?;
    Ok(Exit::Fine)
}

/// The host name as it stands: an answer may come without a body.
async fn answered(fleet: &Fleet, path: &str, answer: Value) -> Result<Value, Failure> {
    if answer.is_null() { fleet.client.get(path).await } else { Ok(answer) }
}

fn path_of(environment: &EnvironmentName, hostname: &DnsName) -> String {
    format!("/v1/environments/{environment}/hostnames/{}", escaped(hostname.as_str()))
}

fn judge(path: &str, answer: Value) -> Result<Seen, Failure> {
    let view: HostnameView = read(path, &answer)?;
    let reason = Some((view.reason, view.turn));
    Ok(Seen { holds: view.ready, reason, message: view.message, fix: view.fix, answer })
}

/// Write the diagnosis, and say whether it serves.
async fn show(fleet: &Fleet, printer: &mut Printer, path: &str, answer: &Value) -> Result<bool, Failure> {
    let view: HostnameView = read(path, answer)?;
    if printer.as_data(answer)? {
        return Ok(view.ready);
    }
    let text = match printer.format() {
        Format::Name => format!("{}\n", view.hostname),
        format => diagnosis(&view, fleet.when(format).await),
    };
    printer.text(&text)?;
    Ok(view.ready)
}

/// One line when all is well; else two verdicts (DNS, edge), and what to fix in the order in which it can be done.
fn diagnosis(view: &HostnameView, when: When) -> String {
    let name = styled(HEADING, view.hostname.as_str());
    if view.ready && view.records.iter().all(|record| record.optional || record.verdict == Verdict::Ok) {
        let expires = view.edge.as_ref().and_then(|edge| edge.not_after);
        let expires = expires.map(|at| format!("; its certificate expires {}", when.tell(at))).unwrap_or_default();
        return format!("{name} {} in {}{expires}\n", styled(GOOD, "serves"), view.environment);
    }
    let style = if view.turn == Turn::Operator { BAD } else { SLOW };
    let serves = if view.ready { "serves" } else { "does not serve yet" };
    let mut text = format!("{name} {} in {}\n", styled(style, serves), view.environment);
    let why = format!("{} (turn: {}), {}", view.reason, view.turn, view.reason.hint());
    for (label, value) in
        [("why", why), ("message", view.message.clone()), ("dns", dns(view)), ("edge", edge(view, when))]
    {
        text.push_str(&labelled(label, &value));
    }
    text.push_str(&labelled("next check", &view.next_check.map(|at| when.tell(at)).unwrap_or_default()));
    text + &to_fix(view, when)
}

fn dns(view: &HostnameView) -> String {
    let needed: Vec<&CustomerRecord> = view.records.iter().filter(|record| !record.optional).collect();
    if needed.is_empty() {
        return "which records are needed is not known yet".to_owned();
    }
    let right = needed.iter().filter(|record| record.verdict == Verdict::Ok).count();
    let unknown = needed.iter().filter(|record| record.verdict == Verdict::Unknown).count();
    let asked = if unknown > 0 { format!(", {unknown} could not be asked for") } else { String::new() };
    format!("{right} of {} records as they must be{asked}", needed.len())
}

fn edge(view: &HostnameView, when: When) -> String {
    let Some(edge) = &view.edge else {
        return "not there yet".to_owned();
    };
    let certificate = edge.certificate.as_ref().map(|state| format!(", certificate {state}")).unwrap_or_default();
    format!("host name {}{certificate}, looked at {}", edge.hostname, when.tell(edge.observed_at))
}

fn to_fix(view: &HostnameView, when: When) -> String {
    let wrong = view.records.iter().filter(|record| !record.optional && record.verdict != Verdict::Ok);
    let steps: Vec<String> = wrong.map(|record| records::step(record, when)).chain(view.fix.clone()).collect();
    if steps.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{}\n", styled(HEADING, "To fix"));
    for (number, step) in (1..).zip(steps) {
        let mut lines = step.lines();
        let first = wrapped(lines.next().unwrap_or_default(), "     ", WIDTH);
        text.push_str(&format!("{number:>3}. {}", first.trim_start()));
        text.push_str(&lines.map(|line| format!("     {line}\n")).collect::<String>());
    }
    text
}

/// A label and its value, wrapped beside it; nothing for an empty value.
fn labelled(label: &str, value: &str) -> String {
    let lines = wrapped(value, "              ", WIDTH);
    lines.get(14..).map(|rest| format!("  {label:<12}{rest}")).unwrap_or_default()
}

fn names(items: &[Value]) -> Result<String, Failure> {
    items.iter().map(|item| read::<DnsName>("hostnames", &item["hostname"]).map(|name| format!("{name}\n"))).collect()
}

fn style_of(item: &Value) -> Style {
    match (item["ready"].as_bool(), item["turn"].as_str()) {
        (Some(true), _) => PLAIN,
        (_, Some("Operator")) => BAD,
        _ => SLOW,
    }
}

const WIDTH: usize = 80;

const COLUMNS: &[Column] = &[
    Column::new("HOSTNAME", "/hostname", Told::Text),
    Column::new("TENANT", "/tenant", Told::Text),
    Column::new("READY", "/ready", Told::Text),
    Column::new("REASON", "/reason", Told::Text),
    Column::new("TURN", "/turn", Told::Text),
    Column::wide("EXPIRES", "/edge/notAfter", Told::Instant),
    Column::wide("ENVIRONMENT", "/environment", Told::Text),
    Column::wide("ORIGIN", "/origin", Told::Text),
    Column::wide("REFERENCE", "/reference", Told::Text),
    Column::wide("EDGE", "/edge/hostname", Told::Text),
    Column::wide("CERTIFICATE", "/edge/certificate", Told::Text),
    Column::wide("NEXT CHECK", "/nextCheck", Told::Instant),
    Column::wide("MESSAGE", "/message", Told::Text),
];
