//! When an object of any kind is not worked on.

use super::{
    environment::spec,
    notices,
    refused::Refused,
    subject::{Rule, Subject},
};
use crate::{document::spelled, reason::Reason};

pub(super) const REFUSALS: &[Rule] = &[
    environment_is_refused,
    namespace_is_unclaimed,
    environment_has_changed,
    secret_without_cluster,
    read_folder_missing,
];

fn environment_is_refused(subject: &Subject<'_>) -> Option<Refused> {
    let namespace = subject.document.name.namespace.as_ref()?;
    let (name, why) = match subject.environment {
        Some(surroundings) => {
            let refused = subject.fleet.refused(&surroundings.name)?;
            (surroundings.name.to_string(), refused.refusal.message.clone())
        }
        None => {
            let name = subject.fleet.shadow(namespace)?;
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

fn secret_without_cluster(subject: &Subject<'_>) -> Option<Refused> {
    let spec = spec(subject.document)?;
    let (path, _) = notices::secrets(spec).into_iter().find(|(_, reference)| reference.secret.is_some())?;
    let message = format!(
        "`{}` names a Kubernetes Secret, and the settings lack `source: {{ kubernetes: {{}} }}`",
        spelled(&path)
    );
    (!subject.settings.kubernetes).then(|| {
        Refused::new(Reason::SettingMissing, path, message)
            .fix("put the secret in a file below `files.read`: `{ file: NAME }`")
    })
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
