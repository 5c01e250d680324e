//! The log: one line per decision with its reason. A log that cannot be written never stops the daemon.

use std::sync::Arc;

use claviger_config::{ObjectName, admin::HostnameChange, condition::ConditionStatus, settings::LogFormat};
use claviger_core::{
    domain::plan::{Plan, Step},
    reconcile::pass::{Listener, Told},
    report,
};
use prometheus::IntCounter;
use tracing_subscriber::EnvFilter;

use super::{ecs::Ecs, feed::Feed, lines::Lines, metrics::Metrics};

/// Starts the log on standard error. `CLAVIGER_LOG` takes the usual filters (`info`, `clavigerd=debug`).
///
/// # Errors
/// When the filter cannot be read, or a log is running already.
pub fn start(format: LogFormat, lost: IntCounter) -> Result<(), String> {
    let filter = match std::env::var("CLAVIGER_LOG") {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| format!("CLAVIGER_LOG: found `{text}`: {error}"))?,
        Err(_) => EnvFilter::new(QUIET),
    };
    let lines = Lines::start(lost).map_err(|error| format!("the thread of the log cannot be started: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).with_ansi(false);
    let started = match format {
        LogFormat::Json => builder.event_format(Ecs).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}

/// What the clients of others say is said by ours in better words.
const QUIET: &str = "info,aws_config=warn,hyper=warn,kube_client=error,kube_runtime=error,rustls=warn";

/// Hears every plan: a log line and a count for what is new.
pub struct Teller {
    metrics: Arc<Metrics>,
    feed: Feed,
    events: Option<Events>,
}

/// Hears every plan that is news.
pub type Events = Box<dyn Fn(&ObjectName, &Plan) + Send + Sync>;

impl Teller {
    /// A teller that counts there, feeds changes of host names there, and tells news there.
    pub const fn new(metrics: Arc<Metrics>, feed: Feed, events: Option<Events>) -> Self {
        Self { metrics, feed, events }
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
            self.events.iter().for_each(|events| events(told.name, told.plan));
        }
        let (reason, turn, line) = (told.plan.reason.word(), told.plan.reason.turn().word(), report::line(told.plan));
        tracing::info!(object = %told.name, environment, reason, turn, "{line}");
    }
}
