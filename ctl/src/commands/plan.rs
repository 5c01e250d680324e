//! `plan`: what a change would do and cost.

use claviger_config::{
    ObjectName,
    admin::{PlanRequest, PlanView, Verb},
};
use http::Method;
use serde_json::Value;

use crate::{
    args::{Format, Plan},
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::Printer,
    table::{HEADING, styled},
    when::When,
};

/// Show it, and do nothing.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Plan) -> Result<Exit, Failure> {
    let target = fleet.target(&arguments.object.object)?;
    let object = fleet.resolve(&target).await?;
    let answer = ask(fleet, arguments.verb, &object).await?;
    show(fleet, printer, &object, &answer).await?;
    Ok(Exit::Fine)
}

/// Have the daemon plan a change.
pub(crate) async fn ask(fleet: &Fleet, verb: Verb, object: &ObjectName) -> Result<Value, Failure> {
    fleet.client.send(Method::POST, PATH, Some(&PlanRequest { verb, object: object.clone() })).await
}

/// Write a plan that has not been executed, and say how it would be.
pub(crate) async fn show(
    fleet: &Fleet,
    printer: &mut Printer,
    object: &ObjectName,
    answer: &Value,
) -> Result<(), Failure> {
    if printer.as_data(answer)? {
        return Ok(());
    }
    let plan = view(answer)?;
    if printer.format() == Format::Name {
        return printer.text(&format!("{}\n", plan.hash));
    }
    let when = fleet.when(printer.format()).await;
    printer.text(&page(object, &plan, when))?;
    printer.say("nothing has been done");
    printer.hint(&format!("`clavigerctl apply {} --reason TEXT` does exactly this, or nothing", plan.hash));
    Ok(())
}

/// The plan in an answer.
pub(crate) fn view(answer: &Value) -> Result<PlanView, Failure> {
    read(PATH, answer)
}

/// A plan for people.
pub(crate) fn page(object: &ObjectName, plan: &PlanView, when: When) -> String {
    let mut text = format!("{}\n", styled(HEADING, &object.to_string()));
    let effects = if plan.effects.is_empty() {
        vec!["what a look at it shows to be due".to_owned()]
    } else {
        plan.effects.clone()
    };
    for (number, effect) in effects.iter().enumerate() {
        text.push_str(&format!("{:<9}{effect}\n", if number == 0 { "does" } else { "" }));
    }
    for (number, cost) in plan.cost.iter().enumerate() {
        let calls = if cost.calls == 1 { "call" } else { "calls" };
        text.push_str(&format!(
            "{:<9}{}: {} {calls}\n",
            if number == 0 { "costs" } else { "" },
            cost.budget,
            cost.calls
        ));
    }
    text + &format!("{:<9}{}\n{:<9}{}\n", "expires", when.tell(plan.expires), "hash", plan.hash)
}

const PATH: &str = "/v1/plans";
