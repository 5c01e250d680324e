//! A wire that can be cut: TCP to TCP, without a look at what goes over it.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

/// Stands in front of a server on loopback. TLS passes through it as it is.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    cut: Arc<Notify>,
    accepting: AbortHandle,
}

impl Wire {
    /// Leads to that server.
    pub async fn to(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, cut) = (listener.local_addr()?, Arc::new(Notify::new()));
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&cut))).abort_handle();
        Ok(Self { address, cut, accepting })
    }

    /// Where it hears.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection that is open: watches must be asked for anew. New ones are let through.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, cut: Arc<Notify>) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let cut = Arc::clone(&cut);
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(upstream).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut.notified() => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
