//! Which object is accepted and still not worked on: a list of rules, the first that speaks wins.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Incumbent, Judgement, SettingsFacts, certificate,
    environment::spec,
    hostname, notices,
    versions::{Versions, claimed},
};
use crate::{
    admin::Finding,
    desired::{Refusal, Spec, Surroundings, Wanted},
    document::{Code, Document, spelled},
    environment::EnvironmentSpec,
    hostname::Origin,
    name::{DnsName, EnvironmentName, Kind, Name, Namespace, ObjectName},
    reason::Reason,
};

/// One object and all that its rules look at.
pub(super) struct Subject<'a> {
    pub(super) document: &'a Document,
    /// Its environment, as it stands.
    pub(super) environment: Option<&'a Surroundings>,
    pub(super) incumbent: Option<&'a Incumbent>,
    pub(super) settings: &'a SettingsFacts,
    pub(super) fleet: &'a Fleet<'a>,
}

pub(super) type Rule = fn(&Subject<'_>) -> Option<Refused>;

const FIRST: &[Rule] = &[
    environment_is_refused,
    namespace_is_unclaimed,
    environment_has_changed,
    secret_not_supported,
    read_folder_missing,
];

/// Why an object is not worked on, and which field says so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) path: String,
}

impl Refused {
    pub(super) fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { refusal: Refusal { reason, message: message.into(), fix: Vec::new() }, path: path.into() }
    }

    /// With one more step that helps.
    pub(super) fn fix(mut self, step: impl Into<String>) -> Self {
        self.refusal.fix.push(step.into());
        self
    }
}

/// All that stands, looked at from above.
pub(super) struct Fleet<'a> {
    versions: &'a Versions<'a>,
    settings: &'a SettingsFacts,
    /// By namespace, and by the environment's own name.
    claims: BTreeMap<Namespace, Arc<Surroundings>>,
    environments: BTreeMap<Name, Arc<Surroundings>>,
    /// Environments that are not worked on, with the reason.
    refused: BTreeMap<EnvironmentName, Refused>,
    hostnames: BTreeMap<(EnvironmentName, DnsName), &'a Document>,
}

impl<'a> Fleet<'a> {
    pub(super) fn of(versions: &'a Versions<'a>, settings: &'a SettingsFacts) -> Self {
        let environments: BTreeMap<Name, Arc<Surroundings>> = versions
            .of(Kind::Environment)
            .filter_map(|document| Some((document.name.name.clone(), surroundings(document)?)))
            .collect();
        let claims = environments.values().flat_map(|surroundings| {
            surroundings.spec.namespaces.iter().map(|namespace| (namespace.clone(), Arc::clone(surroundings)))
        });
        let claims = claims.collect();
        let mut fleet =
            Self { versions, settings, claims, environments, refused: BTreeMap::new(), hostnames: BTreeMap::new() };
        fleet.hostnames = fleet.hostnames();
        fleet.refused = fleet.refused();
        fleet
    }

    /// Everything, judged.
    pub(super) fn judgement(self) -> Judgement {
        let mut judgement = Judgement {
            findings: self.versions.findings.clone(),
            kept: self.versions.kept.clone(),
            ..Judgement::default()
        };
        for document in self.versions.standing.values() {
            judgement.notices.extend(notices::notices(document));
            self.accept(document, self.refusal(document), &mut judgement);
        }
        for (document, against) in self.versions.beaten.values() {
            if let Some(against) = against.first() {
                self.show_beaten(document, against, &mut judgement);
            }
        }
        for findings in [&mut judgement.findings, &mut judgement.notices, &mut judgement.refused] {
            findings.sort();
            findings.dedup();
        }
        judgement
    }

    fn accept(&self, document: &Document, refused: Option<Refused>, judgement: &mut Judgement) {
        let incumbent = self.versions.before.objects.get(&document.name);
        let generation = match incumbent {
            Some(incumbent) if incumbent.document == document.spec => incumbent.generation,
            Some(incumbent) => incumbent.generation + 1,
            None => 1,
        };
        let environment = self.environment(document);
        let first = incumbent.and_then(|incumbent| incumbent.environment.clone());
        let accepted = Incumbent {
            name: document.name.clone(),
            document: document.spec.clone(),
            generation,
            environment: first.or_else(|| environment.as_ref().map(|surroundings| surroundings.name.clone())),
            place: place(document),
            refused: refused.as_ref().map(|refused| refused.refusal.reason),
        };
        judgement.accepted.objects.insert(document.name.clone(), accepted);
        judgement.refused.extend(refused.as_ref().map(|refused| told(document, refused)));
        let wanted = wanted(document, environment, generation, refused.map(|refused| refused.refusal));
        judgement.objects.insert(document.name.clone(), Arc::new(wanted));
    }

