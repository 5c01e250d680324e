//! What two objects of any environment may not share: a directory, a Secret, a key's alias.

use std::collections::BTreeMap;

use super::{
    environment::spec,
    separation::nested,
    versions::{Versions, claimed},
};
use crate::{
    admin::Finding,
    certificate::Outlet,
    desired::Spec,
    document::{Code, Document},
    environment::EnvironmentSpec,
    name::{Kind, Name, Namespace, ObjectName},
};

/// Reject documents until no two of those that stand share anything.
pub(super) fn contest(versions: &mut Versions<'_>) {
    versions.yield_until_none(losers, against);
}

/// Something that one object alone may have: a path, which also takes what lies inside and around it.
struct Wish<'a> {
    code: Code,
    /// Where it is looked up; the first part keeps kinds of wishes apart.
    key: String,
    shown: String,
    document: &'a Document,
    path: String,
}

/// One round, from the oldest to the newest: whoever wishes for what another has, loses.
fn losers(versions: &Versions<'_>) -> Vec<(ObjectName, Vec<Finding>)> {
    let environments = environments(versions);
    let mut taken = BTreeMap::new();
    let mut losers = Vec::new();
    for document in contestants(versions) {
        let wishes = wishes(document, &environments);
        let findings = compared(&wishes, &taken);
        match findings.is_empty() {
            true => taken.extend(wishes.into_iter().map(|wish| (wish.key.clone(), wish))),
            false => losers.push((document.name.clone(), findings)),
        }
    }
    losers
}

fn against(versions: &Versions<'_>, documents: &[&Document]) -> Vec<Vec<Finding>> {
    let environments = environments(versions);
    let standing = contestants(versions).into_iter().flat_map(|document| wishes(document, &environments));
    let taken: BTreeMap<String, Wish<'_>> = standing.map(|wish| (wish.key.clone(), wish)).collect();
    documents.iter().map(|document| compared(&wishes(document, &environments), &taken)).collect()
}

fn contestants<'a>(versions: &'a Versions<'_>) -> Vec<&'a Document> {
    let mut documents: Vec<&Document> = versions.of(Kind::KmsKey).chain(versions.of(Kind::TlsCertificate)).collect();
    documents.sort_by_cached_key(|document| versions.seniority(document));
    documents
}

/// What speaks against these wishes of one document: what others have, and each other.
fn compared(wishes: &[Wish<'_>], taken: &BTreeMap<String, Wish<'_>>) -> Vec<Finding> {
    let finding = |(number, wish): (usize, &Wish<'_>)| {
        let own = wishes[..number].iter().find(|other| nested(&other.key, &wish.key));
        let others = || holder(taken, &wish.key).filter(|holder| holder.document.name != wish.document.name);
        own.or_else(others).map(|holder| wish.against(holder))
    };
    wishes.iter().enumerate().filter_map(finding).collect()
}

/// Who has this path, one around it or one inside it.
fn holder<'m, 'a>(taken: &'m BTreeMap<String, Wish<'a>>, key: &str) -> Option<&'m Wish<'a>> {
    let around = key.match_indices('/').map(|(end, _)| &key[..end]).chain([key]).find_map(|outer| taken.get(outer));
    around.or_else(|| {
        let inside = format!("{key}/");
        taken.range(inside.clone()..).next().filter(|(other, _)| other.starts_with(&inside)).map(|(_, wish)| wish)
    })
}

impl Wish<'_> {
    fn against(&self, holder: &Wish<'_>) -> Finding {
        let (object, first) = (holder.document.name.to_string(), holder.document.at(&holder.path).to_string());
        let blanks = [
            ("found", self.shown.as_str()),
            ("accepted", holder.shown.as_str()),
            ("object", object.as_str()),
            ("first", first.as_str()),
        ];
        self.code.at(&self.document.at(&self.path), &blanks).found(&self.shown)
    }
}

fn environments<'a>(versions: &'a Versions<'_>) -> BTreeMap<Namespace, &'a EnvironmentSpec> {
    let standing = versions.of(Kind::Environment).filter_map(|document| Some((document, spec(document)?)));
    standing
        .flat_map(|(document, spec)| claimed(document).into_iter().map(move |namespace| (namespace, spec)))
        .collect()
}

fn wishes<'a>(document: &'a Document, environments: &BTreeMap<Namespace, &EnvironmentSpec>) -> Vec<Wish<'a>> {
    match &*document.spec {
        Spec::KmsKey(_) => {
            let kms = document
                .name
                .namespace
                .as_ref()
                .and_then(|namespace| environments.get(namespace))
                .map(|spec| &spec.kms);
            let wish = kms.map(|kms| {
                let alias = format!("alias/{}/{}", kms.alias_prefix, document.name.name);
                let key = format!("{} {} {alias}", kms.account_id, kms.region);
                Wish { code: Code::AliasShared, key, shown: alias, document, path: "metadata.name".to_owned() }
            });
            wish.into_iter().collect()
        }
        Spec::TlsCertificate(certificate) => {
            let outlets = certificate.outlets.iter().enumerate();
            let wish = |(number, directory): (usize, &str)| Wish {
                code: Code::DirectoryShared,
                key: format!("directory {directory}"),
                shown: directory.to_owned(),
                document,
                path: format!("spec.outlets.{number}.files.directory"),
            };
            let secret = |number: usize, name: &Name| Wish {
                code: Code::SecretShared,
                key: format!("secret {}/{name}", document.name.namespace.as_ref().map_or("", Namespace::as_str)),
                shown: name.to_string(),
                document,
                path: format!("spec.outlets.{number}.secret.name"),
            };
            let either = |(number, outlet): (usize, &'a Outlet)| {
                let files = outlet.files.as_ref().map(|files| wish((number, &files.directory)));
                files.or_else(|| Some(secret(number, &outlet.secret.as_ref()?.name)))
            };
            outlets.filter_map(either).collect()
        }
        Spec::CustomHostname(_) | Spec::Environment(_) => Vec::new(),
    }
}
