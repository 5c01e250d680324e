//! `wait`: look again and again until something holds, or time is up.

use std::time::Duration;

use claviger_config::{
    Reason, Turn,
    admin::Resource,
    condition::{CommonStatus, ConditionStatus},
    moment::Span,
};
use serde_json::Value;

use crate::{
    args::{Awaited, Format, Wait},
    failure::{Exit, Failure},
    fleet::{Fleet, name_of, path_of, read},
    print::Printer,
};

/// Wait, and say what is waited for meanwhile.
pub(crate) async fn run(fleet: &Fleet, printer: &mut Printer, arguments: &Wait) -> Result<Exit, Failure> {
    let target = fleet.target(&arguments.object.object)?;
    let object = fleet.resolve(&target).await?;
    let path = path_of(&object);
    let (kind, word) = match arguments.r#for {
        Awaited::OnSchedule => ("OnSchedule", "on schedule"),
        Awaited::Ready => ("Ready", "ready"),
    };
    let look = async || judge(&path, kind, fleet.resource(&object).await?);
    let not_yet = NotYet { object: object.to_string(), lacks: format!("is not {word}") };
    let answer = until(printer, not_yet, arguments.timeout, look, async || fleet.client.news(&path).await).await?;
    if !printer.as_data(&answer)? && printer.format() == Format::Name {
        printer.text(&format!("{}\n", name_of(&read(&path, &answer)?)))?;
    }
    printer.say(&format!("{object} is {word}"));
    Ok(Exit::Fine)
}

/// What is said when time is up.
#[derive(Debug)]
pub(crate) struct NotYet {
    pub(crate) object: String,
    pub(crate) lacks: String,
}

/// What a look has shown.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) holds: bool,
    pub(crate) reason: Option<(Reason, Turn)>,
    pub(crate) message: String,
    pub(crate) fix: Vec<String>,
    pub(crate) answer: Value,
}

/// Look until it holds. A daemon that goes away meanwhile, for a restart perhaps, is waited for as well.
pub(crate) async fn until(
    printer: &mut Printer,
    not_yet: NotYet,
    timeout: Span,
    look: impl AsyncFn() -> Result<Seen, Failure>,
    news: impl AsyncFn(),
) -> Result<Value, Failure> {
    let mut last = look().await?;
    let limit = Duration::from_millis(timeout.0.try_into().unwrap_or_default());
    let waited = tokio::time::timeout(limit, async {
        tell(printer, &last);
        while !last.holds {
            news().await;
            let seen = match look().await {
                Err(failure) if failure.exit() == 8 => continue,
                seen => seen?,
            };
            let changed = seen.reason != last.reason;
            last = seen;
            if changed {
                tell(printer, &last);
            }
        }
        Ok(())
    });
    match waited.await {
        Ok(ended) => ended.map(|()| last.answer),
        Err(_) => Err(time_is_up(not_yet, timeout, last)),
    }
}

fn tell(printer: &mut Printer, seen: &Seen) {
    if let (false, Some((reason, turn))) = (seen.holds, seen.reason) {
        printer.say(&format!("waiting: {reason} (turn: {turn}), {}", reason.hint()));
    }
}

fn time_is_up(not_yet: NotYet, timeout: Span, last: Seen) -> Failure {
    let NotYet { object, lacks } = not_yet;
    Failure::TimedOut { object, lacks, timeout, reason: last.reason, message: last.message, fix: last.fix }
}

/// Whether a condition holds for the document as it is now; one that was seen of an older document proves nothing.
fn judge(path: &str, kind: &str, answer: Value) -> Result<Seen, Failure> {
    let resource: Resource = read(path, &answer)?;
    let status: CommonStatus = read(path, &resource.status)?;
    let condition = status.condition(kind);
    let current = condition.filter(|condition| condition.observed_generation >= resource.metadata.generation);
    let holds = current.is_some_and(|condition| condition.status == ConditionStatus::True);
    let (reason, message, fix) = match (&status.attention, condition) {
        (Some(attention), _) => {
            (Some((attention.reason, attention.turn)), attention.message.clone(), attention.fix.clone())
        }
        (None, Some(found)) => (Some((found.reason, found.reason.turn())), found.message.clone(), Vec::new()),
        (None, None) => (None, String::new(), Vec::new()),
    };
    let fix = if fix.is_empty() { vec![explain(&resource)] } else { fix };
    Ok(Seen { holds, reason, message, fix, answer })
}

fn explain(resource: &Resource) -> String {
    format!("`clavigerctl explain {}` shows how far it is", name_of(resource))
}
