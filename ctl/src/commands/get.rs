//! `get`: resources of a kind, in columns or as documents.

use claviger_config::{
    Kind,
    admin::{List, Resource},
};
use serde_json::Value;

use crate::{
    args::{Format, Get},
    columns::{Column, Told, style_of_resource, table},
    failure::{Exit, Failure, not_understood},
    fleet::{Fleet, name_of, read},
    print::Printer,
    target::kind,
};

/// Show one or all.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Get) -> Result<Exit, Failure> {
    let target = match (&arguments.name, arguments.kind.contains('/')) {
        (None, true) => fleet.target(&arguments.kind)?,
        (None, false) => return list(fleet, printer, kind(&arguments.kind)?).await,
        (Some(name), false) => fleet.target(&format!("{}/{name}", arguments.kind))?,
        (Some(_), true) => return Err(named_twice(&arguments.kind)),
    };
    let object = fleet.resolve(&target).await?;
    let answer = fleet.resource(&object).await?;
    if !printer.as_data(&answer)? {
        show(fleet, printer, columns_of(object.kind), &[answer]).await?;
    }
    Ok(Exit::Fine)
}

async fn list(fleet: &Fleet, printer: &mut Printer, kind: Kind) -> Result<Exit, Failure> {
    let items = fleet.resources(kind).await?;
    if printer.as_data(&as_list(&items)?)? {
        return Ok(Exit::Fine);
    }
    if items.is_empty() {
        printer.say(&format!("no {kind} found"));
    } else {
        show(fleet, printer, columns_of(kind), &items).await?;
    }
    Ok(Exit::Fine)
}

/// A list as the contract writes it.
pub(crate) fn as_list(items: &[Value]) -> Result<Value, Failure> {
    serde_json::to_value(List::whole(items.to_vec())).map_err(|source| not_understood("list", source))
}

/// Resources in those columns, or their names.
pub(crate) async fn show(
    fleet: &Fleet,
    printer: &mut Printer,
    columns: &[Column],
    items: &[Value],
) -> Result<(), Failure> {
    if printer.format() == Format::Name {
        let names =
            items.iter().map(|item| read::<Resource>("list", item).map(|found| format!("{}\n", name_of(&found))));
        return printer.text(&names.collect::<Result<String, _>>()?);
    }
    let when = fleet.when(printer.format()).await;
    printer.text(&table(columns, items, when, printer.format() == Format::Wide, style_of_resource))
}

fn named_twice(found: &str) -> Failure {
    Failure::Usage {
        message: format!("`{found}` already names one resource"),
        hint: "write KIND NAME or KIND/NAME, one resource at a time".to_owned(),
    }
}

const fn columns_of(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Authority => AUTHORITY,
        Kind::CustomHostname => CUSTOM_HOSTNAME,
        Kind::Environment => ENVIRONMENT,
        Kind::KmsKey => KMS_KEY,
        Kind::TlsCertificate => TLS_CERTIFICATE,
    }
}

const NAMESPACE: Column = Column::new("NAMESPACE", "/metadata/namespace", Told::Text);
const NAME: Column = Column::new("NAME", "/metadata/name", Told::Text);
const READY: Column = Column::new("READY", "Ready", Told::State);
const REASON: Column = Column::new("REASON", "", Told::Reason);
const BELONGS_TO: Column = Column::new("ENVIRONMENT", "/status/environment", Told::Text);
const ON_SCHEDULE: Column = Column::wide("ON SCHEDULE", "OnSchedule", Told::State);
const MESSAGE: Column = Column::wide("MESSAGE", "/status/attention/message", Told::Text);

const AUTHORITY: &[Column] = &[NAMESPACE, NAME, READY, REASON, BELONGS_TO, ON_SCHEDULE, MESSAGE];

const CUSTOM_HOSTNAME: &[Column] = &[
    NAMESPACE,
    NAME,
    READY,
    REASON,
    Column::new("HOSTNAME", "/spec/hostname", Told::Text),
    Column::wide("TENANT", "/spec/tenant", Told::Text),
    Column::wide("ORIGIN", "/status/origin", Told::Text),
    Column::wide("EDGE", "/status/edge/hostname", Told::Text),
    Column::wide("CERTIFICATE", "/status/edge/certificate", Told::Text),
    Column::wide("EXPIRES", "/status/edge/notAfter", Told::Instant),
    Column::wide("OBSERVED", "/status/edge/observedAt", Told::Instant),
    Column::wide("ENVIRONMENT", "/status/environment", Told::Text),
    ON_SCHEDULE,
    MESSAGE,
];

const ENVIRONMENT: &[Column] = &[
    NAME,
    READY,
    REASON,
    Column::new("CLASS", "/spec/class", Told::Text),
    Column::new("NAMESPACES", "/spec/namespaces", Told::List),
    Column::wide("OWNER", "/spec/owner", Told::Text),
    Column::wide("CLASSIFICATION", "/spec/classification", Told::Text),
    Column::wide("ACCOUNT", "/spec/kms/accountId", Told::Text),
    Column::wide("REGION", "/spec/kms/region", Told::Text),
    Column::wide("ALIASES", "/spec/kms/aliasPrefix", Told::Text),
    Column::wide("ZONES", "/spec/zones", Told::List),
    Column::wide("ISSUERS", "/spec/issuers", Told::List),
    ON_SCHEDULE,
    MESSAGE,
];

const KMS_KEY: &[Column] = &[
    NAMESPACE,
    NAME,
    READY,
    REASON,
    Column::new("STATE", "/status/key/state", Told::Text),
    Column::new("ROTATES", "/status/key/nextRotation", Told::Instant),
    BELONGS_TO,
    Column::wide("PURPOSE", "/spec/purpose", Told::Text),
    Column::wide("SPEC", "/spec/keySpec", Told::Text),
    Column::wide("CREATED", "/status/key/createdAt", Told::Instant),
    Column::wide("ROTATED", "/status/key/rotatedAt", Told::Instant),
    Column::wide("ALIAS", "/status/alias", Told::Text),
    Column::wide("ARN", "/status/key/arn", Told::Text),
    Column::wide("OBSERVED", "/status/key/observedAt", Told::Instant),
    ON_SCHEDULE,
    MESSAGE,
];

const TLS_CERTIFICATE: &[Column] = &[
    NAMESPACE,
    NAME,
    READY,
    REASON,
    Column::new("EXPIRES", "/status/certificate/notAfter", Told::Instant),
    Column::new("RENEWS", "/status/renewal/at", Told::Instant),
    BELONGS_TO,
    Column::wide("PLANNED BY", "/status/renewal/source", Told::Text),
    Column::wide("ISSUER", "/status/certificate/issuer", Told::Text),
    Column::wide("SERIAL", "/status/certificate/serial", Told::Text),
    Column::wide("NAMES", "/spec/dnsNames", Told::List),
    Column::wide("OUTLETS", "/spec/outlets", Told::List),
    ON_SCHEDULE,
    MESSAGE,
];
