//! Every single crash point of the three ways: before and after each call, then on.

use std::sync::Arc;

use claviger_config::Span;

use crate::{START, documents::Documents, fleet::Fleet, nothing_is_doubled_and_nothing_lapsed, sim::Sim};

fn fleet(fill: fn(&Documents)) -> Fleet {
    let (sim, documents) = (Arc::new(Sim::new(9, START)), Arc::new(Documents::default()));
    documents.environment("staging");
    fill(&documents);
    sim.model().customers.insert("shop.customer.example".parse().unwrap(), START);
    Fleet::new(sim, documents)
}

/// Crashes at each call, before and after it, and lets the next life go on.
fn at_each_call(fill: fn(&Documents), then: impl Fn(&Fleet, &str)) {
    let span = Span::hours(1);
    let mut calm = fleet(fill);
    calm.run_for(span);
    let calls = calm.sim.faults().calls;
    assert!(calls > 10 && calm.crashes == 0);
    let mut crashed = 0;
    for (call, after) in (0..calls).flat_map(|call| [(call, false), (call, true)]) {
        let mut fleet = fleet(fill);
        fleet.sim.model().late = Some(Span::minutes(3));
        fleet.sim.faults().crash_at = Some((call, after));
        fleet.run_for(span);
        crashed += fleet.crashes;
        let point = format!("{} call {call}", if after { "after" } else { "before" });
        assert_eq!(fleet.unready(), [""; 0], "{point}");
        nothing_is_doubled_and_nothing_lapsed(&fleet);
        then(&fleet, &point);
    }
    println!("{crashed} crash points");
    assert!(crashed >= 2 * calls - 20, "{crashed} crashes at {calls} calls");
}

#[test]
fn an_issuance_survives_a_crash_at_every_point_with_the_same_order_and_the_same_key() {
    at_each_call(
        |documents| drop(documents.certificate("staging", "web", &[], &["one", "two"])),
        |fleet, point| {
            let model = fleet.sim.model();
            let lost = usize::try_from(fleet.sim.faults().lost_orders).unwrap();
            assert_eq!(model.issued(), 1, "{point}: one certificate");
            assert!(model.orders.len() <= 1 + lost, "{point}: {} orders, {lost} answers lost", model.orders.len());
            assert_eq!(model.accounts.len(), 1, "{point}: one account");
        },
    );
}

#[test]
fn a_key_survives_a_crash_at_every_point_and_is_made_once() {
    at_each_call(
        |documents| drop(documents.key("staging", "data")),
        |fleet, point| {
            let model = fleet.sim.model();
            assert_eq!((model.keys.len(), model.aliases.len()), (2, 2), "{point}");
            assert!(model.keys.values().all(|key| key.rotation.is_some()), "{point}");
        },
    );
}

#[test]
fn a_host_name_survives_a_crash_at_every_point_and_is_created_once() {
    at_each_call(
        |documents| drop(documents.hostname("staging", "shop")),
        |fleet, point| assert_eq!(fleet.sim.model().hostnames.len(), 1, "{point}"),
    );
}
