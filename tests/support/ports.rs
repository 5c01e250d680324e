use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// A port on loopback that stays this process's own until it ends, for peers that cannot be told to pick one.
///
/// Merely binding to port 0 and letting go would hand the same port to somebody else before the peer has it: to
/// another test, or to an outgoing connection. So the port lies below those that the kernel gives out, and a lock in
/// the temporary folder keeps other test runs on this machine off it.
pub fn free_port() -> Result<u16> {
    for _ in 0..RANGE {
        let port = next_candidate();
        if let Some(lock) = lock(port)?
            && is_unused(port)
        {
            LEASES.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}: see what hears there by `ss -ltnp`", FIRST + RANGE)
}

const FIRST: u16 = 20_000;
const RANGE: u16 = 12_000;

static LEASES: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Starts where the process id says, so that runs side by side seldom meet.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let id = u64::from(std::process::id()) * 97 % u64::from(RANGE);
    AtomicU16::new(u16::try_from(id).expect("a remainder of RANGE fits where RANGE does"))
});

fn next_candidate() -> u16 {
    FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % RANGE
}

fn lock(port: u16) -> Result<Option<File>> {
    let path = locks()?.join(port.to_string());
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
    Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file))
}

fn locks() -> Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("claviger-ports-{user}"));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder)
}

/// DNS servers hear on both.
fn is_unused(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_out_twice() {
        let ports: BTreeSet<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 20);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let held: Vec<u16> = (0..3).map(|_| free_port().unwrap()).collect();
        let listener = TcpListener::bind(("127.0.0.1", held[0])).unwrap();
        assert!(!is_unused(held[0]));
        drop(listener);
        assert!(is_unused(held[0]));
    }

    #[test]
    fn a_leased_port_is_locked_for_others() {
        let port = free_port().unwrap();
        assert!(lock(port).unwrap().is_none(), "a second lock on {port}");
    }
}
