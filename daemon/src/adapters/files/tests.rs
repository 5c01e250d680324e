mod hooks;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use claviger_config::{Moment, Span};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

/// A key, and a chain of a leaf and its issuer.
struct Issued {
    key: Vec<u8>,
    chain: Chain,
}

fn issued() -> Issued {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["www.example".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = Chain {
        pem: format!("{}{}", leaf.pem(), authority.pem()),
        serial: "01".to_owned(),
        spki_sha256: String::new(),
        fingerprint: hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf.der())),
        names: vec!["www.example".parse().unwrap()],
        not_before: Moment(0),
        not_after: Moment::MAX,
        renewal_id: None,
    };
    Issued { key: key.serialize_der(), chain }
}

impl Issued {
    fn key(&self) -> Secret {
        Secret::new(Zeroizing::new(self.key.clone()))
    }

    fn files(&self) -> Files {
        Files::new(&self.key, &self.chain.pem).unwrap()
    }

    fn pair(&self) -> OutletSeen {
        OutletSeen::Pair { fingerprint: self.chain.fingerprint.clone() }
    }
}

struct World {
    folder: TempDir,
    outlet: FilesOutlet,
}

impl World {
    fn new() -> Self {
        Self::with_hooks(&[])
    }

    fn with_hooks(hooks: &[(&str, &[&str], Span)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("write")).unwrap();
        let hook = |(name, command, timeout): &(&str, &[&str], Span)| {
            let command = command.iter().map(|&word| word.to_owned()).collect();
            (name.parse().unwrap(), Hook { command, timeout: *timeout })
        };
        let hooks = hooks.iter().map(hook).collect();
        let outlet = FilesOutlet::new(Some(folder.path().join("write")), hooks, folder.path());
        Self { folder, outlet }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("write").join(below)
    }

    fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap()
    }

    async fn deliver(&self, target: &OutletTarget, issued: &Issued) -> Result<(), Failure> {
        self.outlet.deliver(target, &issued.key(), &issued.chain).await
    }

    async fn look(&self, target: &OutletTarget) -> OutletSeen {
        self.outlet.look(target).await.unwrap()
    }

    /// The place on the disk, to take single steps of a delivery.
    fn place(&self, directory: &str) -> Place {
        let below = Below::open(&self.path("")).unwrap();
        Place { parent: below.folder(&[], false).unwrap().unwrap(), name: directory.to_owned() }
    }

    fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn target(directory: &str, mode: &str, reload: Option<&str>) -> OutletTarget {
    let files = Target {
        directory: directory.to_owned(),
        mode: mode.to_owned(),
        reload: reload.map(|name| name.parse().unwrap()),
    };
    OutletTarget { name: "nginx".parse().unwrap(), place: OutletPlace::Files(files) }
}

