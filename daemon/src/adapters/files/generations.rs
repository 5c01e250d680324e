//! One outlet on the disk.
//!
//! `web` is a symbolic link to the folder of one delivery, as Kubernetes does it with `..data`:
//!
//! ```text
//! web -> .web.4f1c09b2d3a85e67-3     in service
//! .web.4f1c09b2d3a85e67-3/           tls.key tls.crt ca.crt
//! .web.91aa0c77e2b4f310-2/           the delivery before, kept
//! .web.next                          the link of a delivery that is under way
//! .web.before-1/                     a folder that stood here before claviger came
//! ```
//!
//! A delivery writes a new folder and syncs it, then re-points the link by one rename. A crash before the rename leaves the old pair
//! in service, a crash after it the new one; what else is left lying is cleared away by the next delivery.

use std::{
    ffi::CString,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, fchmod, fstat, fsync, mkdirat, openat, readlinkat, renameat,
        renameat_with, statat, symlinkat, unlinkat,
    },
    io::{Errno, Result, retry_on_intr, write},
};

use crate::adapters::craft::pair::Files;

/// The folder that an outlet stands in, and its name there.
pub(super) struct Place {
    pub(super) parent: OwnedFd,
    pub(super) name: String,
}

/// What stands at the outlet's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// A folder that claviger did not make.
    Folder,
    /// A link that claviger did not make.
    Link(String),
    /// Nothing.
    Nothing,
    /// The folder of a delivery.
    Ours(Generation),
    /// Something that is neither folder nor link.
    Other,
}

/// The folder of one delivery.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Generation {
    number: u64,
    fingerprint: String,
}

/// Modes of files and of the folder around them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Modes {
    pub(super) files: Mode,
    pub(super) folder: Mode,
}

impl Place {
    /// What stands there.
    pub(super) fn standing(&self) -> Result<Standing> {
        match readlinkat(&self.parent, &self.name, Vec::new()) {
            Ok(target) => {
                let target = target.to_string_lossy().into_owned();
                Ok(self.parse(&target).map_or(Standing::Link(target), Standing::Ours))
            }
            Err(Errno::NOENT) => Ok(Standing::Nothing),
            Err(Errno::INVAL) => {
                let seen = statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
                let folder = FileType::from_raw_mode(seen.st_mode) == FileType::Directory;
                Ok(if folder { Standing::Folder } else { Standing::Other })
            }
            Err(errno) => Err(errno),
        }
    }

    /// Opens the folder of a delivery.
    pub(super) fn open(&self, generation: &Generation) -> Result<OwnedFd> {
        openat(&self.parent, self.folder_name(generation), FOLDER, Mode::empty())
    }

    /// Writes the files into a new folder and brings them to the disk. Nobody sees them yet.
    pub(super) fn prepare(&self, files: &Files, modes: Modes) -> Result<Generation> {
        let number = self.generations()?.iter().map(|known| known.number).max().unwrap_or(0) + 1;
        let fingerprint = files.fingerprint.chars().take(FINGERPRINT).collect();
        let generation = Generation { number, fingerprint };
        if let Err(errno) = self.write(&generation, files, modes) {
            // A disk that stays full must not fill up with halves.
            let _ = self.remove(&self.folder_name(&generation));
            return Err(errno);
        }
        Ok(generation)
    }

    fn write(&self, generation: &Generation, files: &Files, modes: Modes) -> Result<()> {
        mkdirat(&self.parent, self.folder_name(generation), Mode::RWXU)?;
        let folder = self.open(generation)?;
        // Whatever the umask took away.
        fchmod(&folder, modes.folder)?;
        for (name, content) in NAMES.iter().zip([files.key.as_str(), &files.chain, &files.issuers]) {
            write_file(folder.as_fd(), name, content.as_bytes(), modes.files)?;
        }
        fsync(&folder)?;
        fsync(&self.parent)
    }

    /// Puts a delivery into service, once [`Self::clear_next`] has made way. A folder that stood there before is moved aside whole;
    /// gives its new name.
    pub(super) fn swap(&self, generation: &Generation) -> Result<Option<String>> {
        symlinkat(self.folder_name(generation), &self.parent, self.next())?;
        let aside = match self.standing()? {
            Standing::Folder => Some(self.exchange()?),
            _ => renameat(&self.parent, self.next(), &self.parent, &self.name).map(|()| None)?,
        };
        fsync(&self.parent)?;
        Ok(aside)
    }

    /// Removes old deliveries but the one in service and the one before it. Gives what could not be removed.
    pub(super) fn tidy(&self, before: Option<&Generation>) -> Result<Vec<(String, Errno)>> {
        let Standing::Ours(current) = self.standing()? else { return Ok(Vec::new()) };
        let generations = self.generations()?;
        let kept =
            before.filter(|before| **before != current).cloned().or_else(|| self.previous(&generations, &current));
        let old = generations.iter().filter(|known| **known != current && Some(*known) != kept.as_ref());
        let names = old.map(|known| self.folder_name(known));
        Ok(names.filter_map(|name| self.remove(&name).err().map(|errno| (name, errno))).collect())
    }

