//! Files: where certificates go on one machine, and where secrets and wrapped account keys lie.
//!
//! [`FilesOutlet`] plays `Outlet` below `files.write`; `generations` says how a pair is swapped as one. [`AccountFiles`] plays
//! `Vault`. [`read_below`] reads below `files.read`. Nothing here follows a link out of its folder.

mod accounts;
mod beneath;
mod generations;
mod hook;

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use claviger_config::{Name, Reason, certificate::FilesOutlet as Target, settings::Hook};
use claviger_core::{
    domain::{
        effect::{Chain, OutletPlace, OutletSeen, OutletTarget, ReloadSeen},
        failure::{Failure, Retry},
    },
    ports::{Answer, Outlet, Secret},
};
use rustix::{
    fs::{AtFlags, Mode, statat},
    io::Errno,
};
use zeroize::Zeroizing;

use crate::adapters::craft::pair::{self, Files};

pub use self::{
    accounts::AccountFiles,
    beneath::{BelowError, MOST, read_below},
};
use self::{
    beneath::{Below, components},
    generations::{Generation, Modes, NAMES, Place, Standing, is_as_delivered},
};

/// Plays [`Outlet`]: `tls.key`, `tls.crt` and `ca.crt` in a folder below `files.write`, swapped as one.
#[derive(Clone)]
pub struct FilesOutlet(Arc<Shared>);

struct Shared {
    write: Option<PathBuf>,
    hooks: BTreeMap<Name, Hook>,
    base: PathBuf,
    /// Two deliveries into one folder take turns.
    turns: [Mutex<()>; 16],
}

impl FilesOutlet {
    /// Writes below `write` and runs `hooks`; a hook's relative program is relative to `base`, the folder of the settings.
    pub fn new(write: Option<PathBuf>, hooks: BTreeMap<Name, Hook>, base: &Path) -> Self {
        let write = write.map(|write| std::path::absolute(&write).unwrap_or(write));
        Self(Arc::new(Shared { write, hooks, base: base.to_owned(), turns: Default::default() }))
    }

    fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, Failure> + Send + 'static,
    ) -> Answer<'_, T> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&shared)).await;
            done.unwrap_or_else(|_| Err(Failure::new(Reason::DeliveryFailed, "the work on an outlet was broken off")))
        })
    }
}

impl Outlet for FilesOutlet {
    fn look<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, OutletSeen> {
        let files = files_of(outlet);
        self.off_the_runtime(move |shared| shared.look(&files?))
    }

    fn take<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, Option<(Secret, String)>> {
        let files = files_of(outlet);
        self.off_the_runtime(move |shared| shared.take(&files?))
    }

    fn deliver<'a>(&'a self, outlet: &'a OutletTarget, key: &'a Secret, chain: &'a Chain) -> Answer<'a, ()> {
        let target = match files_of(outlet) {
            Ok(target) => target,
            Err(failure) => return Box::pin(async { Err(failure) }),
        };
        let Some(files) = Files::new(key.expose_bytes(), &chain.pem) else {
            let message =
                format!("key and certificate for `{}` do not belong together: nothing is delivered", target.directory);
            return Box::pin(async { Err(Failure::new(Reason::DeliveryFailed, message)) });
        };
        self.off_the_runtime(move |shared| shared.deliver(&target, &files))
    }

    fn reload<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, ReloadSeen> {
        Box::pin(async move {
            let Some(name) = outlet.reload() else { return Ok(ReloadSeen::Succeeded) };
            let hook = self.0.hooks.get(name).ok_or_else(|| no_hook(name))?;
            let directory = self.0.root()?.join(files_of(outlet)?.directory);
            let context = hook::Context { outlet: outlet.name.as_str(), directory: &directory, base: &self.0.base };
            Ok(hook::run(hook, &context).await)
        })
    }
}

impl Shared {
    fn root(&self) -> Result<&Path, Failure> {
        self.write.as_deref().ok_or_else(|| {
            Failure::new(
                Reason::SettingMissing,
                "the settings have no `files.write`, so nothing can be delivered to files",
            )
            .retry(Retry::Never)
            .fix("set `files.write` to the folder that certificates go into")
        })
    }

    fn look(&self, target: &Target) -> Result<OutletSeen, Failure> {
        let outlet = Opened::new(self.root()?, target)?;
        let Some(place) = outlet.place(false)? else { return Ok(OutletSeen::Empty) };
        match outlet.standing(&place)? {
            Standing::Nothing => Ok(OutletSeen::Empty),
            Standing::Other => Ok(OutletSeen::Spoilt),
            Standing::Ours(generation) => match place.open(&generation) {
                Ok(folder) => Ok(outlet.judge_ours(folder.as_fd())),
                Err(Errno::NOENT) => Ok(OutletSeen::Empty),
                Err(errno) => Err(outlet.failure("look at", errno)),
            },
            Standing::Folder | Standing::Link(_) => outlet.judge_foreign(),
        }
    }

