//! Hooks: what they get, what they say, and how they end.

use super::*;
async fn reload(command: &[&str], timeout: Span) -> (World, ReloadSeen) {
    let world = World::with_hooks(&[("hook", command, timeout)]);
    let seen = world.outlet.reload(&target("web", "0600", Some("hook"))).await.unwrap();
    (world, seen)
}

fn words(seen: &ReloadSeen) -> &str {
    match seen {
        ReloadSeen::Failed(words) => words,
        ReloadSeen::Succeeded => "succeeded",
    }
}

#[tokio::test]
async fn a_hook_gets_three_words_a_path_and_nothing_of_ours() {
    let script = "env | sort > seen; pwd >> seen; cat >> seen; echo \"group $(ps -o pgid= $$)\" >/dev/null";
    let (world, seen) = reload(&["sh", "-c", script], Span::seconds(20)).await;
    assert_eq!(seen, ReloadSeen::Succeeded);
    let text = fs::read_to_string(world.folder.path().join("seen")).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let ours = ["CLAVIGER_CERTIFICATE", "CLAVIGER_DIRECTORY", "CLAVIGER_OUTLET", "PATH"];
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| ours.contains(name) || shells.contains(name)), "{names:?}");
    let directory = world.path("web");
    for line in [
        format!("CLAVIGER_DIRECTORY={}", directory.display()),
        format!("CLAVIGER_CERTIFICATE={}/tls.crt", directory.display()),
        "CLAVIGER_OUTLET=nginx".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert_eq!(text.lines().last().unwrap(), world.folder.path().to_str().unwrap());
}

#[tokio::test]
async fn a_hook_that_fails_says_how_and_what_it_printed_safely() {
    let (_world, seen) =
        reload(&["sh", "-c", "printf 'bad \\033[31mcolour\\n'; echo oops >&2; exit 3"], Span::seconds(20)).await;
    assert_eq!(words(&seen), r"ended with status 3; it printed: bad \u{1b}[31mcolour\noops");
    let (_world, seen) = reload(&["sh", "-c", "kill -9 $$"], Span::seconds(20)).await;
    assert_eq!(words(&seen), "was ended by signal 9");
    let (_world, seen) = reload(&["no-such-program"], Span::seconds(20)).await;
    assert!(words(&seen).starts_with("cannot start `no-such-program`: "), "{seen:?}");
}

#[tokio::test]
async fn only_the_end_of_a_flood_is_kept() {
    let (_world, seen) =
        reload(&["sh", "-c", "yes flood | head -c 3000000; echo the end; exit 1"], Span::seconds(20)).await;
    assert!(words(&seen).len() < 3_000 && words(&seen).ends_with("the end"), "{seen:?}");
}

#[tokio::test]
async fn a_program_may_lie_beside_the_settings() {
    let world = World::with_hooks(&[("hook", &["./reload.sh", "a"], Span::seconds(20))]);
    let script = world.folder.path().join("reload.sh");
    fs::write(&script, "#!/bin/sh\ntest \"$1\" = a\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let seen = world.outlet.reload(&target("web", "0600", Some("hook"))).await.unwrap();
    assert_eq!(seen, ReloadSeen::Succeeded);
}

/// Whether a process is there and no zombie.
fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn gone(pid: &str) -> bool {
    for _ in 0..200 {
        if !alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_hook_that_hangs_is_ended_with_everything_that_it_started() {
    let script = "trap '' TERM; sleep 600 & echo $! > child; echo $$ > self; wait; sleep 600";
    let (world, seen) = reload(&["sh", "-c", script], Span::seconds(1)).await;
    assert!(words(&seen).starts_with("ended by force after 1 seconds"), "{seen:?}");
    for file in ["self", "child"] {
        let pid = fs::read_to_string(world.folder.path().join(file)).unwrap();
        assert!(gone(&pid).await, "{file}");
    }
}

#[tokio::test]
async fn a_hook_that_is_asked_to_end_may_clean_up() {
    let script = "trap 'echo cleaned > seen; exit 0' TERM; echo started > begun; while :; do sleep 0.05; done";
    let (world, seen) = reload(&["sh", "-c", script], Span::seconds(1)).await;
    assert!(words(&seen).starts_with("ended by force"), "{seen:?}");
    assert_eq!(fs::read_to_string(world.folder.path().join("seen")).unwrap(), "cleaned\n");
}

#[tokio::test]
async fn what_a_hook_leaves_behind_holds_nobody_up_and_ends_with_it() {
    let (world, seen) = reload(&["sh", "-c", "sleep 600 & echo $! > child"], Span::seconds(60)).await;
    assert_eq!(seen, ReloadSeen::Succeeded);
    let pid = fs::read_to_string(world.folder.path().join("child")).unwrap();
    assert!(gone(&pid).await);
}

#[tokio::test]
async fn a_hook_that_nobody_waits_for_any_more_ends() {
    let world = World::with_hooks(&[("hook", &["sh", "-c", "echo $$ > self; exec sleep 600"], Span::seconds(600))]);
    let file = world.folder.path().join("self");
    let target = target("web", "0600", Some("hook"));
    let mut running = world.outlet.reload(&target);
    while fs::read_to_string(&file).unwrap_or_default().is_empty() {
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut running).await.is_err());
    }
    drop(running);
    assert!(gone(&fs::read_to_string(&file).unwrap()).await);
}

#[tokio::test]
async fn a_hook_that_the_settings_do_not_know_is_told() {
    let world = World::new();
    let failure = world.outlet.reload(&target("web", "0600", Some("apache"))).await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::SettingMissing, Retry::Never));
    assert!(failure.message.contains("no hook `apache`"));
    assert_eq!(world.outlet.reload(&web()).await.unwrap(), ReloadSeen::Succeeded, "no hook, nothing to run");
}
