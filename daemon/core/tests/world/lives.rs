//! Years of a small company: calm ones, and ones in which one call in fifty goes wrong.

use std::sync::atomic::Ordering::Relaxed;

use claviger_config::{Kind, Reason, Span};

use crate::{START, company, fleet::Fleet, nothing_is_doubled_and_nothing_lapsed, shop};

/// What was done, less what a renewal does.
fn done_beside_renewals(fleet: &Fleet) -> u64 {
    let renewals = ["seal_new_key", "open_order", "answer_challenges", "finalize", "deliver", "commit"];
    let looks = ["read_", "find_", "download_", "load", "recall"];
    let other = |word: &str| !renewals.contains(&word) && !looks.iter().any(|look| word.starts_with(look));
    fleet.sim.faults().done.iter().filter(|(word, _)| other(word)).map(|(_, times)| times).sum()
}

#[test]
fn two_calm_years_pass_without_a_lapse_a_double_or_a_needless_effect() {
    let mut fleet = shop(1);
    fleet.run_for(Span::days(12));
    assert_eq!(fleet.unready(), [""; 0]);
    let settled = done_beside_renewals(&fleet);
    fleet.run_until(START + Span::days(730));
    nothing_is_doubled_and_nothing_lapsed(&fleet);
    assert_eq!(fleet.unready(), [""; 0]);
    assert_eq!(done_beside_renewals(&fleet), settled, "after the first days there are renewals and nothing else");
    let model = fleet.sim.model();
    assert_eq!(model.orders.len(), model.issued(), "every order ended in a certificate");
    assert_eq!(model.private_keys as usize, model.issued() + model.accounts.len(), "a new key for each certificate");
    assert!((12 + 180..12 + 190).contains(&model.issued()), "one lasts 90 days, one lasts six: {}", model.issued());
    println!("{} passes, {} certificates, {} commits", fleet.passes, model.issued(), model.commits);
}

