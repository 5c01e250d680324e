//! `keys`: every key of the fleet, its age and its rotation. AWS itself shows neither at a glance.

use claviger_config::Kind;
use serde_json::Value;

use crate::{
    columns::{Column, Told},
    commands::get::{as_list, show},
    failure::{Exit, Failure},
    fleet::Fleet,
    print::Printer,
};

/// Show them by environment and alias.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer) -> Result<Exit, Failure> {
    let mut items = fleet.resources(Kind::KmsKey).await?;
    items.sort_by_key(|item| ["/status/environment", "/status/alias", "/metadata/name"].map(|place| at(item, place)));
    if printer.as_data(&as_list(&items)?)? {
        return Ok(Exit::Fine);
    }
    if items.is_empty() {
        printer.say("no key found");
    } else {
        show(fleet, printer, COLUMNS, &items).await?;
    }
    Ok(Exit::Fine)
}

fn at(item: &Value, place: &str) -> String {
    item.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
}

const COLUMNS: &[Column] = &[
    Column::new("ENVIRONMENT", "/status/environment", Told::Text),
    Column::new("NAME", "/metadata/name", Told::Text),
    Column::wide("ALIAS", "/status/alias", Told::Text),
    Column::new("STATE", "/status/key/state", Told::Text),
    Column::narrow("AGE", "/status/key/createdAt", Told::Age),
    Column::wide("CREATED", "/status/key/createdAt", Told::Instant),
    Column::new("ROTATED", "/status/key/rotatedAt", Told::Instant),
    Column::new("NEXT ROTATION", "/status/key/nextRotation", Told::Instant),
    Column::new("REASON", "", Told::Reason),
    Column::wide("PURPOSE", "/spec/purpose", Told::Text),
    Column::wide("SPEC", "/spec/keySpec", Told::Text),
    Column::wide("ARN", "/status/key/arn", Told::Text),
    Column::wide("MATERIAL", "/status/key/material", Told::Text),
    Column::wide("DELETION", "/status/key/deletionAt", Told::Instant),
    Column::wide("OBSERVED", "/status/key/observedAt", Told::Instant),
    Column::wide("MESSAGE", "/status/attention/message", Told::Text),
];
