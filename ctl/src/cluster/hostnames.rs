//! Host names that are custom resources. Those that were asked for over the admin API are no objects: the daemon alone knows them.

use aws_lc_rs::digest::{SHA256, digest};
use claviger_config::{
    DnsName, EnvironmentName, Kind, Moment, ObjectName,
    admin::HostnameView,
    condition::ConditionStatus,
    environment::EnvironmentSpec,
    hostname::{CustomHostnameSpec, CustomHostnameStatus, CustomerRecord, Origin, RecordPurpose, Verdict},
};
use serde_json::Value;

use super::{
    Cluster,
    objects::{self, Stored},
};
use crate::failure::Failure;

impl Cluster {
    /// The host names of an environment.
    pub(super) async fn hostnames(
        &self,
        environment: &EnvironmentName,
        tenant: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut views = self.views(environment).await?;
        views.retain(|view| tenant.is_none_or(|tenant| view.tenant == tenant));
        let values = views.iter().map(|view| objects::value("hostnames", view)).collect::<Result<Vec<_>, _>>()?;
        Ok(objects::as_list(values.into_iter()))
    }

    /// One of them; absent when no object asks for it.
    pub(super) async fn hostname(
        &self,
        environment: &EnvironmentName,
        hostname: &DnsName,
    ) -> Result<Option<Value>, Failure> {
        let view = self.views(environment).await?.into_iter().find(|view| view.hostname == *hostname);
        view.map(|view| objects::value("hostname", &view)).transpose()
    }

    /// In the order of names.
    async fn views(&self, environment: &EnvironmentName) -> Result<Vec<HostnameView>, Failure> {
        let name = ObjectName {
            kind: Kind::Environment,
            namespace: None,
            name: environment.as_str().parse().map_err(|_| Failure::EnvironmentOpen { choices: Vec::new() })?,
        };
        let at = self.one(&name).await?.environment();
        let mut views = Vec::new();
        for namespace in at.iter().flat_map(|at| &at.namespaces) {
            for stored in self.list(Kind::CustomHostname, Some(namespace)).await? {
                views.extend(at.as_ref().and_then(|at| view(environment, at, &stored)));
            }
        }
        views.sort_by(|left, right| left.hostname.cmp(&right.hostname));
        Ok(views)
    }
}

fn view(environment: &EnvironmentName, at: &EnvironmentSpec, stored: &Stored) -> Option<HostnameView> {
    let spec: CustomHostnameSpec = stored.read_spec()?;
    let status: CustomHostnameStatus = stored.read_status();
    let explained = stored.explanation(&Default::default());
    let ready = status.common.condition("Ready").is_some_and(|ready| ready.status == ConditionStatus::True);
    let target = at.edge.as_ref().map(|edge| edge.cloudflare.target.as_str());
    let next = explained.next.as_ref().map(|next| next.at);
    let next = next.or_else(|| status.common.attention.as_ref().and_then(|attention| attention.next_try));
    let records = if status.records.is_empty() {
        target.map(|target| traffic(&spec.hostname, target)).into_iter().collect()
    } else {
        status.records
    };
    Some(HostnameView {
        kind: Kind::CustomHostname,
        environment: environment.clone(),
        id: id(environment, &spec.hostname),
        object: stored.name.clone(),
        origin: status.origin.unwrap_or(Origin::Document),
        tenant: spec.tenant.clone(),
        reference: spec.reference.clone(),
        ready,
        reason: explained.verdict.reason,
        turn: explained.verdict.turn,
        message: explained.verdict.message,
        fix: explained.verdict.fix,
        edge: status.edge,
        records,
        next_check: next.map(Moment::to_second),
        hostname: spec.hostname,
    })
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

/// As the daemon makes it: it stands for the name in metrics.
fn id(environment: &EnvironmentName, hostname: &DnsName) -> String {
    let mut hash = hex::encode(digest(&SHA256, format!("{environment}/{hostname}").as_bytes()));
    hash.truncate(16);
    hash
}