#[test]
fn an_issuance_costs_few_commits() {
    let mut fleet = shop(2);
    fleet.sim.model().customers.clear(); // the edge's own renewals are written down too
    fleet.run_for(Span::days(12));
    let counts = |fleet: &Fleet| {
        let model = fleet.sim.model();
        (model.commits, model.issued())
    };
    let before = counts(&fleet);
    fleet.run_for(Span::days(120));
    let after = counts(&fleet);
    let (commits, issued) = (after.0 - before.0, (after.1 - before.1) as u64);
    println!("{:.2} commits per issuance ({commits} for {issued})", commits as f64 / issued as f64);
    assert_eq!(commits, 3 * issued, "the intent, the order, and what came of it");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut fleet = company(seed);
        fleet.sim.slow.store(true, Relaxed);
        fleet.sim.faults().per_mille = 20;
        fleet.run_for(Span::days(5));
        fleet.sim.trace()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn with_one_call_in_fifty_going_wrong_nothing_lapses_nothing_is_doubled_and_all_comes_to_rest() {
    let mut crashes = 0;
    for seed in 10..16 {
        let mut fleet = if seed % 4 == 0 { company(seed) } else { shop(seed) };
        fleet.sim.slow.store(seed % 2 == 0, Relaxed);
        fleet.sim.model().late = Some(Span::minutes((seed % 5).cast_signed()));
        fleet.sim.faults().per_mille = 20;
        fleet.run_for(Span::days(40));
        fleet.sim.faults().per_mille = 0;
        fleet.run_for(Span::days(2)); // everything heals
        nothing_is_doubled_and_nothing_lapsed(&fleet);
        assert_eq!(fleet.unready(), [""; 0], "seed {seed}");
        let healed = done_beside_renewals(&fleet);
        let issued = fleet.sim.model().issued();
        fleet.run_for(Span::days(30));
        nothing_is_doubled_and_nothing_lapsed(&fleet);
        assert_eq!(done_beside_renewals(&fleet), healed, "seed {seed}: quiet but for renewals");
        assert!(fleet.sim.model().issued() - issued <= 13, "seed {seed}: renewals and no more");
        crashes += fleet.crashes;
        println!("seed {seed}: {} crashes, {} certificates", fleet.crashes, fleet.sim.model().issued());
    }
    assert!(crashes > 600, "{crashes} crashes: the run must hurt");
}

#[test]
fn a_status_that_is_lost_everywhere_costs_no_order_key_account_or_host_name() {
    let mut fleet = company(5);
    fleet.run_for(Span::days(18)); // the one that lasts six days is young
    let counts = |fleet: &Fleet| {
        let model = fleet.sim.model();
        (model.orders.len(), model.keys.len(), model.accounts.len(), model.hostnames.len(), model.private_keys)
    };
    let before = counts(&fleet);
    fleet.sim.model().store.clear();
    fleet.restart();
    fleet.run_for(Span::hours(12));
    assert_eq!(counts(&fleet), before);
    assert_eq!(fleet.unready(), [""; 0]);
    fleet.run_for(Span::days(60));
    nothing_is_doubled_and_nothing_lapsed(&fleet);
}

#[test]
fn a_removed_document_is_released_touches_nothing_and_may_come_back() {
    let mut fleet = company(6);
    fleet.run_for(Span::days(10)); // the one that lasts six days is young
    let counts = |fleet: &Fleet| {
        let model = fleet.sim.model();
        (model.keys.len(), model.orders.len())
    };
    let before = counts(&fleet);
    let removed: Vec<_> = [Kind::TlsCertificate, Kind::KmsKey, Kind::CustomHostname]
        .map(|kind| fleet.documents.of(kind).remove(0))
        .into_iter()
        .map(|name| fleet.documents.remove(&name))
        .collect();
    removed.iter().for_each(|wanted| fleet.put(wanted.name.clone()));
    fleet.run_for(Span::hours(2));
    for wanted in &removed {
        assert_eq!(fleet.reason(&wanted.name), Reason::Released, "{}", wanted.name);
    }
    fleet.restart();
    fleet.run_for(Span::hours(2));
    assert_eq!(fleet.reason(&removed[0].name), Reason::Released, "also after a restart");
    for wanted in removed {
        fleet.documents.put_back(wanted.clone());
        fleet.put(wanted.name.clone());
    }
    fleet.run_for(Span::hours(2));
    assert_eq!(fleet.unready(), [""; 0]);
    assert_eq!(counts(&fleet), before);
}

/// In a cluster, when nobody saw the first one go: its memory went with it, and what is there is taken over.
#[test]
fn another_object_of_the_same_name_does_not_inherit_the_memory_of_the_first() {
    let mut fleet = company(6);
    fleet.run_for(Span::days(10)); // the one that lasts six days is young
    let name = fleet.documents.of(Kind::TlsCertificate).remove(0);
    fleet.documents.identify(&name, "first");
    fleet.put(name.clone());
    fleet.run_for(Span::hours(2));
    let first = fleet.sim.model().store.remove(&name).unwrap().body;
    let orders = fleet.sim.model().orders.len();

    fleet.documents.identify(&name, "second");
    fleet.put(name.clone());
    fleet.run_for(Span::hours(2));
    let second = fleet.sim.model().store.get(&name).map(|row| row.body.clone()).expect("it is written down");
    let seed = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["seed"].clone();
    assert_ne!(seed(&second), seed(&first), "it has a memory of its own");
    assert_eq!((fleet.sim.model().orders.len(), fleet.is_ready(&name)), (orders, true), "what is there is taken over");
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let mut fleet = company(7);
    fleet.run_for(Span::days(1));
    fleet.documents.unreadable.store(true, Relaxed);
    let wanted = fleet.documents.remove(&fleet.documents.of(Kind::TlsCertificate)[0]);
    fleet.put(wanted.name.clone());
    fleet.run_for(Span::hours(1));
    assert_eq!(fleet.reason(&wanted.name), Reason::Issued);
    fleet.documents.unreadable.store(false, Relaxed);
    fleet.run_for(Span::minutes(2));
    assert_eq!(fleet.reason(&wanted.name), Reason::Released);
}
