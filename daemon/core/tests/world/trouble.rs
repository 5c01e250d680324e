//! A CA that is away for a week, a herd, an outlet that never works, drift, and people who ask at the wrong moment.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use claviger_config::{Kind, Moment, ObjectName, Reason, Span, key::KeyState};

use crate::{
    START, company, documents::Documents, fleet::Fleet, nothing_is_doubled_and_nothing_lapsed, shop, sim::Sim,
};

fn fleet(fill: impl FnOnce(&Documents)) -> Fleet {
    let (sim, documents) = (Arc::new(Sim::new(11, START)), Arc::new(Documents::default()));
    documents.environment("staging");
    fill(&documents);
    Fleet::new(sim, documents)
}

fn done(fleet: &Fleet, word: &str) -> u64 {
    fleet.sim.faults().done.get(word).copied().unwrap_or(0)
}

#[test]
fn a_ca_that_is_away_for_a_week_lapses_nothing_and_is_not_pestered() {
    let mut fleet = fleet(|documents| {
        for index in 0..5 {
            documents.certificate("staging", &format!("web-{index}"), &[], &["nginx"]);
        }
    });
    fleet.run_for(Span::days(1));
    let due = START + Span::days(59);
    fleet.sim.model().away.insert("first".to_owned(), (due, due + Span::days(7)));
    fleet.run_until(due);
    let tries = |fleet: &Fleet| {
        let inside = ["commit", "load", "read_key", "read_outlet"].map(|word| done(fleet, word)).iter().sum::<u64>();
        fleet.sim.faults().calls - inside
    };
    let before = tries(&fleet);
    fleet.run_for(Span::days(7));
    let web: Vec<_> = fleet.documents.of(Kind::TlsCertificate);
    for name in &web {
        assert!(fleet.is_ready(name), "the old one still serves");
        assert_eq!(fleet.reason(name), Reason::AcmeUnreachable);
    }
    let tries = tries(&fleet) - before;
    println!("the CA was called {tries} times for five certificates in the week");
    assert!(
        tries < 5 * (40 + 4 * 6 + 4 * 7),
        "a first day of knocking, then four times a day, as for windows: {tries}"
    );
    fleet.run_for(Span::days(2));
    nothing_is_doubled_and_nothing_lapsed(&fleet);
    assert_eq!(fleet.unready(), [""; 0]);
    assert_eq!(fleet.sim.model().issued(), 10, "each was renewed once");
}

#[test]
fn what_was_begun_while_a_ca_was_away_is_served_soon_after_it_is_back() {
    let calm = until_served(Span(0));
    for (away, within) in
        [(Span::minutes(2), Span::minutes(1)), (Span::hours(2), Span::minutes(36)), (Span::days(3), Span::minutes(72))]
    {
        let took = until_served(away);
        println!("{took} after an absence of {away}, {calm} without");
        assert!(took.0 <= calm.0 + within.0, "{took} after an absence of {away}, {calm} without");
    }
}

/// How long twenty certificates take from the moment when the CA is back, which went just before they were asked for.
fn until_served(away: Span) -> Span {
    let mut fleet = fleet(|_| {});
    fleet.run_for(Span::hours(1)); // its account is there
    let back = fleet.sim.time() + away;
    fleet.sim.model().away.insert("first".to_owned(), (fleet.sim.time(), back));
    for index in 0..20 {
        let name = fleet.documents.certificate("staging", &format!("web-{index}"), &[], &["nginx"]);
        fleet.put(name);
    }
    fleet.run_until(back);
    while fleet.sim.model().issued() < 20 {
        fleet.run_for(Span::seconds(5));
    }
    fleet.sim.time().since(back)
}

#[test]
fn a_short_life_survives_a_week_without_its_ca_by_the_next_issuer() {
    let mut fleet =
        fleet(|documents| drop(documents.certificate("staging", "web", &["first+", "second+"], &["nginx"])));
    fleet.run_for(Span::days(1));
    fleet.sim.model().away.insert("first".to_owned(), (START + Span::days(2), START + Span::days(9)));
    fleet.run_for(Span::days(14));
    nothing_is_doubled_and_nothing_lapsed(&fleet);
    assert!(fleet.sim.model().orders.values().any(|order| order.issuer == "second"));
    assert_eq!(fleet.unready(), [""; 0]);
}