fn web() -> OutletTarget {
    target("web", "0600", None)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const PRIVATE: Modes = Modes { files: Mode::from_raw_mode(0o600), folder: Mode::from_raw_mode(0o700) };

#[tokio::test]
async fn a_pair_is_delivered_and_found_again() {
    let (world, issued) = (World::new(), issued());
    assert_eq!(world.look(&web()).await, OutletSeen::Empty);
    world.deliver(&web(), &issued).await.unwrap();
    assert_eq!(world.look(&web()).await, issued.pair());
    assert!(world.read("web/tls.key").lines().next().is_some_and(|first| first.ends_with("BEGIN PRIVATE KEY-----")));
    assert_eq!(KeyPair::from_pem(&world.read("web/tls.key")).unwrap().serialize_der(), issued.key);
    assert_eq!(world.read("web/tls.crt"), issued.chain.pem.replace("\r\n", "\n"));
    let issuer = world.read("web/ca.crt");
    assert!(issuer.len() > 100 && world.read("web/tls.crt").ends_with(&issuer));
    let (key, chain) = world.outlet.take(&web()).await.unwrap().unwrap();
    assert_eq!(key.expose_bytes(), world.read("web/tls.key").as_bytes());
    assert_eq!(chain, world.read("web/tls.crt"));
}

#[tokio::test]
async fn a_chain_of_one_has_an_empty_file_of_issuers() {
    let (world, mut issued) = (World::new(), issued());
    issued.chain.pem.truncate(issued.chain.pem.rfind("-----BEGIN").unwrap());
    world.deliver(&web(), &issued).await.unwrap();
    assert_eq!((world.read("web/ca.crt").as_str(), world.look(&web()).await), ("", issued.pair()));
}

/// The other half of the next test: a daemon by itself, since a umask belongs to the whole process.
#[tokio::test]
async fn daemon_with_another_umask() {
    let Ok(umask) = std::env::var("CLAVIGER_TEST_UMASK") else { return };
    let world = World::new();
    rustix::process::umask(Mode::from_raw_mode(umask.parse().unwrap()));
    for (directory, asked, folder) in [("web", 0o600, 0o700), ("deep/er/web", 0o640, 0o750), ("web", 0o400, 0o700)] {
        world.deliver(&target(directory, &format!("{asked:04o}"), None), &issued()).await.unwrap();
        for name in NAMES {
            assert_eq!(mode(&world.path(directory).join(name)), asked, "{directory}/{name}");
        }
        assert_eq!(mode(&world.path(directory)), folder, "{directory}");
    }
    assert_eq!(mode(&world.path("deep")), 0o711, "folders on the way let pass and show nothing");
}

#[test]
fn modes_are_as_asked_whatever_the_umask() {
    for umask in [0o000, 0o022, 0o077] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "adapters::files::tests::daemon_with_another_umask"])
            .env("CLAVIGER_TEST_UMASK", umask.to_string())
            .output()
            .unwrap();
        assert!(child.status.success(), "{umask:03o}: {}", String::from_utf8_lossy(&child.stdout));
    }
}

#[tokio::test]
async fn a_mode_that_lets_everybody_read_is_refused() {
    let world = World::new();
    for odd in ["0644", "0777", "04600", "0060", "rw", "", "9"] {
        let failure = world.deliver(&target("web", odd, None), &issued()).await.unwrap_err();
        assert!(failure.message.starts_with(&format!("found the mode `{odd}`")), "{}", failure.message);
    }
    assert!(world.entries().is_empty());
}

#[tokio::test]
async fn the_delivery_before_is_kept_and_older_ones_are_removed() {
    let world = World::new();
    let all = [issued(), issued(), issued(), issued()];
    for issued in &all {
        world.deliver(&web(), issued).await.unwrap();
    }
    let named = |issued: &Issued, number: u32| format!(".web.{}-{number}", &issued.chain.fingerprint[..16]);
    let mut expected = vec![named(&all[2], 3), named(&all[3], 4), "web".to_owned()];
    expected.sort();
    assert_eq!(world.entries(), expected);
    assert_eq!(fs::read_link(world.path("web")).unwrap(), PathBuf::from(named(&all[3], 4)));
}

#[tokio::test]
async fn delivering_the_same_twice_writes_once() {
    let (world, issued) = (World::new(), issued());
    world.deliver(&web(), &issued).await.unwrap();
    let before = fs::metadata(world.path("web/tls.key")).unwrap().ino();
    world.deliver(&web(), &issued).await.unwrap();
    assert_eq!(fs::metadata(world.path("web/tls.key")).unwrap().ino(), before);
}

#[tokio::test]
async fn whatever_was_changed_by_hand_is_seen_and_put_right() {
    let (world, other, issued) = (World::new(), issued(), issued());
    type Harm = fn(&World, &Issued);
    let harm: [(&str, Harm); 8] = [
        ("a key for the group", |world, _| {
            fs::set_permissions(world.path("web/tls.key"), fs::Permissions::from_mode(0o640)).unwrap()
        }),
        ("an open folder", |world, _| {
            fs::set_permissions(world.path("web"), fs::Permissions::from_mode(0o755)).unwrap()
        }),
        ("no issuers", |world, _| fs::remove_file(world.path("web/ca.crt")).unwrap()),
        ("no key", |world, _| fs::remove_file(world.path("web/tls.key")).unwrap()),
        ("another key", |world, other| fs::write(world.path("web/tls.key"), other.files().key.as_bytes()).unwrap()),
        ("other issuers", |world, other| fs::write(world.path("web/ca.crt"), other.files().issuers).unwrap()),
        ("half a certificate", |world, _| {
            fs::write(world.path("web/tls.crt"), "-----BEGIN CERTIFICATE-----\nAA").unwrap()
        }),
        ("a second name", |world, _| fs::hard_link(world.path("web/tls.key"), world.path("copy")).unwrap()),
    ];
    for (what, harm) in harm {
        world.deliver(&web(), &issued).await.unwrap();
        harm(&world, &other);
        assert_eq!(world.look(&web()).await, OutletSeen::Spoilt, "{what}");
        world.deliver(&web(), &issued).await.unwrap();
        assert_eq!(world.look(&web()).await, issued.pair(), "{what}");
    }
    fs::remove_file(world.path("web")).unwrap();
    assert_eq!(world.look(&web()).await, OutletSeen::Empty);
}

