//! Whole fleets in virtual time: keepers and agenda as the daemon drives them, over models of the outside, with faults.
//!
//! A seed gives the same run every time. Every run ends with the same questions: did anything lapse, was anything made twice, does
//! everything come to rest.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    missing_docs,
    reason = "a test program: its helpers lie outside of the tests themselves"
)]

mod crashes;
mod documents;
mod fleet;
mod lives;
mod model;
mod sim;
mod trouble;

use std::sync::Arc;

use claviger_config::{Kind, Moment, Span};

use crate::{documents::Documents, fleet::Fleet, sim::Sim};

/// 2026-11-24T09:00:00Z.
const START: Moment = Moment(1_795_510_800_000);

/// Two environments with their keys, certificates of both lengths and customers who come sooner or later.
fn company(seed: u64) -> Fleet {
    let (sim, documents) = (Arc::new(Sim::new(seed, START)), Arc::new(Documents::default()));
    documents.environment("staging");
    documents.environment("testing");
    documents.key("staging", "data");
    documents.certificate("staging", "web", &[], &["nginx"]);
    documents.certificate("staging", "shop", &["first", "second"], &["one", "two"]);
    documents.certificate("testing", "web", &["second"], &["nginx"]);
    documents.certificate("testing", "short", &["first+"], &["nginx"]);
    for (index, hours) in [1, 30, 24 * 9].into_iter().enumerate() {
        documents.hostname("staging", &format!("shop-{index}"));
        let name = format!("shop-{index}.customer.example").parse().unwrap();
        sim.model().customers.insert(name, START + Span::hours(hours));
    }
    Fleet::new(sim, documents)
}

/// Nothing that is made once was made twice, and nothing ran out.
fn nothing_is_doubled_and_nothing_lapsed(fleet: &Fleet) {
    let (sim, documents) = (&fleet.sim, &fleet.documents);
    let (model, now) = (sim.model(), sim.time());
    assert_eq!(model.keys.len(), documents.of(Kind::KmsKey).len(), "one key for each document");
    assert_eq!(model.hostnames.len(), documents.of(Kind::CustomHostname).len(), "one host name for each document");
    let accounts = |issuer: &str| model.accounts.keys().filter(|(at, _)| at == issuer).count();
    assert!(accounts("first") <= 2 && accounts("second") <= 2, "one account for each environment and issuer");
    let stray = model.orders.len() - model.issued();
    let lost = usize::try_from(sim.faults().lost_orders).unwrap();
    assert!(stray <= lost, "{stray} stray orders, and {lost} answers to newOrder were lost");
    assert_eq!(model.lapsed, [""; 0], "nothing lapsed");
    assert_eq!(model.out_of_service(now), [""; 0], "nothing is out of service");
}
