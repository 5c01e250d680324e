//! Columns: a heading, a place in the answer, and how what stands there is told.
//!
//! Answers are not read into views here, so that a table can still be shown when the daemon knows newer words.

use anstyle::Style;
use claviger_config::Moment;
use serde_json::Value;

use crate::{
    print::clean,
    table::{BAD, PLAIN, SLOW, Table},
    when::When,
};

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    place: &'static str,
    told: Told,
    shown: Shown,
}

/// When a column is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    Always,
    Narrow,
    Wide,
}

/// How a value is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// An instant, as the time since then.
    Age,
    /// An instant.
    Instant,
    /// A list, or a list of things with a name.
    List,
    /// Why: what someone must know, else why it is ready or not. Its place is the status.
    Reason,
    /// The status of a condition. Its place is the condition's type.
    State,
    /// As it stands.
    Text,
}

impl Column {
    /// A column that is always shown.
    pub(crate) const fn new(heading: &'static str, place: &'static str, told: Told) -> Self {
        Self { heading, place, told, shown: Shown::Always }
    }

    /// A column that is shown with `-o wide`.
    pub(crate) const fn wide(heading: &'static str, place: &'static str, told: Told) -> Self {
        Self { heading, place, told, shown: Shown::Wide }
    }

    /// A column that gives way to another one with `-o wide`.
    pub(crate) const fn narrow(heading: &'static str, place: &'static str, told: Told) -> Self {
        Self { heading, place, told, shown: Shown::Narrow }
    }

    fn tell(&self, item: &Value, when: When) -> String {
        let value = || item.pointer(self.place);
        let told = match self.told {
            Told::Age => when.age(value().and_then(instant)),
            Told::Instant => when.tell_if_known(value().and_then(instant)),
            Told::List => value().and_then(Value::as_array).map(|items| list(items)).unwrap_or_default(),
            Told::Reason => reason(item),
            Told::State => condition(item, self.place).map(|found| text(&found["status"])).unwrap_or_default(),
            Told::Text => value().map(text).unwrap_or_default(),
        };
        clean(&told)
    }
}

/// A table of `items`, each row in its style.
pub(crate) fn table(columns: &[Column], items: &[Value], when: When, wide: bool, style: fn(&Value) -> Style) -> String {
    let hidden = if wide { Shown::Narrow } else { Shown::Wide };
    let columns: Vec<&Column> = columns.iter().filter(|column| column.shown != hidden).collect();
    let mut table = Table::new(&columns.iter().map(|column| column.heading).collect::<Vec<_>>());
    for item in items {
        table.row(style(item), columns.iter().map(|column| column.tell(item, when)).collect());
    }
    table.text()
}

/// The style of a resource's row.
pub(crate) fn style_of_resource(item: &Value) -> Style {
    let status = |kind| condition(item, kind).and_then(|condition| condition["status"].as_str());
    match (status("Ready"), status("OnSchedule")) {
        (Some("False"), _) => BAD,
        (Some("True"), Some("True") | None) => PLAIN,
        _ => SLOW,
    }
}

fn condition<'a>(item: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = item.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|condition| condition["type"] == kind)
}

fn reason(item: &Value) -> String {
    let attention = item.pointer("/status/attention/reason");
    attention.or_else(|| condition(item, "Ready").map(|condition| &condition["reason"])).map(text).unwrap_or_default()
}

fn instant(value: &Value) -> Option<Moment> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn list(items: &[Value]) -> String {
    items.iter().map(|item| text(item.get("name").unwrap_or(item))).collect::<Vec<_>>().join(",")
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_a_dash_and_what_is_new_is_shown_as_it_is() {
        let columns = [
            Column::new("READY", "Ready", Told::State),
            Column::new("REASON", "", Told::Reason),
            Column::new("EXPIRES", "/status/notAfter", Told::Instant),
            Column::wide("NAMES", "/spec/names", Told::List),
        ];
        let item = json!({"spec": {"names": ["a", {"name": "b"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "FreshlyInvented"}]}});
        let told = table(&columns, &[item], When::ABSOLUTE, true, style_of_resource);
        let plain = anstream::adapter::strip_str(&told).to_string();
        assert_eq!(plain, "READY  REASON           EXPIRES  NAMES\nTrue   FreshlyInvented  -        a,b\n");
    }
}