#[tokio::test]
async fn key_and_certificate_of_two_deliveries_are_never_delivered_together() {
    let (world, one, other) = (World::new(), issued(), issued());
    let mixed = Issued { key: one.key, chain: other.chain };
    let failure = world.deliver(&web(), &mixed).await.unwrap_err();
    assert!(failure.message.contains("do not belong together"));
    assert!(world.entries().is_empty());
}

#[tokio::test]
async fn a_crash_before_the_swap_leaves_the_old_pair_and_one_after_it_the_new_one() {
    let (old, new) = (issued(), issued());
    for step in 0..5 {
        let world = World::new();
        world.deliver(&web(), &old).await.unwrap();
        let place = world.place("web");
        match step {
            // In the middle of writing.
            0 => {
                drop(place.prepare(&new.files(), PRIVATE).unwrap());
                let newest = world.path(&format!(".web.{}-2", &new.chain.fingerprint[..16]));
                fs::write(newest.join("tls.crt"), "half").unwrap();
                fs::remove_file(newest.join("ca.crt")).unwrap();
            }
            // Written, not swapped.
            1 => drop(place.prepare(&new.files(), PRIVATE).unwrap()),
            // The link of the next one is there.
            2 => {
                let _generation = place.prepare(&new.files(), PRIVATE).unwrap();
                symlink(format!(".web.{}-2", &new.chain.fingerprint[..16]), world.path(".web.next")).unwrap();
            }
            // Written, not swapped; written again and swapped, not tidied.
            3 => {
                drop(place.prepare(&new.files(), PRIVATE).unwrap());
                let generation = place.prepare(&new.files(), PRIVATE).unwrap();
                place.swap(&generation).unwrap();
            }
            // Swapped, not tidied.
            _ => {
                let generation = place.prepare(&new.files(), PRIVATE).unwrap();
                place.swap(&generation).unwrap();
            }
        }
        let expected = if step < 3 { old.pair() } else { new.pair() };
        assert_eq!(world.look(&web()).await, expected, "step {step}");
        world.deliver(&web(), &new).await.unwrap();
        assert_eq!(world.look(&web()).await, new.pair(), "step {step}");
        let entries = world.entries();
        assert_eq!(entries.len(), 3, "step {step}: the new one, the old one, the link: {entries:?}");
        let old_is_there = entries.iter().any(|name| name.contains(&old.chain.fingerprint[..16]));
        assert!(old_is_there, "step {step}: the old pair is kept: {entries:?}");
    }
}

