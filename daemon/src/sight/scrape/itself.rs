//! claviger itself: its build, its documents, its agenda, its journal, and whom it asks for attention.

use claviger_config::ObjectName;
use claviger_core::reconcile::pass::Shown;
use prometheus::{Error, GaugeVec, IntCounterVec, Opts, Registry};

use super::{Done, Scrape, environment, gauge, seconds, single};

/// The one sink of the journal that there is.
const SINK: &str = "file";

/// Whom somebody must know of.
pub(super) struct Attention(GaugeVec);

impl Attention {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let help = "Objects that someone must know of, by reason and whose turn it is.";
        gauge(registry, "claviger_attention", help, &["environment", "kind", "reason", "turn"]).map(Self)
    }

    pub(super) fn take(&self, name: &ObjectName, subject: &Shown) {
        let Some(known) = &subject.common.attention else { return };
        let environment = environment(subject);
        let labels = [environment.as_str(), name.kind.word(), known.reason.word(), known.turn.word()];
        self.0.with_label_values(&labels).inc();
    }
}

impl Scrape<'_> {
    pub(super) fn itself(&self, registry: &Registry) -> Done {
        let build = gauge(registry, "claviger_build_info", "The build that answers.", &["version", "revision"])?;
        build.with_label_values(&[crate::VERSION, crate::REVISION]).set(1.0);
        let documents = single(registry, "claviger_documents_rejected", "Errors in documents that are not in force.")?;
        documents.set(self.documents.view().rejected.len() as f64);
        let ready =
            single(registry, "claviger_scheduler_ready", "Whether renewals go on: 0 is what /readyz is red for.")?;
        ready.set(if self.driver.trouble().is_none() { 1.0 } else { 0.0 });
        self.agenda(registry)?;
        self.audit(registry)
    }

    fn agenda(&self, registry: &Registry) -> Done {
        let depth = self.driver.depth();
        let agenda = gauge(registry, "claviger_agenda_subjects", "Subjects on the agenda.", &["place"])?;
        for (place, count) in
            [("waiting", depth.waiting), ("ready", depth.ready), ("in_line", depth.in_line), ("running", depth.running)]
        {
            agenda.with_label_values(&[place]).set(count as f64);
        }
        Ok(())
    }

    fn audit(&self, registry: &Registry) -> Done {
        let told = self.journal.told();
        let help = "Lines of the audit journal: `Done` when durable, `Failed` for each attempt that was not.";
        let events = IntCounterVec::new(Opts::new("claviger_audit_events_total", help), &["sink", "outcome"])?;
        registry.register(Box::new(events.clone()))?;
        events.with_label_values(&[SINK, "Done"]).inc_by(told.written);
        events.with_label_values(&[SINK, "Failed"]).inc_by(told.failed);
        let queue = gauge(registry, "claviger_audit_queue_events", "Lines that wait to be written.", &["sink"])?;
        queue.with_label_values(&[SINK]).set(told.queued as f64);
        let last = "claviger_audit_last_delivered_timestamp_seconds";
        let last = gauge(registry, last, "When a line of the audit journal last became durable.", &["sink"])?;
        if let Some(at) = told.last {
            last.with_label_values(&[SINK]).set(seconds(at));
        }
        Ok(())
    }
}
