//! Which cluster is meant, and the way to its API server.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use claviger_config::Namespace;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{Cluster, trouble};
use crate::failure::Failure;

/// What was said of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Where the kubeconfig lies; else as for kubectl.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Its context; else the current one.
    pub(crate) context: Option<String>,
    /// The namespace that was named.
    pub(crate) namespace: Option<Namespace>,
    /// Whether every namespace is meant.
    pub(crate) everywhere: bool,
    /// Where clavigerd lives.
    pub(crate) home: Namespace,
    /// Whether the daemon is asked for everything.
    pub(crate) ask_daemon: bool,
}

impl Cluster {
    /// Finds the way. Nobody is asked yet.
    pub(crate) async fn connect(access: Access) -> Result<Self, Failure> {
        let (mut config, named) = config(&access).await?;
        (config.connect_timeout, config.write_timeout) = (Some(CONNECT), Some(CONNECT));
        // The crate finds two makers of TLS among its relatives and would not choose; another choice made before stands.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let url = config.cluster_url.to_string();
        let url = url.trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| trouble::unanswered(&url, &error))?;
        let namespace = access.namespace.or(named).filter(|_| !access.everywhere);
        Ok(Self {
            client,
            url,
            namespace,
            home: access.home.to_string(),
            ask_daemon: access.ask_daemon,
            leader: Mutex::default(),
            seen: Mutex::new(BTreeMap::new()),
        })
    }
}

/// The way, and the namespace that the context names.
async fn config(access: &Access) -> Result<(Config, Option<Namespace>), Failure> {
    let read = match &access.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig = match read {
        Ok(kubeconfig) => kubeconfig,
        // In a pod there is none, and a ServiceAccount in its place.
        Err(error) => {
            match Config::incluster().ok().filter(|_| access.kubeconfig.is_none() && access.context.is_none()) {
                Some(config) => return Ok((config, None)),
                None => return Err(unreadable(&tried(access.kubeconfig.as_deref()), &error)),
            }
        }
    };
    let context = access.context.as_ref().or(kubeconfig.current_context.as_ref()).cloned();
    let named = kubeconfig.contexts.iter().find(|candidate| Some(&candidate.name) == context.as_ref());
    if let (None, Some(context)) = (named, &access.context) {
        let known: Vec<String> = kubeconfig.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let place = tried(access.kubeconfig.as_deref());
        return Err(Failure::Kubeconfig {
            what: format!("there is no context `{context}` in {place}; accepted: {known}"),
        });
    }
    let namespace = named.and_then(|named| named.context.as_ref()?.namespace.as_ref()?.parse().ok());
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| unreadable(&tried(access.kubeconfig.as_deref()), &error))?;
    Ok((config, namespace))
}

fn unreadable(place: &str, error: &KubeconfigError) -> Failure {
    let why = match error {
        KubeconfigError::ReadConfig(cause, _) => cause.to_string(),
        // The reader shows lines of the file, and they hold tokens and keys.
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    };
    Failure::Kubeconfig { what: format!("{place} leads to no cluster: {why}") }
}

/// Where a kubeconfig was looked for.
fn tried(path: Option<&Path>) -> String {
    match (path, std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty())) {
        (Some(path), _) => format!("the kubeconfig `{}`", path.display()),
        (None, Some(paths)) => format!("KUBECONFIG `{}`", paths.to_string_lossy()),
        (None, None) => "the kubeconfig `~/.kube/config`".to_owned(),
    }
}

/// The kubeconfig that would be used if a cluster were asked for, when there is one.
pub(crate) fn configured() -> Option<String> {
    let named = std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty());
    let paths: Vec<PathBuf> = match named {
        Some(named) => std::env::split_paths(&named).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    paths.into_iter().find(|path| path.is_file()).map(|path| path.display().to_string())
}

/// To connect, or to send a question.
const CONNECT: Duration = Duration::from_secs(10);
