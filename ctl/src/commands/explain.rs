//! `explain`: one resource from end to end. The daemon knows; here it is only laid out.

use claviger_config::{
    Turn,
    admin::{Check, ExplainedStep, Explanation, HistoryEntry, StepState},
};

use crate::{
    args::{Format, Object},
    failure::{Exit, Failure},
    fleet::{Fleet, path_of, read},
    print::Printer,
    table::{BAD, GOOD, HEADING, PLAIN, QUIET, SLOW, Table, styled, wrapped},
    when::When,
};

/// Show it.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Object) -> Result<Exit, Failure> {
    let target = fleet.target(&arguments.object)?;
    let object = fleet.resolve(&target).await?;
    let path = format!("{}/explanation", path_of(&object));
    let answer = fleet.client.get(&path).await?;
    if printer.as_data(&answer)? {
        return Ok(Exit::Fine);
    }
    let explanation: Explanation = read(&path, &answer)?;
    let text = match printer.format() {
        Format::Name => format!("{}\n", explanation.object),
        format => page(&explanation, fleet.when(format).await),
    };
    printer.text(&text)?;
    Ok(Exit::Fine)
}

fn page(explanation: &Explanation, when: When) -> String {
    let object = styled(HEADING, &explanation.object.to_string());
    let mut parts = vec![format!("{object}\n{}", verdict(explanation, when))];
    if !explanation.steps.is_empty() {
        parts.push(format!("{}\n{}", styled(HEADING, "The way"), steps(&explanation.steps, when)));
    }
    if let Some(next) = &explanation.next {
        let next = format!("  {}, because of {}\n", when.tell(next.at), next.because);
        parts.push(format!("{}\n{next}", styled(HEADING, "What comes next")));
    }
    if !explanation.history.is_empty() {
        let history = history(&explanation.history, when);
        parts.push(format!("{}\n{history}", styled(HEADING, "What happened, newest first")));
    }
    parts.join("\n")
}

fn verdict(explanation: &Explanation, when: When) -> String {
    let verdict = &explanation.verdict;
    let style = match verdict.turn {
        Turn::Nobody => GOOD,
        Turn::Operator => BAD,
        _ => SLOW,
    };
    let mut text = String::new();
    let mut say = |label: &str, value: Option<String>| {
        text.push_str(&value.map(|value| labelled(label, &value)).unwrap_or_default())
    };
    say("environment", environment(explanation));
    say("verdict", Some(format!("{}: {}", verdict.reason, verdict.reason.hint())));
    say("turn", Some(verdict.turn.to_string()));
    say("since", verdict.since.map(|at| when.tell(at)));
    say("hurts", verdict.hurts_at.map(|at| when.tell(at)));
    say("message", Some(verdict.message.clone()));
    for step in &verdict.fix {
        say("fix", Some(step.clone()));
    }
    text.replacen(verdict.reason.word(), &styled(style, verdict.reason.word()), 1)
}

fn environment(explanation: &Explanation) -> Option<String> {
    let environment = explanation.environment.as_ref()?;
    let owner = explanation.owner.as_ref().map(|owner| format!("owner {owner}"));
    let facts: Vec<String> = owner.into_iter().chain(explanation.classification.clone()).collect();
    Some(if facts.is_empty() { environment.to_string() } else { format!("{environment} ({})", facts.join(", ")) })
}

/// A label and its value, wrapped beside it.
fn labelled(label: &str, value: &str) -> String {
    let lines = wrapped(value, "               ", WIDTH);
    lines.get(15..).map(|rest| format!("  {label:<13}{rest}")).unwrap_or_default()
}

fn steps(steps: &[ExplainedStep], when: When) -> String {
    let longest = steps.iter().map(|step| step.step.chars().count()).max().unwrap_or_default();
    steps.iter().map(|step| one_step(step, longest, when)).collect()
}

fn one_step(step: &ExplainedStep, longest: usize, when: When) -> String {
    let (word, style) = match step.state {
        StepState::Current => ("now", HEADING),
        StepState::Done => ("done", GOOD),
        StepState::Failed => ("failed", BAD),
        StepState::Skipped => ("skipped", QUIET),
        StepState::Waiting => ("waiting", PLAIN),
    };
    let mut line = format!("  {}  {:<longest$}", styled(style, &format!("{word:<7}")), step.step);
    for detail in step.at.map(|at| when.tell(at)).iter().chain(&step.r#ref) {
        line.push_str("  ");
        line.push_str(detail);
    }
    format!("{}\n{}", line.trim_end(), step.checks.iter().map(check).collect::<String>())
}

fn check(check: &Check) -> String {
    let saw = if check.saw.is_empty() { "nothing".to_owned() } else { check.saw.join(", ") };
    wrapped(&format!("{}: saw {saw}; wants {}", check.server, check.want), "             ", WIDTH)
}

fn history(history: &[HistoryEntry], when: When) -> String {
    let mut table = Table::new(&["WHEN", "REASON", "MESSAGE", "INTENT"]);
    for entry in history {
        let intent = entry.intent.clone().unwrap_or_default();
        table.row(PLAIN, vec![when.tell(entry.at), entry.reason.to_string(), entry.message.clone(), intent]);
    }
    table.text().lines().skip(1).map(|line| format!("  {line}\n")).collect()
}

const WIDTH: usize = 80;
