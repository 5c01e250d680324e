//! A daemon that is killed, and disks that are full.

use super::*;
/// The other half of the next test: a daemon that commits until it is killed.
#[tokio::test]
async fn daemon_that_is_killed() {
    let Some(folder) = std::env::var_os("CLAVIGER_TEST_STATE") else { return };
    let store = SqliteStore::open(&State::open(Path::new(&folder)).unwrap()).unwrap();
    for number in 0_u64.. {
        let name = key(&format!("k{number}"));
        store.commit(commit(&name, None, None, &[])).await.unwrap();
        println!("acknowledged {number}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill_and_the_lock_does_not() {
    let place = Place::new();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "adapters::sqlite::tests::disk::daemon_that_is_killed", "--nocapture"])
        .env("CLAVIGER_TEST_STATE", place.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = lines.filter_map(|line| line.split("acknowledged ").nth(1)?.parse::<usize>().ok());
    assert!(acknowledged.by_ref().any(|number| number == 20));
    let refused = place.try_open().err().unwrap().to_string();
    assert!(refused.contains(&format!("held by process {}", daemon.id())), "{refused}");
    assert!(acknowledged.by_ref().any(|number| number > 21), "the first daemon is unaffected");
    daemon.kill().unwrap();
    let last = acknowledged.last();
    daemon.wait().unwrap();
    let names = place.open().names().await.unwrap();
    for number in 0..=last.unwrap_or(21) {
        assert!(names.contains(&key(&format!("k{number}"))), "{number} was acknowledged");
    }
}

/// The other half of the next test: a daemon on a small disk that somebody else fills.
#[tokio::test]
async fn daemon_on_a_small_disk() {
    let Some(disk) = std::env::var_os("CLAVIGER_TEST_SMALL_DISK").map(PathBuf::from) else { return };
    let state = State::open(&disk.join("state")).unwrap();
    let (store, reserve) = (SqliteStore::open(&state).unwrap(), state.reserve_spent());
    assert!(!*reserve.borrow());
    let mut filler = fs::File::create(disk.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 4_096]).is_ok() {}
    let body = "x".repeat(20_000);
    let mut written = 0;
    let failure = loop {
        let name = key(&format!("k{written}"));
        match store.commit(Commit { body: &body, ..commit(&name, None, None, &[]) }).await {
            Ok(_) => written += 1,
            Err(failure) => break failure,
        }
    };
    assert!(*reserve.borrow() && written > 100, "{written} records were written from the reserve");
    assert!(failure.message.contains("the disk is full"), "{}", failure.message);
    assert_eq!(store.names().await.unwrap().len(), written);
    drop(filler);
    fs::remove_file(disk.join("filler")).unwrap();
    for number in written..written + 100 {
        store.commit(commit(&key(&format!("k{number}")), None, None, &[])).await.unwrap();
    }
    assert!(!*reserve.borrow(), "and the reserve is kept again");
    drop(store);
    let names = SqliteStore::open(&state).unwrap().names().await.unwrap();
    assert_eq!(names.len(), written + 100, "nothing that was acknowledged is lost");
}

/// Runs in a file system of its own where this machine lets us have one; else what can be limited is the size of files, so that
/// the reserve cannot help and everything else is the same.
#[test]
fn a_full_disk_is_lived_through_and_costs_nothing_that_was_acknowledged() {
    let disk = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
    let run = |command: &mut Command| command.env("CLAVIGER_TEST_SMALL_DISK", disk.path()).output();
    let unshare = |namespaces: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["--mount", "sh", "-c"]);
        command
    };
    let mount = "mount -t tmpfs -o size=44m none \"$CLAVIGER_TEST_SMALL_DISK\"";
    let mounts = |namespaces: &&&[&str]| run(unshare(namespaces).arg(mount)).is_ok_and(|probe| probe.status.success());
    let ways: [&[&str]; 2] = [&["--user", "--map-root-user"], &[]];
    let (mut shell, begin, daemon) = match ways.iter().find(mounts) {
        Some(namespaces) => (unshare(namespaces), mount, "daemon_on_a_small_disk"),
        None => (Command::new("sh"), "trap '' XFSZ", "daemon_with_a_limit"),
    };
    if begin != mount {
        shell.arg("-c");
    }
    let test = format!("{begin} && exec \"$0\" --exact adapters::sqlite::tests::disk::{daemon}");
    let child = run(shell.arg(test).arg(std::env::current_exe().unwrap())).unwrap();
    assert!(child.status.success(), "{daemon}: {}", String::from_utf8_lossy(&child.stdout));
}

/// The other half of the test before, where nothing can be mounted.
#[tokio::test]
async fn daemon_with_a_limit() {
    let Some(disk) = std::env::var_os("CLAVIGER_TEST_SMALL_DISK").map(PathBuf::from) else { return };
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let state = State::open(&disk).unwrap();
    let store = SqliteStore::open(&state).unwrap();
    let (body, was) = ("x".repeat(20_000), getrlimit(Resource::Fsize));
    setrlimit(Resource::Fsize, Rlimit { current: Some(1_000_000), ..was }).unwrap();
    let mut written = 0;
    let failure = loop {
        let name = key(&format!("k{written}"));
        match store.commit(Commit { body: &body, ..commit(&name, None, None, &[]) }).await {
            Ok(_) => written += 1,
            Err(failure) => break failure,
        }
    };
    assert_eq!((written > 10, failure.reason), (true, Reason::StoreFailed));
    setrlimit(Resource::Fsize, was).unwrap();
    assert_eq!(store.names().await.unwrap().len(), written);
    for number in written..written + 10 {
        store.commit(commit(&key(&format!("k{number}")), None, None, &[])).await.unwrap();
    }
    drop(store);
    let names = SqliteStore::open(&state).unwrap().names().await.unwrap();
    assert_eq!(names.len(), written + 10, "nothing that was acknowledged is lost");
}