#[tokio::test]
async fn a_folder_that_was_there_before_is_adopted_and_later_moved_aside_whole() {
    let (world, old, new) = (World::new(), issued(), issued());
    let folder = world.path("web");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tls.key"), old.files().key.as_bytes()).unwrap();
    fs::set_permissions(folder.join("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(folder.join("tls.crt"), &old.chain.pem).unwrap();
    fs::write(folder.join("dhparam.pem"), "somebody's").unwrap();
    assert_eq!(world.look(&web()).await, old.pair());
    let (key, _) = world.outlet.take(&web()).await.unwrap().unwrap();
    assert_eq!(key.expose_bytes(), old.files().key.as_bytes());
    world.deliver(&web(), &new).await.unwrap();
    assert_eq!(world.look(&web()).await, new.pair());
    assert_eq!(world.read(".web.before-1/dhparam.pem"), "somebody's");
    assert_eq!(world.read(".web.before-1/tls.key"), old.files().key.as_str());
    world.deliver(&web(), &old).await.unwrap();
    assert_eq!(world.read(".web.before-1/dhparam.pem"), "somebody's", "and is never removed");
}

#[tokio::test]
async fn a_crash_while_a_folder_is_moved_aside_loses_nothing() {
    let (world, new) = (World::new(), issued());
    // Swapped with the link, not yet renamed.
    fs::create_dir(world.path(".web.next")).unwrap();
    fs::write(world.path(".web.next/dhparam.pem"), "somebody's").unwrap();
    fs::create_dir(world.path(".web.before-1")).unwrap();
    let place = world.place("web");
    let generation = place.prepare(&new.files(), PRIVATE).unwrap();
    symlink(format!(".web.{}-1", &new.chain.fingerprint[..16]), world.path("web")).unwrap();
    drop(generation);
    assert_eq!(world.look(&web()).await, new.pair());
    world.deliver(&web(), &new).await.unwrap();
    assert_eq!(world.read(".web.before-2/dhparam.pem"), "somebody's");
    assert!(!world.path(".web.next").exists());
}

#[tokio::test]
async fn where_a_volume_cannot_swap_two_names_it_takes_two_steps() {
    let (world, new) = (World::new(), issued());
    fs::create_dir(world.path("web")).unwrap();
    fs::write(world.path("web/dhparam.pem"), "somebody's").unwrap();
    let place = world.place("web");
    drop(place.prepare(&new.files(), PRIVATE).unwrap());
    symlink(format!(".web.{}-1", &new.chain.fingerprint[..16]), world.path(".web.next")).unwrap();
    assert_eq!(place.exchange_in_two_steps().unwrap(), ".web.before-1");
    assert_eq!(world.look(&web()).await, new.pair());
    assert_eq!(world.read(".web.before-1/dhparam.pem"), "somebody's");
    // A crash between the two steps.
    fs::rename(world.path("web"), world.path(".web.next")).unwrap();
    assert_eq!(world.look(&web()).await, OutletSeen::Empty);
    world.deliver(&web(), &new).await.unwrap();
    assert_eq!(world.look(&web()).await, new.pair());
}

#[tokio::test]
async fn an_open_key_of_somebody_else_is_not_taken_for_a_pair() {
    let (world, old) = (World::new(), issued());
    fs::create_dir(world.path("web")).unwrap();
    fs::write(world.path("web/tls.key"), old.files().key.as_bytes()).unwrap();
    fs::write(world.path("web/tls.crt"), &old.chain.pem).unwrap();
    fs::set_permissions(world.path("web/tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(world.look(&web()).await, OutletSeen::Spoilt);
    fs::write(world.path("web/tls.key"), "no key").unwrap();
    assert!(world.outlet.take(&web()).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_written_over_links_or_out_of_the_folder() {
    let world = World::new();
    let outside = world.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.path("away")).unwrap();
    symlink("../outside", world.path("up")).unwrap();
    symlink("nowhere", world.path("dangling")).unwrap();
    fs::create_dir(world.path("real")).unwrap();
    symlink("real", world.path("inside")).unwrap();
    fs::write(world.path("file"), "x").unwrap();
    let odd = [
        "away",
        "up",
        "dangling",
        "inside",
        "away/web",
        "up/web",
        "inside/web",
        "file",
        "file/web",
        "../outside",
        "/etc",
        "a/../b",
        "",
        "./a",
    ];
    for directory in odd {
        let failure = world.deliver(&target(directory, "0600", None), &issued()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::DeliveryFailed, "{directory}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.path("real")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(world.path("file")).unwrap(), "x");
    for directory in ["away", "up", "away/web", "../outside"] {
        assert!(world.outlet.look(&target(directory, "0600", None)).await.is_err(), "{directory}");
    }
}

#[tokio::test]
async fn a_link_inside_a_delivery_is_not_taken_for_its_file() {
    let (world, issued) = (World::new(), issued());
    world.deliver(&web(), &issued).await.unwrap();
    let outside = world.folder.path().join("key");
    fs::rename(world.path("web/tls.key"), &outside).unwrap();
    symlink(&outside, world.path("web/tls.key")).unwrap();
    assert_eq!(world.look(&web()).await, OutletSeen::Spoilt);
    assert!(world.outlet.take(&web()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_missing_folder_of_certificates_is_told_with_the_fix() {
    let world = World::new();
    fs::remove_dir(world.path("")).unwrap();
    for failure in [world.outlet.look(&web()).await.unwrap_err(), world.deliver(&web(), &issued()).await.unwrap_err()] {
        assert!(failure.message.contains("is missing: create it, or mount its volume"), "{}", failure.message);
    }
    let nowhere = FilesOutlet::new(None, BTreeMap::new(), Path::new("."));
    let failure = nowhere.look(&web()).await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::SettingMissing, Retry::Never));
}

#[tokio::test]
async fn no_reader_ever_sees_a_half_or_a_mixed_pair() {
    let (world, pairs) = (World::new(), [issued(), issued()]);
    world.deliver(&web(), &pairs[0]).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (folder, done) = (world.path("web"), Arc::clone(&over));
    let expected: Vec<_> = pairs.iter().map(|pair| (pair.files().key.to_string(), pair.files().chain)).collect();
    let reader = std::thread::spawn(move || {
        let (mut seen, mut reads) = ([false; 2], 0_u64);
        while !done.load(Ordering::Relaxed) {
            // As a server does: the folder once, then its files.
            let real = fs::canonicalize(&folder).unwrap();
            let Ok(key) = fs::read_to_string(real.join("tls.key")) else { continue };
            let Ok(chain) = fs::read_to_string(real.join("tls.crt")) else { continue };
            let which = expected.iter().position(|pair| *pair == (key.clone(), chain.clone()));
            seen[which.expect("old or new, never a mix")] = true;
            reads += 1;
        }
        (seen, reads)
    });
    for round in 0..60 {
        world.deliver(&web(), &pairs[(round + 1) % 2]).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let (seen, reads) = reader.join().unwrap();
    assert!(seen == [true, true] && reads > 60, "{reads} reads, {seen:?}");
}

#[tokio::test]
async fn two_deliveries_at_once_leave_one_whole_pair() {
    let (world, one, other) = (World::new(), issued(), issued());
    for _ in 0..10 {
        let target = web();
        let (first, second) = futures::join!(world.deliver(&target, &one), world.deliver(&target, &other));
        first.and(second).unwrap();
        let seen = world.look(&web()).await;
        assert!(seen == one.pair() || seen == other.pair());
    }
}

/// The other half of the next test: runs where SIGXFSZ is ignored, so that a limit acts like a full disk.
#[tokio::test]
async fn daemon_whose_disk_is_full() {
    if std::env::var_os("CLAVIGER_TEST_FULL").is_none() {
        return;
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (world, old, new) = (World::new(), issued(), issued());
    world.deliver(&web(), &old).await.unwrap();
    let (entries, was) = (world.entries(), getrlimit(Resource::Fsize));
    // Nothing, half the key, the key but half the chain.
    for fits in [0, 100, 500] {
        setrlimit(Resource::Fsize, Rlimit { current: Some(fits), ..was }).unwrap();
        let failure = world.deliver(&web(), &new).await.unwrap_err();
        assert!(failure.message.contains("what was in service stays"), "{}", failure.message);
        setrlimit(Resource::Fsize, was).unwrap();
        assert_eq!(world.look(&web()).await, old.pair(), "{fits} bytes");
        assert_eq!(world.entries(), entries, "{fits} bytes: no half is left");
    }
    world.deliver(&web(), &new).await.unwrap();
    assert_eq!(world.look(&web()).await, new.pair());
}

#[test]
fn a_full_disk_leaves_the_old_pair_and_no_halves() {
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact adapters::files::tests::daemon_whose_disk_is_full"])
        .arg(std::env::current_exe().unwrap())
        .env("CLAVIGER_TEST_FULL", "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// Where nothing can be written: root passes every mode, so the folder is a file system that refuses.
#[tokio::test]
async fn where_nothing_can_be_written_the_failure_says_so() {
    let outlet = FilesOutlet::new(Some("/proc/self/fdinfo".into()), BTreeMap::new(), Path::new("."));
    let issued = issued();
    let failure = outlet.deliver(&web(), &issued.key(), &issued.chain).await.unwrap_err();
    assert!(failure.message.contains("what was in service stays"), "{}", failure.message);
}
