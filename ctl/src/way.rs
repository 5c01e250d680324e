//! Who is asked: a daemon at its socket, or a cluster.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use claviger_config::Namespace;

use crate::cluster::Access;

/// How a cluster is asked.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "In a cluster (any of these asks it in the place of a socket)")]
pub(crate) struct OfCluster {
    /// Ask the cluster of the kubeconfig: KUBECONFIG, else ~/.kube/config
    #[arg(long, global = true)]
    pub(crate) cluster: bool,
    /// The kubeconfig
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; else its current one, with its namespace
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Every namespace, whatever the context says
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Where clavigerd is, for what only it can do; else claviger
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub(crate) daemon_namespace: Option<Namespace>,
    /// Ask the daemon for everything, also for what stored objects tell
    #[arg(long, global = true)]
    pub(crate) port_forward: bool,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// A cluster.
    Cluster(Access),
    /// The daemon at a socket.
    Socket {
        /// Where.
        path: PathBuf,
        /// Whether nobody said so.
        guessed: bool,
    },
}

impl OfCluster {
    /// What was typed, else what the environment says, else a socket beside us. A kubeconfig is never taken unasked.
    pub(crate) fn way(&self, socket: Option<&Path>, told: Option<OsString>, namespace: Option<&Namespace>) -> Way {
        let home = self.daemon_namespace.clone().or_else(|| "claviger".parse().ok());
        if let (None, true, Some(home)) = (socket, self.is_meant(), home) {
            return Way::Cluster(Access {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
                namespace: namespace.cloned(),
                everywhere: self.all_namespaces,
                home,
                ask_daemon: self.port_forward,
            });
        }
        let told = told.filter(|path| !path.is_empty()).map(PathBuf::from);
        match socket.map(Path::to_owned).or(told) {
            Some(path) => Way::Socket { path, guessed: false },
            None => Way::Socket { path: PathBuf::from("./admin.sock"), guessed: true },
        }
    }

    const fn is_meant(&self) -> bool {
        let named = self.cluster || self.kubeconfig.is_some() || self.context.is_some();
        named || self.all_namespaces || self.daemon_namespace.is_some() || self.port_forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(of: &OfCluster, typed: Option<&str>, told: Option<&str>) -> Option<(String, bool)> {
        match of.way(typed.map(Path::new), told.map(OsString::from), None) {
            Way::Cluster(_) => None,
            Way::Socket { path, guessed } => Some((path.display().to_string(), guessed)),
        }
    }

    #[test]
    fn what_is_typed_wins_then_what_the_environment_says() {
        let nothing = OfCluster::default();
        assert_eq!(socket(&nothing, Some("a"), Some("b")), Some(("a".to_owned(), false)));
        assert_eq!(socket(&nothing, None, Some("b")), Some(("b".to_owned(), false)));
        assert_eq!(socket(&nothing, None, Some("")), Some(("./admin.sock".to_owned(), true)));
        assert_eq!(socket(&nothing, None, None), Some(("./admin.sock".to_owned(), true)));
    }

    #[test]
    fn each_flag_of_the_cluster_asks_it_whatever_the_environment_says() {
        let flags: [fn(&mut OfCluster); 6] = [
            |of| of.cluster = true,
            |of| of.kubeconfig = Some("config".into()),
            |of| of.context = Some("staging".to_owned()),
            |of| of.all_namespaces = true,
            |of| of.daemon_namespace = "itops".parse().ok(),
            |of| of.port_forward = true,
        ];
        for flag in flags {
            let mut of = OfCluster::default();
            flag(&mut of);
            assert_eq!(socket(&of, None, Some("b")), None, "{of:?}");
        }
    }
}
