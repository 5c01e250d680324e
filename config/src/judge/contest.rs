//! What two objects of any environment may not share: a directory, a key's alias.

use std::collections::BTreeMap;

use super::{
    environment::spec,
    versions::{Versions, claimed},
};
use crate::{
    admin::Finding,
    desired::Spec,
    document::{Code, Document},
    environment::EnvironmentSpec,
    name::{Kind, Namespace, ObjectName},
};

/// Reject documents until no two of those that stand share anything.
pub(super) fn contest(versions: &mut Versions<'_>) {
    loop {
        let losers = losers(versions);
        if losers.is_empty() {
            return;
        }
        for (name, findings) in losers {
            versions.reject(&name, findings);
        }
    }
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
    let mut documents: Vec<&Document> = versions.of(Kind::KmsKey).chain(versions.of(Kind::TlsCertificate)).collect();
    documents.sort_by_cached_key(|document| versions.seniority(document));
    let mut taken: BTreeMap<String, Wish<'_>> = BTreeMap::new();
    let mut losers = Vec::new();
    for document in documents {
        let mut findings = Vec::new();
        let mut fresh: Vec<Wish<'_>> = Vec::new();
        for wish in wishes(document, &environments) {
            let own = fresh.iter().find(|other| super::separation::nested(&other.key, &wish.key));
            findings.extend(own.or_else(|| holder(&taken, &wish.key)).map(|holder| wish.against(holder)));
            fresh.push(wish);
        }
        match findings.is_empty() {
            true => taken.extend(fresh.into_iter().map(|wish| (wish.key.clone(), wish))),
            false => losers.push((document.name.clone(), findings)),
        }
    }
    losers
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
    match &document.spec {
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
            outlets.filter_map(|(number, outlet)| Some(wish((number, &outlet.files.as_ref()?.directory)))).collect()
        }
        Spec::CustomHostname(_) | Spec::Environment(_) => Vec::new(),
    }
}
