//! `inventory`: certificates that claviger did not issue, what ends first in front.

use anstyle::Style;
use claviger_config::{EnvironmentName, Kind};
use serde_json::Value;

use crate::{
    args::Format,
    columns::{Column, Told, table},
    commands::get::as_list,
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::{Printer, clean},
    table::{BAD, PLAIN, SLOW},
};

/// Show those of every environment that is meant.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer) -> Result<Exit, Failure> {
    let mut items = Vec::new();
    for environment in environments(fleet).await? {
        items.extend(fleet.pages(&format!("/v1/environments/{environment}/inventory")).await?);
    }
    let within =
        |item: &Value| fleet.namespace.as_ref().is_none_or(|namespace| item["namespace"] == namespace.as_str());
    items.retain(within);
    // Instants of one form: their texts stand in the order of time. What has no known end comes last.
    items.sort_by_cached_key(|item| {
        let ends = at(item, "/certificate/notAfter");
        (ends.is_empty(), ends, at(item, "/environment"), at(item, "/namespace"), at(item, "/name"))
    });
    if printer.as_data(&as_list(&items)?)? {
        return Ok(Exit::Fine);
    }
    if items.is_empty() {
        printer.say("nothing was discovered that claviger did not issue");
        printer.hint("TLS Secrets are looked for in a cluster, in the namespaces that environments claim");
        return Ok(Exit::Fine);
    }
    show(fleet, printer, &items).await?;
    Ok(Exit::Fine)
}

async fn environments(fleet: &Fleet) -> Result<Vec<EnvironmentName>, Failure> {
    if let Some(environment) = &fleet.environment {
        return Ok(vec![environment.clone()]);
    }
    let all = fleet.resources(Kind::Environment).await?;
    all.iter().map(|item| read("/v1/resources/environment", &item["metadata"]["name"])).collect()
}

async fn show(fleet: &Fleet, printer: &mut Printer, items: &[Value]) -> Result<(), Failure> {
    if printer.format() == Format::Name {
        let name = |item: &Value| clean(&format!("Secret/{}/{}", at(item, "/namespace"), at(item, "/name"))) + "\n";
        return printer.text(&items.iter().map(name).collect::<String>());
    }
    let when = fleet.when(printer.format()).await;
    printer.text(&table(COLUMNS, items, when, printer.format() == Format::Wide, style))
}

fn at(item: &Value, place: &str) -> String {
    item.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn style(item: &Value) -> Style {
    match at(item, "/state").as_str() {
        "Expired" | "Unreadable" => BAD,
        "Valid" if item.pointer("/findings/0").is_none() => PLAIN,
        _ => SLOW,
    }
}

const COLUMNS: &[Column] = &[
    Column::new("ENVIRONMENT", "/environment", Told::Text),
    Column::new("NAMESPACE", "/namespace", Told::Text),
    Column::new("SECRET", "/name", Told::Text),
    Column::new("STATE", "/state", Told::Text),
    Column::new("EXPIRES", "/certificate/notAfter", Told::Instant),
    Column::new("FINDINGS", "/findings", Told::List),
    Column::wide("OWNER", "/owner", Told::Text),
    Column::wide("MANAGED BY", "/managedBy", Told::Text),
    Column::wide("NAMES", "/certificate/names", Told::List),
    Column::wide("ISSUER", "/certificate/issuer", Told::Text),
    Column::wide("SERIAL", "/certificate/serial", Told::Text),
    Column::wide("BEGINS", "/certificate/notBefore", Told::Instant),
    Column::wide("KEY", "/certificate/spkiSha256", Told::Text),
    Column::wide("MESSAGE", "/findings/0/message", Told::Text),
];
