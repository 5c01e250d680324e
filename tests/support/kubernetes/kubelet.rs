use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::Kubernetes;
use crate::TestAuthority;

/// What of a kubelet forwards ports: `/portForward/NAMESPACE/POD?port=N` over WebSocket with the protocol `v4.channel.k8s.io`, for one
/// port a connection. The API server that asks it is the real one.
///
/// Not played: SPDY, `exec`, `logs`, and whether the pod runs. Every pod is this machine: a port leads to the same port here.
#[derive(Debug)]
pub struct Kubelet {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Kubelet {
    /// Begins to serve, as the node of that name.
    pub async fn start(kubernetes: &Kubernetes, node: &str) -> Result<Self> {
        let identity = TestAuthority::new("kubelet")?.server(&["127.0.0.1"])?;
        let acceptor = TlsAcceptor::from(identity.tls(&["http/1.1"])?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, asked) = (listener.local_addr()?, Arc::<Mutex<Vec<String>>>::default());
        let heard = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    // How a client leaves is its own affair; a story sees what the client saw.
                    let _ = serve(stream, &acceptor, &heard).await;
                });
            }
        });
        let kubelet = Self { address, asked, serving };
        let status = json!({
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": address.port() } },
        });
        let object = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": node }, "status": status });
        kubernetes.kubectl(&["create", "--filename=-"], &object.to_string()).await.context("a node")?;
        Ok(kubelet)
    }

    /// A pod on that node that says it has this port by that name, and runs.
    pub async fn run(kubernetes: &Kubernetes, node: &str, namespace: &str, pod: &str, port: (&str, u16)) -> Result<()> {
        let container = json!({
            "name": "clavigerd", "image": "clavigerd", "ports": [{ "name": port.0, "containerPort": port.1 }],
        });
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod, "namespace": namespace },
            "spec": { "nodeName": node, "containers": [container], "automountServiceAccountToken": false },
        });
        kubernetes.kubectl(&["create", "--filename=-"], &object.to_string()).await.context("a pod")?;
        let runs = json!({ "status": { "phase": "Running" } }).to_string();
        let patch =
            ["patch", "pod", pod, "--namespace", namespace, "--subresource=status", "--type=merge", "--patch", &runs];
        kubernetes.kubectl(&patch, "").await.map(drop)
    }

    /// Where it hears.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the API server asked of it: path and query.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[expect(clippy::result_large_err, reason = "the shape of a handshake is the library's")]
async fn serve(stream: TcpStream, acceptor: &TlsAcceptor, heard: &Mutex<Vec<String>>) -> Result<()> {
    let stream = acceptor.accept(stream).await?;
    let mut port = None;
    let socket = tokio_tungstenite::accept_hdr_async(stream, |request: &Request, mut response: Response| {
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(request.uri().to_string());
        let query = request.uri().query().unwrap_or_default();
        port = query.split('&').find_map(|pair| pair.strip_prefix("port=")?.parse::<u16>().ok());
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, http::HeaderValue::from_static("v4.channel.k8s.io"));
        Ok(response)
    });
    let mut socket = socket.await?;
    let port = port.context("no port")?;
    // The first frame of each channel names the port that it is for.
    for channel in [DATA, ERRORS] {
        let [low, high] = port.to_le_bytes();
        socket.send(Message::binary(vec![channel, low, high])).await?;
    }
    match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(pod) => forward(socket, pod).await,
        Err(error) => {
            let words = format!("failed to connect to localhost:{port} inside the pod: {error}");
            socket.send(Message::binary([&[ERRORS], words.as_bytes()].concat())).await?;
            Ok(socket.close(None).await?)
        }
    }
}

async fn forward<S>(mut socket: tokio_tungstenite::WebSocketStream<S>, mut pod: TcpStream) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            message = socket.next() => match message.transpose()? {
                Some(Message::Binary(bytes)) if bytes.first() == Some(&DATA) => pod.write_all(&bytes[1..]).await?,
                Some(Message::Close(_)) | None => return Ok(()),
                Some(_) => {}
            },
            read = pod.read(&mut buffer) => match read? {
                0 => return Ok(socket.close(None).await?),
                count => socket.send(Message::binary([&[DATA], &buffer[..count]].concat())).await?,
            },
        }
    }
}

const DATA: u8 = 0;
const ERRORS: u8 = 1;
