//! `apply`: execute a plan as it stands, or not at all.

use claviger_config::admin::ExecuteRequest;
use http::Method;
use serde_json::Value;

use crate::{
    args::Apply,
    escape::escaped,
    failure::{Exit, Failure},
    fleet::Fleet,
    print::Printer,
};

/// Do it.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Apply) -> Result<Exit, Failure> {
    let answer = execute(fleet, &arguments.hash, &arguments.reason, arguments.ticket.clone()).await?;
    if !answer.is_null() {
        printer.as_data(&answer)?;
    }
    printer.say("the plan is accepted; claviger is at it");
    Ok(Exit::Fine)
}

/// Have the daemon execute a plan. It is written down with its reason before anything is done.
pub(crate) async fn execute(fleet: &Fleet, hash: &str, reason: &str, ticket: Option<String>) -> Result<Value, Failure> {
    let path = format!("/v1/plans/{}/execute", escaped(hash));
    fleet.client.send(Method::POST, &path, Some(&ExecuteRequest { reason: reason.to_owned(), ticket })).await
}
