//! A row of the ledger, with what is known of it.

use std::collections::BTreeMap;

use claviger_config::{
    DnsName, EnvironmentName, Kind, ObjectName, Reason,
    admin::HostnameView,
    condition::ConditionStatus,
    desired::{Spec, Surroundings, Wanted},
    hostname::{CustomHostnameStatus, CustomerRecord, Origin, RecordPurpose, Verdict},
};
use claviger_core::reconcile::pass::Explained;

use crate::{
    adapters::sqlite::HostnameRow,
    admin::{
        Admin,
        errors::{self, Problem},
    },
    drive::Forecast,
    ledger, source,
};

/// The objects that rows are shown as, where that is not the name itself: documents choose their own names.
#[derive(Default)]
pub(super) struct Objects {
    named: BTreeMap<(EnvironmentName, DnsName), ObjectName>,
    /// When whose turn comes; worked out whole for a list.
    forecasts: Option<BTreeMap<ObjectName, Forecast>>,
}

impl Objects {
    /// Those of these rows.
    pub(super) fn of(admin: &Admin, rows: &[&HostnameRow]) -> Self {
        let mut objects = BTreeMap::new();
        if rows.iter().any(|row| row.entry.origin == Origin::Document) {
            admin.shared.documents.each(|name, wanted| {
                if let (Spec::CustomHostname(spec), Some(at), Origin::Document) =
                    (&*wanted.spec, &wanted.environment, wanted.origin)
                {
                    objects.insert((at.name.clone(), spec.hostname.clone()), name.clone());
                }
            });
        }
        Self { named: objects, forecasts: (rows.len() > 1).then(|| admin.shared.driver.forecasts()) }
    }

    fn forecast(&self, admin: &Admin, name: &ObjectName) -> Option<Forecast> {
        match &self.forecasts {
            Some(all) => all.get(name).copied(),
            None => admin.shared.driver.forecast(name),
        }
    }

    /// The object that a row is shown as.
    pub(super) fn name(&self, at: &Surroundings, row: &HostnameRow) -> Result<ObjectName, Problem> {
        let entry = &row.entry;
        let of_a_document = || self.named.get(&(entry.environment.clone(), entry.hostname.clone())).cloned();
        let named = if entry.origin == Origin::Document { of_a_document() } else { None };
        named
            .or_else(|| source::row_name(at, &entry.hostname))
            .ok_or_else(|| errors::bug("a host name makes no object name", &entry.hostname))
    }
}

/// A row as the product's backend sees it; before the first pass with what is known without having looked.
pub(super) fn view(
    admin: &Admin,
    at: &Surroundings,
    objects: &Objects,
    row: &HostnameRow,
) -> Result<HostnameView, Problem> {
    let name = objects.name(at, row)?;
    let explained = admin.shared.fleet.explained(&name).filter(|explained| {
        explained.shown.wanted.as_deref().is_some_and(|wanted| asks_for(wanted, &row.entry.hostname))
    });
    let forecast = objects.forecast(admin, &name);
    let blank = unseen(at, row, name);
    let view = match explained {
        Some(explained) => seen(blank, explained),
        None => blank,
    };
    Ok(match forecast {
        Some(forecast) => {
            HostnameView { message: forecast.to_string(), next_check: Some(forecast.at.to_second()), ..view }
        }
        None => view,
    })
}

fn asks_for(wanted: &Wanted, hostname: &DnsName) -> bool {
    matches!(&*wanted.spec, Spec::CustomHostname(spec) if spec.hostname == *hostname)
}

fn seen(blank: HostnameView, explained: Explained) -> HostnameView {
    let shown = explained.shown;
    let status: CustomHostnameStatus = serde_json::from_value(shown.status).unwrap_or_default();
    HostnameView {
        ready: shown.said.ready.status == ConditionStatus::True,
        reason: shown.said.reason,
        turn: shown.said.reason.turn(),
        message: explained.thought.message,
        fix: explained.thought.fix,
        edge: status.edge,
        records: if status.records.is_empty() { blank.records } else { status.records },
        next_check: shown.next.map(|at| at.to_second()),
        ..blank
    }
}

fn unseen(at: &Surroundings, row: &HostnameRow, object: ObjectName) -> HostnameView {
    let (entry, reason) = (row.entry.clone(), Reason::NotObserved);
    let target = at.spec.edge.as_ref().map(|edge| edge.cloudflare.target.as_str());
    HostnameView {
        kind: Kind::CustomHostname,
        id: ledger::id(&entry.environment, &entry.hostname),
        environment: entry.environment,
        object,
        origin: entry.origin,
        tenant: entry.tenant,
        reference: entry.reference,
        ready: false,
        reason,
        turn: reason.turn(),
        message: String::new(),
        fix: Vec::new(),
        edge: None,
        records: target.map(|target| traffic(&entry.hostname, target)).into_iter().collect(),
        next_check: None,
        hostname: entry.hostname,
    }
}

/// The one record that every customer needs, known before anything was asked.
fn traffic(hostname: &DnsName, target: &str) -> CustomerRecord {
    CustomerRecord {
        purpose: RecordPurpose::Traffic,
        r#type: "CNAME".to_owned(),
        name: hostname.to_string(),
        value: target.to_owned(),
        optional: false,
        verdict: Verdict::Unknown,
        found: Vec::new(),
        checked_at: None,
    }
}