#[test]
fn a_herd_is_drained_within_the_limits_of_the_ca_and_only_heads_are_woken() {
    const HERD: usize = 2_000;
    let mut fleet = fleet(|documents| {
        for index in 0..HERD {
            documents.certificate("staging", &format!("web-{index}"), &[], &["nginx"]);
        }
    });
    fleet.run_for(Span::hours(24));
    let opened: Vec<Moment> = fleet.sim.model().opened.clone();
    assert_eq!(opened.len(), HERD);
    assert_eq!(fleet.sim.model().issued(), HERD);
    let in_three_hours = |from: Moment| opened.iter().filter(|at| (from..from + Span::hours(3)).contains(at)).count();
    let worst = opened.iter().skip(1).step_by(50).map(|from| in_three_hours(*from)).max().unwrap();
    let first = in_three_hours(opened[0]);
    println!("{first} orders in the first three hours, {} passes in all", fleet.passes);
    assert!(first <= 240 + 240 && worst <= 480, "{first} and {worst} orders in three hours");
    assert!(fleet.sim.model().out_of_service(fleet.sim.time()).is_empty());
    let looks = done(&fleet, "read_outlet");
    assert!(fleet.passes < 12 * HERD as u64 + looks, "{} passes for {HERD}, {looks} looks", fleet.passes);
}

#[test]
fn an_outlet_that_never_works_and_a_ca_that_works_leave_the_others_served() {
    let mut fleet = fleet(|documents| {
        documents.certificate("staging", "web", &[], &["good", "bad"]);
    });
    fleet.run_for(Span::hours(1));
    fleet.sim.model().broken.insert("bad".to_owned());
    fleet.run_for(Span::days(200));
    let web = &fleet.documents.of(Kind::TlsCertificate)[0];
    assert_eq!(fleet.reason(web), Reason::DeliveryFailed);
    let now = fleet.sim.time();
    assert_eq!(fleet.sim.model().out_of_service(now), [format!("{web} in bad")]);
    assert_eq!(fleet.sim.model().lapsed, [""; 0]);
    assert_eq!(fleet.sim.model().issued(), 4);
    fleet.sim.model().broken.clear();
    fleet.run_for(Span::days(2));
    assert_eq!(fleet.unready(), [""; 0]);
}

#[test]
fn drift_of_a_key_is_shown_within_minutes_and_no_key_is_made() {
    let mut fleet = company(12);
    fleet.run_for(Span::days(1));
    let name = fleet.documents.of(Kind::KmsKey)[0].clone();
    let arn = fleet.sim.model().keys.iter().find(|(_, key)| key.object == name).unwrap().0.clone();
    let drift = |fleet: &mut Fleet, change: &dyn Fn(&mut crate::model::Key)| {
        change(fleet.sim.model().keys.get_mut(&arn).unwrap());
        fleet.run_for(Span::minutes(11));
        fleet.reason(&name)
    };
    assert_eq!(drift(&mut fleet, &|key| key.state = KeyState::Disabled), Reason::KeyDisabled);
    assert_eq!(drift(&mut fleet, &|key| key.state = KeyState::PendingDeletion), Reason::KeyPendingDeletion);
    let months = Some((Span::days(90), START));
    assert_eq!(
        drift(&mut fleet, &|key| (key.state, key.rotation) = (KeyState::Enabled, months)),
        Reason::RotationPeriodDiffers
    );
    assert_eq!(drift(&mut fleet, &|key| key.rotation = None), Reason::RotationOff);
    fleet.run_for(Span::days(10));
    assert_eq!(fleet.reason(&name), Reason::RotationOff, "it is not put back without being asked");
    fleet.ask(&name);
    fleet.run_for(Span::minutes(1));
    assert_eq!(fleet.reason(&name), Reason::KeyReady);
    let alias = format!("alias/claviger/{}/{}", name.namespace.as_ref().unwrap(), name.name);
    fleet.sim.model().aliases.insert(alias, ("arn:another".to_owned(), START));
    fleet.run_for(Span::minutes(11));
    assert_eq!(fleet.reason(&name), Reason::AliasMoved);
    assert_eq!(fleet.sim.model().keys.len(), 3);
}