    fn take(&self, target: &Target) -> Result<Option<(Secret, String)>, Failure> {
        let outlet = Opened::new(self.root()?, target)?;
        let Some(folder) = outlet.below.folder_over_links(&target.directory).map_err(|error| refused(&error))? else {
            return Ok(None);
        };
        Ok(outlet.read_pair(folder.as_fd()).map(|(_, key, chain)| (key, chain)))
    }

    fn deliver(&self, target: &Target, files: &Files) -> Result<(), Failure> {
        let _turn = self.turn(&target.directory);
        let outlet = Opened::new(self.root()?, target)?;
        let Some(place) = outlet.place(true)? else { return Err(outlet.failure("make", Errno::NOENT)) };
        let before = match outlet.standing(&place)? {
            Standing::Ours(generation) => Some(generation),
            Standing::Folder | Standing::Nothing => None,
            Standing::Link(to) => return Err(outlet.foreign_link(&to)),
            Standing::Other => return Err(outlet.failure("deliver into", Errno::NOTDIR)),
        };
        outlet.tell_aside(place.clear_next().map_err(|errno| outlet.failure("clear", errno))?);
        if !before.as_ref().is_some_and(|current| outlet.holds(&place, current, files)) {
            let generation = place.prepare(files, outlet.modes).map_err(|errno| outlet.failure("write", errno))?;
            let aside = place.swap(&generation).map_err(|errno| outlet.failure("swap", errno))?;
            outlet.tell_aside(aside);
        }
        outlet.tidy(&place, before.as_ref());
        Ok(())
    }

    fn turn(&self, directory: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        directory.hash(&mut hasher);
        let turn = &self.turns[(hasher.finish() % self.turns.len() as u64) as usize];
        // What it guards is on the disk and is looked at anew each time.
        turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An outlet whose words were read.
struct Opened<'a> {
    below: Below,
    root: &'a Path,
    target: &'a Target,
    modes: Modes,
}

impl<'a> Opened<'a> {
    fn new(root: &'a Path, target: &'a Target) -> Result<Self, Failure> {
        let modes = modes(&target.mode)?;
        let below = Below::open(root).map_err(|error| refused(&error))?;
        Ok(Self { below, root, target, modes })
    }

    /// The folder around the outlet; absent when it is missing and shall not be made.
    fn place(&self, make: bool) -> Result<Option<Place>, Failure> {
        let mut parts = components(&self.target.directory).map_err(|error| refused(&error))?;
        let name = parts.pop().unwrap_or_default().to_owned();
        let parent = self.below.folder(&parts, make).map_err(|error| refused(&error))?;
        Ok(parent.map(|parent| Place { parent, name }))
    }

    fn standing(&self, place: &Place) -> Result<Standing, Failure> {
        place.standing().map_err(|errno| self.failure("look at", errno))
    }

    fn judge_ours(&self, folder: BorrowedFd<'_>) -> OutletSeen {
        if nothing_in(folder) {
            return OutletSeen::Empty;
        }
        let whole = is_as_delivered(folder, self.modes);
        let pair = self.read_pair(folder).filter(|(_, _, chain)| whole && self.issuers_fit(folder, chain));
        pair.map_or(OutletSeen::Spoilt, |(fingerprint, ..)| OutletSeen::Pair { fingerprint })
    }

    /// A folder that claviger did not make: a pair whose key is closed to those who shall not read it may be taken over.
    fn judge_foreign(&self) -> Result<OutletSeen, Failure> {
        let folder = self.below.folder_over_links(&self.target.directory);
        let Some(folder) = folder.map_err(|error| refused(&error))? else { return Ok(OutletSeen::Empty) };
        if nothing_in(folder.as_fd()) {
            return Ok(OutletSeen::Empty);
        }
        let closed = statat(&folder, NAMES[0], AtFlags::empty())
            .is_ok_and(|seen| (Mode::from_raw_mode(seen.st_mode) - self.modes.files).is_empty());
        let pair = self.read_pair(folder.as_fd()).filter(|_| closed);
        Ok(pair.map_or(OutletSeen::Spoilt, |(fingerprint, ..)| OutletSeen::Pair { fingerprint }))
    }

    fn read_pair(&self, folder: BorrowedFd<'_>) -> Option<(String, Secret, String)> {
        let key = Zeroizing::new(self.below.read(folder, NAMES[0], MOST_KEY).ok()?);
        let chain = String::from_utf8(self.below.read(folder, NAMES[1], MOST_CHAIN).ok()?).ok()?;
        let fingerprint = pair::pair(&key, chain.as_bytes())?;
        // A second name of the key is a second way to it.
        let single = statat(folder, NAMES[0], AtFlags::empty()).is_ok_and(|seen| seen.st_nlink == 1);
        single.then(|| (fingerprint, Secret::new(key), chain))
    }