    /// One that may not stand is shown with what speaks against it. It is remembered only when it stood before.
    fn show_beaten(&self, document: &Document, against: &Finding, judgement: &mut Judgement) {
        let incumbent = self.versions.before.objects.get(&document.name);
        let reason = match against.code.as_str() {
            code if code == Code::NamespaceClaimed.word() => Reason::NamespaceClaimed,
            _ if document.name.kind == Kind::Environment => Reason::SeparationRefused,
            _ => Reason::ClaimedElsewhere,
        };
        let refusal = Refusal { reason, message: against.message.clone(), fix: vec![against.fix.clone()] };
        let environment = if document.name.kind == Kind::Environment { None } else { self.environment(document) };
        let generation = incumbent.map_or(1, |incumbent| incumbent.generation);
        let wanted = wanted(document, environment, generation, Some(refusal));
        judgement.objects.insert(document.name.clone(), Arc::new(wanted));
        judgement.accepted.objects.extend(incumbent.map(|incumbent| (document.name.clone(), incumbent.clone())));
    }

    fn refusal(&self, document: &'a Document) -> Option<Refused> {
        let environment = self.environment(document);
        let subject = Subject {
            document,
            environment: environment.as_deref(),
            incumbent: self.versions.before.objects.get(&document.name),
            settings: self.settings,
            fleet: self,
        };
        let own = match document.name.kind {
            Kind::CustomHostname => hostname::REFUSALS,
            Kind::TlsCertificate => certificate::REFUSALS,
            Kind::Authority | Kind::Environment | Kind::KmsKey => &[],
        };
        FIRST.iter().chain(own).find_map(|rule| rule(&subject))
    }

    /// The environment that claims the namespace of a document; of an environment, itself.
    fn environment(&self, document: &Document) -> Option<Arc<Surroundings>> {
        match &document.name.namespace {
            Some(namespace) => self.claims.get(namespace).cloned(),
            None => self.environments.get(&document.name.name).cloned(),
        }
    }

    fn refused(&self) -> BTreeMap<EnvironmentName, Refused> {
        let refused = self.versions.of(Kind::Environment).filter_map(|document| {
            let name = self.environments.get(&document.name.name)?.name.clone();
            Some((name, self.refusal(document)?))
        });
        refused.collect()
    }

    /// Who has each host name: the one that had it before, else the first by place. A name is for life, so a changed document
    /// is as old as an unchanged one.
    fn hostnames(&self) -> BTreeMap<(EnvironmentName, DnsName), &'a Document> {
        let mut documents: Vec<&Document> = self.versions.of(Kind::CustomHostname).collect();
        documents.sort_by_cached_key(|document| {
            let incumbent = self.versions.before.objects.get(&document.name);
            (
                incumbent.is_none_or(|incumbent| incumbent.refused == Some(Reason::HostnameClaimed)),
                document.place.clone(),
            )
        });
        let mut owners = BTreeMap::new();
        for document in documents {
            if let (Spec::CustomHostname(spec), Some(surroundings)) = (&document.spec, self.environment(document)) {
                owners.entry((surroundings.name.clone(), spec.hostname.clone())).or_insert(document);
            }
        }
        owners
    }

    /// The document that has a host name in an environment.
    pub(super) fn hostname_owner(&self, environment: &EnvironmentName, name: &DnsName) -> Option<&Document> {
        self.hostnames.get(&(environment.clone(), name.clone())).copied()
    }

    /// The zone of another environment that a name lies in.
    pub(super) fn zone_elsewhere(&self, name: &DnsName, but: &EnvironmentName) -> Option<(&EnvironmentName, &DnsName)> {
        let others = self.environments.values().filter(|surroundings| surroundings.name != *but);
        others
            .into_iter()
            .find_map(|surroundings| Some((&surroundings.name, &certificate::zone_of(surroundings, name)?.name)))
    }
}

