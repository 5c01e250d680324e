//! Space that is kept for the day when the disk is full: what must be written then still can be, for a while.

use std::{fs::File, io, sync::Mutex};

use rustix::{
    fs::{FallocateFlags, fallocate, fstatvfs},
    io::Errno,
};
use tokio::sync::watch;

/// A file that takes up space until the space is needed.
#[derive(Debug)]
pub(super) struct Reserve {
    file: Mutex<File>,
    spent: watch::Sender<bool>,
}

impl Reserve {
    /// Takes up the space, when there is plenty. Where a volume cannot set space aside, there is no reserve.
    pub(super) fn new(file: File) -> Self {
        let reserve = Self { file: Mutex::new(file), spent: watch::Sender::new(true) };
        reserve.refill();
        reserve
    }

    /// Gives the space up. Whether there was any.
    pub(super) fn spend(&self) -> bool {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let freed = !*self.spent.borrow() && file.set_len(0).and_then(|()| file.sync_all()).is_ok();
        if freed {
            self.spent.send_replace(true);
            tracing::error!(
                reason = "StoreFailed",
                "the disk of the state folder is full: claviger lives on its reserve of {SIZE} bytes; free space now"
            );
        }
        freed
    }

    /// Takes the space up again once there is plenty.
    pub(super) fn refill(&self) {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *self.spent.borrow() && take_up(&file).unwrap_or(false) {
            self.spent.send_replace(false);
        }
    }

    /// Whether it is spent, or could never be set aside.
    pub(super) fn spent(&self) -> watch::Receiver<bool> {
        self.spent.subscribe()
    }
}

fn take_up(file: &File) -> io::Result<bool> {
    let volume = fstatvfs(file)?;
    let held = file.metadata()?.len();
    if held < SIZE && volume.f_bavail.saturating_mul(volume.f_frsize) < 4 * SIZE {
        return Ok(false);
    }
    match fallocate(file, FallocateFlags::empty(), 0, SIZE) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
        Err(errno) => {
            file.set_len(0)?;
            Err(errno.into())
        }
    }
}

/// Room for some ten thousand lines of the journal and as many pages of the database.
const SIZE: u64 = 8 << 20;