    fn issuers_fit(&self, folder: BorrowedFd<'_>, chain: &str) -> bool {
        let read = self.below.read(folder, NAMES[2], MOST_CHAIN).ok();
        let found = read.and_then(|text| pair::possibly_none(&text));
        let expected = pair::certificates(chain.as_bytes());
        found.zip(expected).is_some_and(|(found, expected)| found == expected[1..])
    }

    /// Whether exactly these files are in service already.
    fn holds(&self, place: &Place, generation: &Generation, files: &Files) -> bool {
        let Ok(folder) = place.open(generation) else { return false };
        let expected = [files.key.as_str(), &files.chain, &files.issuers];
        let same = |(name, expected): (&&str, &str)| {
            let read = self.below.read(folder.as_fd(), name, MOST_CHAIN).map(Zeroizing::new);
            read.is_ok_and(|found| found.as_slice() == expected.as_bytes())
        };
        is_as_delivered(folder.as_fd(), self.modes) && NAMES.iter().zip(expected).all(same)
    }

    /// What cannot be removed is no reason to call the delivery failed.
    fn tidy(&self, place: &Place, before: Option<&Generation>) {
        let left = place.tidy(before).unwrap_or_else(|errno| vec![(place.name.clone(), errno)]);
        for (folder, errno) in left {
            let outlet = self.path();
            tracing::warn!(%outlet, folder, "an old delivery could not be removed: {errno}; remove it by hand");
        }
    }

    fn tell_aside(&self, aside: Option<String>) {
        if let Some(folder) = aside {
            let outlet = self.path();
            tracing::warn!(%outlet, folder, "a folder stood where the outlet goes; it was moved aside whole, remove it once nobody needs it");
        }
    }

    fn foreign_link(&self, to: &str) -> Failure {
        let path = self.path();
        let message =
            format!("`{path}` is a symbolic link to `{to}` that claviger did not make: nothing is delivered over it");
        Failure::new(Reason::DeliveryFailed, message).fix(format!("remove the link `{path}`, or name another folder"))
    }

    fn failure(&self, what: &str, errno: Errno) -> Failure {
        let (path, folder) = (self.path(), self.root.display());
        let fix = match errno {
            Errno::NOSPC | Errno::DQUOT => format!("free space on the volume of `{folder}`"),
            Errno::ACCESS | Errno::PERM => {
                format!("give clavigerd's user the right to write into the folder of `{path}`")
            }
            Errno::ROFS => format!("mount the volume of `{folder}` writable"),
            Errno::BUSY => format!("something is mounted at `{path}`: mount the folder above it instead"),
            Errno::NOTDIR | Errno::LOOP => format!("remove what stands at `{path}`"),
            _ => format!("check `{path}` and the volume of `{folder}`"),
        };
        let message = format!("cannot {what} the outlet `{path}`: {errno}; what was in service stays");
        Failure::new(Reason::DeliveryFailed, message).fix(fix)
    }

    fn path(&self) -> std::path::Display<'a> {
        // Shown, never opened.
        Path::new(&self.target.directory).display()
    }
}

fn files_of(outlet: &OutletTarget) -> Result<Target, Failure> {
    match &outlet.place {
        OutletPlace::Files(files) => Ok(files.clone()),
        OutletPlace::Secret(secret) => {
            let message =
                format!("the Secret `{}/{}` is no folder: a fault in claviger", secret.namespace, secret.name);
            Err(Failure::new(Reason::DeliveryFailed, message).retry(Retry::Never).fix("please report it"))
        }
    }
}

fn nothing_in(folder: BorrowedFd<'_>) -> bool {
    NAMES.iter().all(|name| matches!(statat(folder, *name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT)))
}

fn modes(words: &str) -> Result<Modes, Failure> {
    let parsed = u32::from_str_radix(words, 8).ok().filter(|mode| mode & !0o770 == 0 && mode & 0o400 != 0);
    let files = parsed.map(Mode::from_raw_mode).ok_or_else(|| {
        let message =
            format!("found the mode `{words}`, accepted: octal, readable by the owner, closed to everybody else");
        Failure::new(Reason::DeliveryFailed, message).retry(Retry::Never).fix("write `0600`, or `0640` for a group")
    })?;
    let group = files.intersects(Mode::RWXG);
    Ok(Modes { files, folder: Mode::from_raw_mode(if group { 0o750 } else { 0o700 }) })
}

fn refused(error: &BelowError) -> Failure {
    Failure::new(Reason::DeliveryFailed, error.to_string())
}

fn no_hook(name: &Name) -> Failure {
    Failure::new(Reason::SettingMissing, format!("the settings have no hook `{name}`, so it cannot be run"))
        .retry(Retry::Never)
        .fix(format!("add `{name}` to `hooks` in the settings, or take `reload` out of the document"))
}

/// As cert-manager caps them: a key of 13 kB, ten certificates of 36.5 kB.
const MOST_KEY: u64 = 13_000;
const MOST_CHAIN: u64 = 400_000;

#[cfg(test)]
mod tests;
