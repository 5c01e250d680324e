//! Watches: the custom resources, and the Secrets that claviger made.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use claviger_config::{Kind, Name, Namespace, ObjectName, crd};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::time::Instant;

use super::{
    CERTIFICATE, Cluster, MANAGED,
    fault::{is_refused, reason, words},
    objects::{Held, Objects, held},
    watching,
};

/// Watches every kind for as long as the process lives.
pub fn watch_all(cluster: &Cluster, objects: &Arc<Objects>) {
    for kind in crd::KINDS {
        tokio::spawn(watch(cluster.watched_everywhere(kind), kind, Arc::clone(objects)));
    }
}

async fn watch(api: Api<DynamicObject>, kind: Kind, objects: Arc<Objects>) {
    let mut events = pin!(kube::runtime::watcher(api, watching()).default_backoff());
    let (mut listed, mut told): (BTreeMap<ObjectName, Held>, Told) = (BTreeMap::new(), None);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => objects.put(kind, &object),
            Ok(Event::Delete(object)) => objects.remove(kind, &object),
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.extend(held(kind, &object)),
            Ok(Event::InitDone) => objects.replace(kind, std::mem::take(&mut listed)),
            Err(error) => tell(&objects, kind, &error, &mut told),
        }
    }
}

/// Lists every kind anew: a replica that begins to lead must know what the one before it wrote last. A kind that is refused stops
/// nothing but itself, unless everything else stands on it.
///
/// # Errors
/// When the API server does not answer, or refuses what everything stands on.
pub async fn refresh(cluster: &Cluster, objects: &Objects) -> Result<(), String> {
    for kind in crd::KINDS {
        match list(cluster, kind).await {
            Ok((all, version)) => objects.freshen(kind, all, &version),
            Err(error) => {
                let why = format!("{}.{}: {}", crd::plural(kind), crd::GROUP, words(&error));
                if !is_refused(&error) || matches!(kind, Kind::Environment | Kind::KmsKey) {
                    return Err(why);
                }
                tracing::error!(reason = "StoreFailed", "the work goes on without what cannot be listed, {why}");
                objects.fail(kind, why, true);
            }
        }
    }
    Ok(())
}

/// Everything of a kind, and the version of the list.
async fn list(cluster: &Cluster, kind: Kind) -> Result<(BTreeMap<ObjectName, Held>, String), kube::Error> {
    let (api, mut all, mut page) = (cluster.everywhere(kind), BTreeMap::new(), ListParams::default().limit(PAGE));
    loop {
        let list = api.list(&page).await?;
        all.extend(list.items.iter().filter_map(|object| held(kind, object)));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok((all, list.metadata.resource_version.unwrap_or_default())),
        }
    }
}

const PAGE: u32 = 500;

/// What was said last, and when.
type Told = Option<(String, Instant)>;

/// The same is said once a minute.
const SAID_FOR: Duration = Duration::from_secs(60);

fn tell(objects: &Objects, kind: Kind, error: &watcher::Error, told: &mut Told) {
    let (resource, why) = (format!("{}.{}", crd::plural(kind), crd::GROUP), reason(error));
    if told.as_ref().is_none_or(|(said, at)| *said != why || at.elapsed() >= SAID_FOR) {
        tracing::warn!(reason = "StoreFailed", "{resource} cannot be watched, what was seen last stays: {why}");
        *told = Some((why.clone(), Instant::now()));
    }
    objects.fail(kind, format!("{resource}: {why}"), is_answer(error));
}

/// Whether the API server has answered, and will answer the same as long as nobody gives the right, or the definition.
fn is_answer(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_refused(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => false,
    }
}

