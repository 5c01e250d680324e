//! A port forwarded to the replica at work: the Lease names its pod, the pod names the port.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use k8s_openapi::{api::coordination::v1::Lease, api::core::v1::Pod};
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Cluster, present, trouble::Place};
use crate::failure::Failure;

/// The pod at work and the port of its admin API.
#[derive(Clone, Debug)]
pub(super) struct Leader {
    pod: String,
    port: u16,
}

/// A forwarded connection.
pub(crate) struct Forwarded {
    stream: Box<dyn Stream>,
    refused: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    // It ends with this.
    _forwarder: kube::api::Portforwarder,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Cluster {
    /// A connection to the replica at work.
    pub(crate) async fn forward(&self) -> Result<Forwarded, Failure> {
        let leader = match self.leader.lock().ok().and_then(|leader| leader.clone()) {
            Some(leader) => leader,
            None => self.find_leader().await?,
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.home);
        let place = Place::new("create and get", "pods/portforward", Some(&self.home));
        let opened = pods.portforward(&leader.pod, &[leader.port]).await;
        let mut forwarder = opened.map_err(|error| {
            self.forget_leader();
            self.failed(&place, error)
        })?;
        let stream = forwarder.take_stream(leader.port).ok_or_else(|| self.hidden("the port was not forwarded"))?;
        let refused = forwarder.take_error(leader.port).ok_or_else(|| self.hidden("the port was not forwarded"))?;
        if let Ok(mut known) = self.leader.lock() {
            *known = Some(leader);
        }
        Ok(Forwarded { stream: Box::new(stream), refused: Box::pin(refused), _forwarder: forwarder })
    }

    /// Another replica may be at work by now.
    pub(crate) fn forget_leader(&self) {
        if let Ok(mut leader) = self.leader.lock() {
            *leader = None;
        }
    }

    async fn find_leader(&self) -> Result<Leader, Failure> {
        let home = &self.home;
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), home);
        let lease = leases.get_opt(LEASE).await;
        let lease =
            lease.map_err(|error| self.failed(&Place::new("get", "leases.coordination.k8s.io", Some(home)), error))?;
        let lease =
            lease.ok_or_else(|| self.hidden(&format!("there is no Lease `{LEASE}` in the namespace `{home}`")))?;
        let spec = lease.spec.unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let nobody = || self.hidden(&format!("nobody holds the Lease `{home}/{LEASE}`"));
        let holder = holder.ok_or_else(nobody)?;
        if let (Some(renewed), Some(lasts)) = (spec.renew_time, spec.lease_duration_seconds) {
            let silent = present().0 / 1_000 - renewed.0.as_second();
            if silent > i64::from(lasts) * 2 {
                return Err(
                    self.hidden(&format!("`{holder}` has not renewed the Lease `{home}/{LEASE}` for {silent} s"))
                );
            }
        }
        let pod = pod_of(&holder).to_owned();
        let port = self.admin_port(&pod, &holder).await?;
        Ok(Leader { pod, port })
    }

    async fn admin_port(&self, pod: &str, holder: &str) -> Result<u16, Failure> {
        let home = &self.home;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), home);
        let found =
            pods.get_opt(pod).await.map_err(|error| self.failed(&Place::new("get", "pods", Some(home)), error))?;
        let found = found.ok_or_else(|| {
            self.hidden(&format!(
                "the Lease `{home}/{LEASE}` is held by `{holder}`, and there is no pod `{home}/{pod}`"
            ))
        })?;
        let containers = found.spec.map(|spec| spec.containers).unwrap_or_default();
        let mut ports = containers.into_iter().flat_map(|container| container.ports.unwrap_or_default());
        let port =
            ports.find(|port| port.name.as_deref() == Some(PORT)).and_then(|port| port.container_port.try_into().ok());
        port.ok_or_else(|| Failure::NoDaemon {
            what: format!("the pod `{home}/{pod}` has no port named `{PORT}`"),
            hint: "let clavigerd listen for port-forwards: the chart's `admin.portForward: true`".to_owned(),
        })
    }

    fn hidden(&self, what: &str) -> Failure {
        let hint = format!(
            "`kubectl get lease --all-namespaces --field-selector metadata.name={LEASE}` shows where clavigerd is; name that \
             namespace with `--daemon-namespace`"
        );
        Failure::NoDaemon { what: what.to_owned(), hint }
    }
}

/// An identity is the name of a pod, and eight digits that no other process has.
fn pod_of(holder: &str) -> &str {
    let process = |digits: &str| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    holder.rsplit_once('-').filter(|(_, digits)| process(digits)).map_or(holder, |(pod, _)| pod)
}

impl Forwarded {
    /// What the node said of a port that it could not reach, when it said something.
    pub(crate) async fn refusal(refused: Pin<Box<dyn Future<Output = Option<String>> + Send>>) -> Option<String> {
        tokio::time::timeout(A_MOMENT, refused).await.ok().flatten()
    }

    /// The word on what went wrong, apart from the connection.
    pub(crate) fn take_refused(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        std::mem::replace(&mut self.refused, Box::pin(std::future::ready(None)))
    }
}

impl AsyncRead for Forwarded {
    fn poll_read(mut self: Pin<&mut Self>, at: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(at, into)
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(mut self: Pin<&mut Self>, at: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(at, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, at: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(at)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, at: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(at)
    }
}

/// The Lease of the replica at work.
const LEASE: &str = "claviger";
/// What the port of the admin API is called in the pod.
const PORT: &str = "admin";
/// A node that refuses says so at once.
const A_MOMENT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_known_by_the_identity_of_who_holds_the_lease() {
        assert_eq!(pod_of("claviger-7d9c6b5f4-x2x7q-0a1b2c3d"), "claviger-7d9c6b5f4-x2x7q");
        assert_eq!(pod_of("claviger-7d9c6b5f4-x2x7q"), "claviger-7d9c6b5f4-x2x7q");
        assert_eq!(pod_of("claviger"), "claviger");
    }
}
