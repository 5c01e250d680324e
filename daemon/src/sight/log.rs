//! The log: one line per decision with its reason. A log that cannot be written never stops the daemon.

use std::{
    io::{self, Write},
    sync::Arc,
};

use claviger_config::{admin::HostnameChange, condition::ConditionStatus, settings::LogFormat};
use claviger_core::{
    domain::plan::Step,
    reconcile::pass::{Listener, Told},
    report,
};
use prometheus::IntCounter;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::{feed::Feed, metrics::Metrics};

/// Starts the log on standard error. `CLAVIGER_LOG` takes the usual filters (`info`, `clavigerd=debug`).
///
/// # Errors
/// When the filter cannot be read, or a log is running already.
pub fn start(format: LogFormat, lost: IntCounter) -> Result<(), String> {
    let filter = match std::env::var("CLAVIGER_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| format!("CLAVIGER_LOG: found `{text}`: {error}"))?,
        Err(_) => EnvFilter::new("info,aws_config=warn,hyper=warn,rustls=warn"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Patient { lost }).with_ansi(false);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}

/// Writes to standard error and counts what is lost: `tracing-subscriber` would panic when that cannot be written either.
#[derive(Clone)]
struct Patient {
    lost: IntCounter,
}

impl<'a> MakeWriter<'a> for Patient {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(bytes).is_err() {
            self.lost.inc();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hears every plan: a log line and a count for what is new.
pub struct Teller {
    metrics: Arc<Metrics>,
    feed: Feed,
}

impl Teller {
    /// A teller that counts there and feeds changes of host names there.
    pub const fn new(metrics: Arc<Metrics>, feed: Feed) -> Self {
        Self { metrics, feed }
    }

    fn feed(&self, told: &Told<'_>) {
        let (Some(environment), Some(hostname)) = (told.environment, told.hostname) else { return };
        let ready = told.now.ready.status == ConditionStatus::True;
        let change =
            HostnameChange { cursor: 0, at: told.at, hostname: hostname.clone(), reason: told.now.reason, ready };
        if self.feed.try_send((environment.clone(), change)).is_err() {
            tracing::warn!(object = %told.name, "a change was not fed: too many wait to be written");
        }
    }
}

impl Listener for Teller {
    fn hear(&self, told: Told<'_>) {
        let news = report::is_news(told.before, told.now);
        if !news && !matches!(told.plan.step, Step::Act(_)) {
            return;
        }
        let environment = told.environment.map_or("", |environment| environment.as_str());
        if news {
            self.metrics.decision(environment, told.name.kind.word(), told.plan.reason);
            self.feed(&told);
        }
        let (reason, turn, line) = (told.plan.reason.word(), told.plan.reason.turn().word(), report::line(told.plan));
        tracing::info!(object = %told.name, environment, reason, turn, "{line}");
    }
}
