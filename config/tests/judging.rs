//! What holds for every fleet, however it changes: properties of separation.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{
    desired::Spec,
    environment::EnvironmentSpec,
    settle::{FileRead, Settled},
};
use proptest::prelude::*;
use support::Fleet;

#[derive(Clone, Debug)]
struct Drawn {
    namespaces: BTreeSet<u8>,
    account: u8,
    prefix: u8,
    role: u8,
    zones: BTreeMap<u8, Vec<u8>>,
}

const ZONES: [&str; 4] = ["example.com", "a.example.com", "b.a.example.com", "example.org"];
const PREFIXES: [&str; 3] = ["claviger", "claviger/inner", "other"];

fn environment() -> impl Strategy<Value = Drawn> {
    let namespaces = proptest::collection::btree_set(0..4_u8, 1..3);
    let except = proptest::collection::vec(1..3_u8, 0..2);
    let zones = proptest::collection::btree_map(0..4_u8, except, 0..3);
    (namespaces, 1..4_u8, 0..3_u8, 0..3_u8, zones).prop_map(|(namespaces, account, prefix, role, zones)| Drawn {
        namespaces,
        account,
        prefix,
        role,
        zones,
    })
}

/// Up to four environments by number; each lives in a file of its own, named so that the order of files says nothing.
fn fleet() -> impl Strategy<Value = BTreeMap<u8, Drawn>> {
    proptest::collection::btree_map(0..4_u8, environment(), 1..5)
}

fn written(number: u8, environment: &Drawn) -> FileRead {
    let Drawn { namespaces, account, prefix, role, zones } = environment;
    let account = account.to_string().repeat(12);
    let prefix = PREFIXES[usize::from(*prefix)];
    let role =
        if *role == 0 { String::new() } else { format!("assumeRole: \"arn:aws:iam::{account}:role/r{role}\", ") };
    let first = namespaces.first().expect("one at least");
    let namespaces: Vec<String> = namespaces.iter().map(|number| format!("n{number}")).collect();
    let zones: Vec<String> = zones
        .iter()
        .map(|(zone, except)| {
            let zone = ZONES[usize::from(*zone)];
            let except: BTreeSet<&str> = except.iter().map(|inner| ZONES[usize::from(*inner)]).collect();
            let inside: Vec<&str> = except.into_iter().filter(|inner| inner.ends_with(&format!(".{zone}"))).collect();
            format!("{{ name: {zone}, except: [{}] }}", inside.join(", "))
        })
        .collect();
    let text = format!(
        "apiVersion: claviger.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: e{number} }}\nspec:\n  class: non-production\n  owner: o\n  \
         namespaces: [{}]\n  zones: [{}]\n  kms: {{ accountId: \"{account}\", region: eu-west-1, {role}aliasPrefix: {prefix}, wrappingKey: w{number} }}\n\
         ---\napiVersion: claviger.dev/v1alpha1\nkind: KmsKey\nmetadata: {{ name: w{number}, namespace: n{first} }}\nspec: {{ purpose: wrap }}\n",
        namespaces.join(", "),
        zones.join(", "),
    );
    support::file(&format!("{}{number}.yaml", ["d", "b", "c", "a"][usize::from(number)]), &text)
}

fn files(fleet: &BTreeMap<u8, Drawn>) -> Vec<FileRead> {
    fleet.iter().map(|(number, environment)| written(*number, environment)).collect()
}

fn standing(settled: &Settled) -> BTreeMap<String, EnvironmentSpec> {
    let wanted = settled.desired.objects.values().filter(|wanted| wanted.refusal.is_none());
    let environments = wanted.filter_map(|wanted| match &*wanted.spec {
        Spec::Environment(spec) => Some((wanted.name.name.to_string(), (**spec).clone())),
        _ => None,
    });
    environments.collect()
}

/// What two environments have in common, found without the rules that are tested.
fn shared(left: &EnvironmentSpec, right: &EnvironmentSpec) -> Vec<&'static str> {
    let mut shared = Vec::new();
    if left.namespaces.iter().any(|namespace| right.namespaces.contains(namespace)) {
        shared.push("a namespace");
    }
    let (one, other) = (format!("{}/", left.kms.alias_prefix), format!("{}/", right.kms.alias_prefix));
    if left.kms.account_id == right.kms.account_id && (one.starts_with(&other) || other.starts_with(&one)) {
        shared.push("aliases");
    }
    if left.kms.assume_role.is_some() && left.kms.assume_role == right.kms.assume_role {
        shared.push("a role");
    }
    let owns = |spec: &EnvironmentSpec, name: &str| {
        let below = |zone: &str| name == zone || name.ends_with(&format!(".{zone}"));
        spec.zones
            .iter()
            .any(|zone| below(zone.name.as_str()) && !zone.except.iter().any(|inner| below(inner.as_str())))
    };
    if ZONES.iter().any(|zone| owns(left, zone) && owns(right, zone)) {
        shared.push("a name");
    }
    shared
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn environments_that_stand_share_nothing(first in fleet(), second in fleet()) {
        let mut fleet = Fleet::default();
        for documents in [first, second] {
            let settled = fleet.read(&files(&documents));
            let standing: Vec<_> = standing(&settled).into_iter().collect();
            for (number, (left_name, left)) in standing.iter().enumerate() {
                for (right_name, right) in &standing[number + 1..] {
                    prop_assert_eq!(shared(left, right), Vec::<&str>::new(), "{} and {}", left_name, right_name);
                }
            }
        }
    }

    #[test]
    fn an_incumbent_that_stays_as_it_is_runs_on(first in fleet(), second in fleet()) {
        let mut fleet = Fleet::default();
        let before = standing(&fleet.read(&files(&first)));
        let mut documents = second;
        documents.retain(|number, _| !before.contains_key(&format!("e{number}")));
        documents.extend(first.iter().filter(|(number, _)| before.contains_key(&format!("e{number}"))).map(|(number, environment)| (*number, environment.clone())));
        let after = standing(&fleet.read(&files(&documents)));
        for (name, spec) in before {
            prop_assert_eq!(after.get(&name), Some(&spec));
        }
    }

    #[test]
    fn an_environment_that_stood_is_never_lost_by_a_change(first in fleet(), second in fleet()) {
        let mut fleet = Fleet::default();
        let before = standing(&fleet.read(&files(&first)));
        let after = standing(&fleet.read(&files(&second)));
        for name in before.keys().filter(|name| second.keys().any(|number| format!("e{number}") == **name)) {
            prop_assert!(after.contains_key(name), "{} stood and still has a document", name);
        }
    }

    #[test]
    fn judging_again_changes_nothing(first in fleet(), second in fleet()) {
        let mut fleet = Fleet::default();
        fleet.read(&files(&first));
        let once = fleet.read(&files(&second));
        let mut reversed = files(&second);
        reversed.reverse();
        let twice = fleet.read(&reversed);
        prop_assert_eq!(&once.desired, &twice.desired);
        prop_assert_eq!(&once.findings, &twice.findings);
        prop_assert_eq!(&once.accepted_hash_input, &twice.accepted_hash_input);
    }
}