/// Watches the metadata of the Secrets that claviger made in one namespace, and tells whose certificate must look again. It ends with
/// the returned task.
pub fn watch_secrets(
    cluster: &Cluster,
    namespace: &Namespace,
    tell: impl Fn(ObjectName) + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(cluster.watching.clone(), namespace.as_str());
    let (key, value) = MANAGED;
    let place = namespace.to_string();
    let only_ours = watching().labels(&format!("{key}={value}"));
    tokio::spawn(async move {
        let mut events = pin!(kube::runtime::watcher(secrets, only_ours).default_backoff());
        let (mut seen, mut listed): (Option<Secrets>, Secrets) = Default::default();
        let mut warned = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(secret)) => {
                    seen.get_or_insert_default().extend(marked(&secret));
                    owner(&secret).into_iter().for_each(&tell);
                }
                Ok(Event::Delete(secret)) => {
                    seen.get_or_insert_default().remove(secret.name_any().as_str());
                    owner(&secret).into_iter().for_each(&tell);
                }
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(secret)) => listed.extend(marked(&secret)),
                Ok(Event::InitDone) => {
                    let now = std::mem::take(&mut listed);
                    // The first list is no news: everything is looked at after a start.
                    seen.iter().flat_map(|before| missed(before, &now)).for_each(&tell);
                    seen = Some(now);
                    warned = false;
                }
                Err(error) => {
                    let why = reason(&error);
                    if is_answer(&error) && !std::mem::replace(&mut warned, true) {
                        tracing::warn!(
                            reason = "StoreFailed",
                            "secrets in `{place}` cannot be watched, one that is edited by hand is seen late: {why}"
                        );
                    } else {
                        tracing::debug!("secrets in `{place}` cannot be watched: {why}");
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })
}

/// Watches the metadata of one Secret, and tells when it is another: also when the watch begins, since it may have come just before.
/// It ends with the returned task.
pub fn watch_secret(
    cluster: &Cluster,
    namespace: &Namespace,
    name: &Name,
    tell: impl Fn() + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(cluster.watching.clone(), namespace.as_str());
    let only_this = watching().fields(&format!("metadata.name={name}"));
    tokio::spawn(async move {
        let mut events = pin!(kube::runtime::watcher(secrets, only_this).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(_) | Event::Delete(_) | Event::InitApply(_)) => tell(),
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => {
                    tracing::debug!("a secret cannot be watched: {}", reason(&error));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })
}

/// Owner and version of each Secret by its name: a list that follows on a gap does not say what was missed.
type Secrets = BTreeMap<Box<str>, Marked>;
type Marked = (ObjectName, Box<str>);

fn marked(secret: &PartialObjectMeta<Secret>) -> Option<(Box<str>, Marked)> {
    let version = secret.resource_version().unwrap_or_default();
    Some((secret.name_any().into(), (owner(secret)?, version.into())))
}

/// Whose Secrets are gone or have changed from one list to the next.
fn missed(before: &Secrets, now: &Secrets) -> Vec<ObjectName> {
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    let changed = now.iter().filter(|(name, told)| before.get(*name).is_none_or(|before| before != *told));
    gone.chain(changed).map(|(_, (owner, _))| owner.clone()).collect()
}

fn owner(secret: &PartialObjectMeta<Secret>) -> Option<ObjectName> {
    let name = secret.annotations().get(CERTIFICATE)?.parse().ok()?;
    let namespace = secret.namespace()?.parse().ok()?;
    Some(ObjectName { kind: Kind::TlsCertificate, namespace: Some(namespace), name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gap_hid_is_seen_from_the_next_list() {
        let name = |name: &str| ObjectName {
            kind: Kind::TlsCertificate,
            namespace: Some("staging".parse().unwrap()),
            name: name.parse().unwrap(),
        };
        let list = |all: &[(&str, &str)]| -> Secrets {
            all.iter().map(|(of, version)| (format!("{of}-tls").into(), (name(of), (*version).into()))).collect()
        };
        let before = list(&[("gone", "1"), ("edited", "2"), ("same", "3")]);
        let now = list(&[("edited", "5"), ("same", "3"), ("new", "4")]);
        assert_eq!(missed(&before, &now), [name("gone"), name("edited"), name("new")]);
    }
}
