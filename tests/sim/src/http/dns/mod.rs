//! The name servers over UDP and TCP: the first on 127.0.0.1, the next ones on 127.0.0.2 and so on, all on one port.

mod tsig;
mod update;
mod wire;

use std::future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use self::wire::Asked;
use super::world::Shared;
use crate::fault::{Fault, Moment, Service};

/// Starts every name server; gives the address of the first.
pub(super) async fn listen(shared: &Arc<Shared>, port: u16, servers: usize) -> io::Result<SocketAddr> {
    let mut last = io::Error::other("no port is free on all loopback addresses");
    for _ in 0..TRIES {
        match bind(port, servers).await {
            Ok(sockets) => return start(shared, sockets),
            // Only a port that the system picked may turn out to be taken elsewhere.
            Err(error) if port == 0 => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

async fn bind(port: u16, servers: usize) -> io::Result<Vec<(UdpSocket, TcpListener)>> {
    let mut sockets = Vec::new();
    let mut port = port;
    for server in 0..servers {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + server as u8), port));
        let pair = match TcpListener::bind(address).await {
            Ok(tcp) => UdpSocket::bind(tcp.local_addr()?).await.map(|udp| (udp, tcp)),
            Err(error) => Err(error),
        };
        match pair {
            Ok(pair) => {
                port = pair.1.local_addr()?.port();
                sockets.push(pair);
            }
            // Not every system has more than one loopback address.
            Err(error) if server > 0 && error.kind() == io::ErrorKind::AddrNotAvailable => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

fn start(shared: &Arc<Shared>, sockets: Vec<(UdpSocket, TcpListener)>) -> io::Result<SocketAddr> {
    let first =
        sockets.first().ok_or_else(|| io::Error::other("a world has at least one name server"))?.0.local_addr()?;
    for (server, (udp, tcp)) in sockets.into_iter().enumerate() {
        shared.tasks.spawn(serve_udp(Arc::clone(shared), server, Arc::new(udp)));
        shared.tasks.spawn(serve_tcp(Arc::clone(shared), server, tcp));
    }
    Ok(first)
}

async fn serve_udp(shared: Arc<Shared>, server: usize, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; 4096];
    loop {
        let received = tokio::select! {
            () = shared.stop.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else { continue };
        let (question, shared, socket) = (buffer[..length].to_vec(), Arc::clone(&shared), Arc::clone(&socket));
        shared.tasks.clone().spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                answer = answer(&shared, server, &question, true) => {
                    if let Some(answer) = answer {
                        let _ = socket.send_to(&answer, from).await;
                    }
                }
            }
        });
    }
}

async fn serve_tcp(shared: Arc<Shared>, server: usize, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        shared.tasks.clone().spawn(async move {
            let stop = shared.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = converse(&shared, server, stream) => {}
            }
        });
    }
}

/// RFC 7766: each message has its length in front; several may follow each other.
async fn converse(shared: &Shared, server: usize, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut question = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut question).await?;
        let Some(answer) = answer(shared, server, &question, false).await else {
            // Silence lasts until the asker gives up.
            return future::pending().await;
        };
        stream.write_u16(answer.len() as u16).await?;
        stream.write_all(&answer).await?;
    }
}

/// None is silence.
async fn answer(shared: &Shared, server: usize, question: &[u8], datagram: bool) -> Option<Vec<u8>> {
    let message = Message::from_vec(question).ok().filter(|one| one.metadata.message_type == MessageType::Query)?;
    let asked = Asked { bytes: question, message };
    let question = &asked.message;
    let mut seen = shared.count(Service::Dns, wire::operation(question));
    shared.faults.tell(&seen);
    let fault = shared.faults.strike(Service::Dns, &seen.operation);
    match &fault {
        Some(Fault::Mute | Fault::RefuseBefore) => return None,
        Some(Fault::Throttle(_)) => return wire::refusal(question, ResponseCode::Refused).to_vec().ok(),
        Some(Fault::Status(_)) => return wire::refusal(question, ResponseCode::ServFail).to_vec().ok(),
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    let answer = wire::respond(shared, server, &asked, datagram)?;
    shared.keep(Service::Dns).ok()?;
    seen.moment = Moment::After;
    shared.faults.tell(&seen);
    match fault {
        Some(Fault::AnswerLost) => None,
        Some(Fault::Garble | Fault::Tear) => Some(answer[..answer.len() / 2].to_vec()),
        _ => Some(answer),
    }
}

const TRIES: usize = 20;

#[cfg(test)]
mod tests;