    /// The last delivery before `current`, preferably of another certificate, that is whole.
    fn previous(&self, generations: &[Generation], current: &Generation) -> Option<Generation> {
        let whole = |known: &&Generation| known.number < current.number && self.is_whole(known);
        let other = |known: &Generation| known.fingerprint != current.fingerprint;
        generations.iter().filter(whole).max_by_key(|known| (other(known), known.number)).cloned()
    }

    fn is_whole(&self, generation: &Generation) -> bool {
        let folder = self.open(generation);
        folder.is_ok_and(|folder| NAMES.iter().all(|name| statat(&folder, *name, AtFlags::SYMLINK_NOFOLLOW).is_ok()))
    }

    /// Swaps folder and link in one step, then gives the folder its name for good.
    fn exchange(&self) -> Result<String> {
        let (parent, next) = (&self.parent, self.next());
        match renameat_with(parent, &next, parent, &self.name, RenameFlags::EXCHANGE) {
            Ok(()) => self.set_aside(&next),
            // Not on this kind of volume.
            Err(Errno::INVAL | Errno::NOSYS) => self.exchange_in_two_steps(),
            Err(errno) => Err(errno),
        }
    }

    /// A crash between the two steps leaves the place empty, and the delivery is made again.
    pub(super) fn exchange_in_two_steps(&self) -> Result<String> {
        let aside = self.set_aside(&self.name)?;
        renameat(&self.parent, self.next(), &self.parent, &self.name)?;
        Ok(aside)
    }

    /// Clears away what a delivery that was cut short left at the name of the next link: a link, or the folder that it had just
    /// swapped out, which is moved aside.
    pub(super) fn clear_next(&self) -> Result<Option<String>> {
        match statat(&self.parent, self.next(), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
            Ok(seen) if FileType::from_raw_mode(seen.st_mode) == FileType::Directory => {
                self.set_aside(&self.next()).map(Some)
            }
            Ok(_) => unlinkat(&self.parent, self.next(), AtFlags::empty()).map(|()| None),
        }
    }

    fn set_aside(&self, name: &str) -> Result<String> {
        let mut number = 1;
        loop {
            let aside = format!(".{}.before-{number}", self.name);
            let taken = statat(&self.parent, &aside, AtFlags::SYMLINK_NOFOLLOW);
            match taken {
                Ok(_) => number += 1,
                Err(Errno::NOENT) => return renameat(&self.parent, name, &self.parent, &aside).map(|()| aside),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        let folder = openat(&self.parent, name, FOLDER, Mode::empty())?;
        for file in NAMES {
            match unlinkat(&folder, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        unlinkat(&self.parent, name, AtFlags::REMOVEDIR)
    }

    /// Every delivery that is there, whole or not.
    pub(super) fn generations(&self) -> Result<Vec<Generation>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.parent)? {
            let name: CString = entry?.file_name().to_owned();
            found.extend(name.to_str().ok().and_then(|name| self.parse(name)));
        }
        Ok(found)
    }

    fn parse(&self, name: &str) -> Option<Generation> {
        let rest = name.strip_prefix('.')?.strip_prefix(&self.name)?.strip_prefix('.')?;
        let (fingerprint, number) = rest.split_once('-')?;
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let generation = Generation { number: number.parse().ok()?, fingerprint: fingerprint.to_owned() };
        let ours = fingerprint.len() == FINGERPRINT && fingerprint.bytes().all(hexadecimal);
        (ours && self.folder_name(&generation) == name).then_some(generation)
    }

    fn folder_name(&self, generation: &Generation) -> String {
        format!(".{}.{}-{}", self.name, generation.fingerprint, generation.number)
    }

    fn next(&self) -> String {
        format!(".{}.next", self.name)
    }
}

fn write_file(folder: BorrowedFd<'_>, name: &str, content: &[u8], mode: Mode) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Closed to others from its first instant.
    let file = openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut rest = content;
    while !rest.is_empty() {
        match retry_on_intr(|| write(&file, rest))? {
            0 => return Err(Errno::IO),
            written => rest = &rest[written..],
        }
    }
    fchmod(&file, mode)?;
    fsync(&file)
}

/// Whether the files of a delivery are as it left them: none missing, none with another mode or a second name.
pub(super) fn is_as_delivered(folder: BorrowedFd<'_>, modes: Modes) -> bool {
    let same = |mode: u32, asked: Mode| Mode::from_raw_mode(mode) == asked;
    let file = |name: &&str| {
        statat(folder, *name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|seen| {
            FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile
                && same(seen.st_mode, modes.files)
                && seen.st_nlink == 1
        })
    };
    fstat(folder).is_ok_and(|seen| same(seen.st_mode, modes.folder)) && NAMES.iter().all(file)
}

/// Key, chain, and the chain without the leaf.
pub(super) const NAMES: [&str; 3] = ["tls.key", "tls.crt", "ca.crt"];
const FINGERPRINT: usize = 16;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