#[test]
fn what_wraps_and_is_disabled_stops_what_needs_it_and_nothing_else() {
    let mut fleet = company(13);
    fleet.run_for(Span::days(1));
    let switch = |fleet: &Fleet, state| {
        let mut model = fleet.sim.model();
        let wrapping = model.keys.values_mut().filter(|key| key.object.name.as_str() == "wrapping");
        wrapping.for_each(|key| key.state = state);
    };
    switch(&fleet, KeyState::Disabled);
    let short =
        fleet.documents.of(Kind::TlsCertificate).into_iter().find(|name| name.name.as_str() == "short").unwrap();
    fleet.run_for(Span::days(4));
    assert_eq!(fleet.reason(&short), Reason::WrappingKeyNotReady);
    switch(&fleet, KeyState::Enabled);
    let wrapping = fleet
        .documents
        .of(Kind::KmsKey)
        .into_iter()
        .find(|name| name.namespace == short.namespace && name.name.as_str() == "wrapping");
    while fleet.reason(wrapping.as_ref().unwrap()) != Reason::KeyReady {
        fleet.run_for(Span::seconds(1));
    }
    fleet.run_for(Span::seconds(30)); // no back-off: the key wakes those who wait for it
    assert_eq!(fleet.reason(&short), Reason::Issued);
    nothing_is_doubled_and_nothing_lapsed(&fleet);
}

#[test]
fn a_person_who_asks_while_a_pass_is_out_is_heard_and_costs_one_certificate() {
    let mut fleet = fleet(|documents| drop(documents.certificate("staging", "web", &[], &["nginx"])));
    fleet.sim.slow.store(true, Relaxed);
    fleet.run_for(Span::hours(1));
    let web = fleet.documents.of(Kind::TlsCertificate)[0].clone();
    for step in 0..60 {
        let before = fleet.sim.model().issued();
        fleet.ask(&web);
        fleet.run_for(Span(step * 37)); // somewhere on the way to a certificate
        fleet.ask(&web);
        fleet.run_for(Span::hours(1));
        let model = fleet.sim.model();
        let issued = model.issued() - before;
        assert!((1..=2).contains(&issued), "step {step}: {issued} certificates");
        assert_eq!(model.orders.len(), model.issued(), "step {step}: nothing that was under way is lost over it");
    }
    assert_eq!(fleet.unready(), [""; 0]);
}

#[test]
fn what_another_environment_holds_is_refused_before_anything_is_done_with_it() {
    let mut fleet = company(14);
    fleet.run_for(Span::days(1));
    let stolen = fleet.sim.model().keys.keys().next().unwrap().clone();
    let thief: ObjectName = fleet.documents.key("testing", "thief");
    // By hand its tags were made to name another environment's object.
    fleet.sim.model().keys.get_mut(&stolen).unwrap().object = thief.clone();
    let acts = done(&fleet, "create_alias") + done(&fleet, "set_rotation") + done(&fleet, "create_key");
    fleet.put(thief.clone());
    fleet.run_for(Span::hours(3));
    assert_eq!(fleet.reason(&thief), Reason::ClaimedElsewhere);
    assert!(!fleet.is_ready(&thief));
    assert_eq!(done(&fleet, "create_alias") + done(&fleet, "set_rotation") + done(&fleet, "create_key"), acts);
}

#[test]
fn memory_does_not_grow_with_time() {
    let mut fleet = shop(15);
    fleet.run_for(Span::days(30));
    let size = |fleet: &Fleet| fleet.sim.model().store.values().map(|row| row.body.len()).sum::<usize>();
    let (before, subjects) = (size(&fleet), fleet.subjects_on_agenda());
    fleet.run_for(Span::days(120));
    let after = size(&fleet);
    assert!(after < before * 3 / 2 + 4_000, "{before} bytes of records became {after}");
    assert_eq!(fleet.subjects_on_agenda(), subjects);
}

#[test]
fn a_record_that_cannot_be_read_stops_its_own_subject_and_is_left_as_it_is() {
    let mut fleet = company(16);
    fleet.run_for(Span::days(10));
    let web = fleet.documents.of(Kind::TlsCertificate)[0].clone();
    let whole = fleet.sim.model().store[&web].body.clone();
    fleet.sim.model().store.get_mut(&web).unwrap().body = "{ torn".to_owned();
    fleet.restart();
    fleet.run_for(Span::hours(1));
    assert_eq!(fleet.reason(&web), Reason::StoreFailed);
    assert_eq!(fleet.sim.model().store[&web].body, "{ torn");
    assert_eq!(fleet.unready().len(), 1, "the others go on");
    fleet.sim.model().store.get_mut(&web).unwrap().body = whole;
    fleet.run_for(Span::minutes(11));
    assert_eq!(fleet.reason(&web), Reason::Issued);
    nothing_is_doubled_and_nothing_lapsed(&fleet);
}
