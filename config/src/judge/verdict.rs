//! Which object is accepted and still not worked on: a list of rules, the first that speaks wins.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Incumbent, Judgement, SettingsFacts, certificate, every, fleet::Fleet, hostname, notices, refused::Refused,
    subject::Subject, versions::Versions,
};
use crate::{
    admin::Finding,
    desired::{Place, Refusal, Spec, Surroundings, Wanted},
    document::{Code, Document},
    hostname::Origin,
    name::{EnvironmentName, Kind, ObjectName},
    reason::Reason,
};

/// All that stands, judged.
pub(super) fn judgement(versions: &Versions<'_>, settings: &SettingsFacts) -> Judgement {
    let mut bench = Bench { versions, settings, fleet: Fleet::of(versions) };
    let refused = bench.refused();
    bench.fleet = bench.fleet.refusing(refused);
    bench.judgement()
}

/// All that judging looks at.
struct Bench<'a> {
    versions: &'a Versions<'a>,
    settings: &'a SettingsFacts,
    fleet: Fleet<'a>,
}

impl Bench<'_> {
    fn judgement(self) -> Judgement {
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
        let environment = self.fleet.environment(document);
        let first = incumbent.and_then(|incumbent| incumbent.environment.clone());
        let accepted = Incumbent {
            name: document.name.clone(),
            document: Arc::clone(&document.spec),
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
        let environment = if document.name.kind == Kind::Environment { None } else { self.fleet.environment(document) };
        let generation = incumbent.map_or(1, |incumbent| incumbent.generation);
        let wanted = wanted(document, environment, generation, Some(refusal));
        judgement.objects.insert(document.name.clone(), Arc::new(wanted));
        judgement.accepted.objects.extend(incumbent.map(|incumbent| (document.name.clone(), incumbent.clone())));
    }

    fn refusal(&self, document: &Document) -> Option<Refused> {
        let environment = self.fleet.environment(document);
        let subject = Subject {
            document,
            environment: environment.as_deref(),
            incumbent: self.versions.before.objects.get(&document.name),
            settings: self.settings,
            fleet: &self.fleet,
        };
        let own = match document.name.kind {
            Kind::CustomHostname => hostname::REFUSALS,
            Kind::TlsCertificate => certificate::REFUSALS,
            Kind::Authority | Kind::Environment | Kind::KmsKey => &[],
        };
        every::REFUSALS.iter().chain(own).find_map(|rule| rule(&subject))
    }

    /// Environments that are not worked on, with the reason.
    fn refused(&self) -> BTreeMap<EnvironmentName, Refused> {
        let refused = self.versions.of(Kind::Environment).filter_map(|document| {
            let name = self.fleet.environment(document)?.name.clone();
            Some((name, self.refusal(document)?))
        });
        refused.collect()
    }
}

fn wanted(
    document: &Document,
    environment: Option<Arc<Surroundings>>,
    generation: u64,
    refusal: Option<Refusal>,
) -> Wanted {
    let mut spec = Arc::clone(&document.spec);
    if let (Kind::Environment, Some(surroundings)) = (document.name.kind, &environment)
        && let Spec::Environment(spec) = Arc::make_mut(&mut spec)
    {
        spec.namespaces.clone_from(&surroundings.spec.namespaces);
    }
    let name: ObjectName = document.name.clone();
    Wanted {
        name,
        environment,
        generation,
        identity: None,
        spec,
        refusal,
        origin: Origin::Document,
        place: place(document),
    }
}

/// Where a document stands; absent when it has no text and nobody knows where it stood.
fn place(document: &Document) -> Option<Place> {
    (document.place.line > 0).then(|| document.place.clone())
}

fn told(document: &Document, refused: &Refused) -> Finding {
    let Refusal { reason, message, fix } = &refused.refusal;
    let blanks = [("object", &*document.name.to_string()), ("reason", reason.word()), ("why", message)];
    Code::ObjectRefused.at(&document.at(&refused.path), &blanks).fixed_by(fix.join("; "))
}
