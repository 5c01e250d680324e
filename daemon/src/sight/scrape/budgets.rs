//! Budgets: who waits, and until when.

use std::sync::PoisonError;

use claviger_core::domain::budget::Budgets;
use prometheus::Registry;

use super::{Done, Scrape, gauge, seconds};

impl Scrape<'_> {
    pub(super) fn budgets(&self, registry: &Registry) -> Done {
        let labels = &["environment", "budget"];
        let waiting = gauge(registry, "claviger_budget_waiting", "Subjects that wait for a budget.", labels)?;
        let opens = gauge(
            registry,
            "claviger_budget_opens_timestamp_seconds",
            "When a budget that is spent gives again; only while it is spent.",
            labels,
        )?;
        let clears = gauge(
            registry,
            "claviger_budget_line_clears_timestamp_seconds",
            "When the turn of the last who wait now is expected to come; only while somebody waits.",
            labels,
        )?;
        let lines = self.driver.lines();
        let budgets: Budgets = self.fleet.common().budgets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (environment, class, _) in budgets.iter() {
            let labels = [environment.as_str(), class.word()];
            let at = budgets.opens(environment, class, self.now);
            if at > self.now {
                opens.with_label_values(&labels).set(seconds(at));
            }
            let here = |(other, line, _): &&(_, _, usize)| other == environment && *line == class;
            let count = lines.iter().find(here).map_or(0, |(.., count)| *count);
            waiting.with_label_values(&labels).set(count as f64);
            if count > 0 {
                let tokens = i64::try_from(count).unwrap_or(i64::MAX);
                clears.with_label_values(&labels).set(seconds(budgets.forecast(environment, class, tokens, self.now)));
            }
        }
        Ok(())
    }
}
