//! `renew`: plan and apply in one go.

use claviger_config::admin::Verb;

use crate::{
    args::{Format, Renew},
    commands::{apply, plan},
    failure::{Exit, Failure},
    fleet::Fleet,
    print::Printer,
};

/// Show the plan, and execute it unless it is a dry run.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Renew) -> Result<Exit, Failure> {
    let target = fleet.target(&arguments.object.object)?;
    let object = fleet.resolve(&target).await?;
    let answer = plan::ask(fleet, Verb::Renew, &object).await?;
    if arguments.dry_run {
        plan::show(fleet, printer, &object, &answer).await?;
        return Ok(Exit::Fine);
    }
    let view = plan::view(&answer)?;
    apply::execute(fleet, &view.hash, &arguments.reason, arguments.ticket.clone()).await?;
    if !printer.as_data(&answer)? {
        let text = match printer.format() {
            Format::Name => format!("{object}\n"),
            format => plan::page(&object, &view, fleet.when(format).await),
        };
        printer.text(&text)?;
    }
    printer.say("claviger is at it");
    printer.hint(&format!("`clavigerctl explain {object}` shows how far it is"));
    Ok(Exit::Fine)
}
