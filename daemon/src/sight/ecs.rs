//! The log as JSON: one object a line, with the names of the Elastic Common Schema where it has any, and otherwise with the words
//! of the audit journal.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// The version whose names are used.
const VERSION: &str = "8.11";

/// Writes events as JSON.
pub(super) struct Ecs;

impl<S, N> FormatEvent<S, N> for Ecs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut at = String::new();
        SystemTime.format_time(&mut Writer::new(&mut at))?;
        let meta = event.metadata();
        let mut line = Map::new();
        line.insert("@timestamp".to_owned(), json!(at));
        line.insert("log.level".to_owned(), json!(meta.level().as_str().to_ascii_lowercase()));
        line.insert("message".to_owned(), json!(""));
        event.record(&mut Fields(&mut line));
        line.insert("log.logger".to_owned(), json!(meta.target()));
        line.insert("service.name".to_owned(), json!("clavigerd"));
        line.insert("service.version".to_owned(), json!(crate::VERSION));
        line.insert("ecs.version".to_owned(), json!(VERSION));
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }
}