fn surroundings(document: &Document) -> Option<Arc<Surroundings>> {
    let mut spec: EnvironmentSpec = spec(document)?.clone();
    spec.namespaces = claimed(document);
    let name = document.name.name.as_str().parse().ok()?;
    Some(Arc::new(Surroundings { name, spec }))
}

/// Where a document stands; absent when it has no text and nobody knows where it stood.
fn place(document: &Document) -> Option<crate::desired::Place> {
    (document.place.line > 0).then(|| document.place.clone())
}

fn wanted(
    document: &Document,
    environment: Option<Arc<Surroundings>>,
    generation: u64,
    refusal: Option<Refusal>,
) -> Wanted {
    let mut spec = document.spec.clone();
    if let (Spec::Environment(spec), Some(surroundings)) = (&mut spec, &environment) {
        spec.namespaces.clone_from(&surroundings.spec.namespaces);
    }
    let name: ObjectName = document.name.clone();
    Wanted { name, environment, generation, spec, refusal, origin: Origin::Document, place: place(document) }
}

fn told(document: &Document, refused: &Refused) -> Finding {
    let Refusal { reason, message, fix } = &refused.refusal;
    let blanks = [("object", &*document.name.to_string()), ("reason", reason.word()), ("why", message)];
    Code::ObjectRefused.at(&document.at(&refused.path), &blanks).fixed_by(fix.join("; "))
}

fn environment_is_refused(subject: &Subject<'_>) -> Option<Refused> {
    let namespace = subject.document.name.namespace.as_ref()?;
    let (name, why) = match subject.environment {
        Some(surroundings) => {
            let refused = subject.fleet.refused.get(&surroundings.name)?;
            (surroundings.name.to_string(), refused.refusal.message.clone())
        }
        None => {
            let name = subject.fleet.versions.shadows.get(namespace)?;
            (name.to_string(), "its document has errors".to_owned())
        }
    };
    let message = format!("the environment `{name}` is refused: {why}");
    Some(
        Refused::new(Reason::EnvironmentRefused, "metadata.namespace", message)
            .fix(format!("mend Environment/{name} first")),
    )
}

fn namespace_is_unclaimed(subject: &Subject<'_>) -> Option<Refused> {
    let namespace = subject.document.name.namespace.as_ref().filter(|_| subject.environment.is_none())?;
    let message = format!("no environment claims the namespace `{namespace}`");
    let fix = format!("add `{namespace}` to `namespaces` of an environment, or move the document");
    Some(Refused::new(Reason::NamespaceUnclaimed, "metadata.namespace", message).fix(fix))
}

fn environment_has_changed(subject: &Subject<'_>) -> Option<Refused> {
    let first = subject.incumbent?.environment.as_ref()?;
    let now = &subject.environment?.name;
    let message = format!("it belongs to the environment `{first}` for life, and its namespace now belongs to `{now}`");
    (first != now).then(|| {
        Refused::new(Reason::EnvironmentChanged, "metadata.namespace", message)
            .fix(format!("give the namespace back to `{first}`"))
            .fix("or delete the object and create it anew")
    })
}

fn secret_not_supported(subject: &Subject<'_>) -> Option<Refused> {
    let spec = spec(subject.document)?;
    let (path, _) = notices::secrets(spec).into_iter().find(|(_, reference)| reference.secret.is_some())?;
    let message = format!("`{}` names a Kubernetes Secret, which comes with a later release", spelled(&path));
    Some(
        Refused::new(Reason::NotSupportedYet, path, message)
            .fix("put the secret in a file below `files.read`: `{ file: NAME }`"),
    )
}

fn read_folder_missing(subject: &Subject<'_>) -> Option<Refused> {
    let spec = spec(subject.document)?;
    let credentials = spec.kms.credentials.is_some().then(|| "spec.kms.credentials".to_owned());
    let mut files =
        notices::secrets(spec).into_iter().filter(|(_, reference)| reference.file.is_some()).map(|(path, _)| path);
    let path = credentials.or_else(|| files.next())?;
    let message = format!("`{}` names a file, and the settings lack `files.read`", spelled(&path));
    let refused = Refused::new(Reason::SettingMissing, path, message);
    (!subject.settings.reads).then(|| refused.fix("add `files: { read: FOLDER }` to the settings"))
}
