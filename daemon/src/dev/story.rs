//! What the demonstration says: where things are, what happens, and what to type next.

use std::{fmt::Write, path::Path, time::Duration};

use claviger_config::{Kind, condition::ConditionStatus};
use claviger_sim::{Running as World, model::kms::Caller};

use crate::{shared::Shared, terminal::out};

/// Progress is told so often.
const TICK: Duration = Duration::from_millis(250);
/// After so many ticks without news it is as ready as it will be: a later start finds what somebody meddled with.
const QUIET: u32 = 24;
/// After so many ticks the closing words come in any case.
const TICKS: u32 = 160;

/// The first words.
pub(super) fn opening(folder: &Path, speed: f64, first: bool) -> String {
    let what = if first { "A fresh demonstration" } else { "The demonstration goes on" };
    let span = claviger_config::Span((speed * 1_000.0) as i64);
    format!(
        "{what} in {folder}\n\
         Simulators of AWS KMS, an ACME CA, Cloudflare and DNS run on loopback; the daemon is the real one.\n\
         Nothing here is safe or kept for long. Time runs at {span} a second.\n\n",
        folder = folder.display()
    )
}

/// Tells what happens until the fleet has settled, then what to type next.
pub(super) async fn tell(shared: &Shared, world: &World, folder: &Path, first: bool) {
    let (mut last, mut quiet) = (String::new(), 0);
    for _ in 0..TICKS {
        let count = Count::of(shared);
        let line = count.line();
        quiet = if line == last { quiet + 1 } else { 0 };
        if quiet == 0 {
            out(&format!("  {line}\n"));
            last = line;
        }
        if count.settled() || quiet == QUIET {
            break;
        }
        tokio::time::sleep(TICK).await;
    }
    if first {
        out(&switch_rotation_off(shared, world));
    }
    out(&closing(folder));
}

#[derive(Default)]
struct Count {
    of: [(u32, u32); 4],
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Environment, "environments"),
    (Kind::KmsKey, "keys"),
    (Kind::TlsCertificate, "certificates"),
    (Kind::CustomHostname, "host names"),
];

impl Count {
    fn of(shared: &Shared) -> Self {
        let mut count = Self::default();
        for (index, (kind, _)) in KINDS.iter().enumerate() {
            shared.documents.each(|name, _| count.of[index].1 += u32::from(name.kind == *kind));
            shared.fleet.each_of(*kind, |_, shown| {
                count.of[index].0 += u32::from(shown.said.ready.status == ConditionStatus::True);
            });
        }
        count
    }

    fn line(&self) -> String {
        let parts = KINDS.iter().zip(self.of).map(|((_, word), (ready, all))| format!("{word} {ready}/{all}"));
        format!("ready: {}", parts.collect::<Vec<_>>().join("   "))
    }

    /// All but the host names that are meant to be stuck.
    fn settled(&self) -> bool {
        self.of[..3].iter().all(|(ready, all)| ready == all) && self.of[3].0 + 4 >= self.of[3].1
    }
}

/// Somebody meddles: claviger will see it, say so, and not hide it by switching it on again.
fn switch_rotation_off(shared: &Shared, world: &World) -> String {
    let mut arn = None;
    shared.fleet.each_of(Kind::KmsKey, |name, shown| {
        if name.name.as_str() == "reports" {
            arn = shown.status["key"]["arn"].as_str().map(str::to_owned);
        }
    });
    let Some(arn) = arn else { return String::new() };
    let parts: Vec<&str> = arn.split(':').collect();
    let &[_, _, _, region, account, _] = parts.as_slice() else { return String::new() };
    let somebody = Caller {
        account: account.to_owned(),
        region: region.to_owned(),
        principal: format!("arn:aws:iam::{account}:user/somebody"),
    };
    let input = serde_json::json!({ "KeyId": arn });
    let switched = world.kms().call(shared.clock.now().0, &somebody, "DisableKeyRotation", &input).is_ok();
    let _ = world.keep();
    if switched { format!("\n  Somebody just switched the rotation of {arn} off.\n") } else { String::new() }
}

fn closing(folder: &Path) -> String {
    let socket = super::socket(folder);
    let mut text = String::from("\nIt runs. In another terminal, type:\n\n");
    let _ = writeln!(text, "  export CLAVIGER_SOCKET={}", socket.display());
    for (command, why) in [
        ("clavigerctl status", "what someone must know, worst first"),
        ("clavigerctl explain customhostname/larch", "why this one is stuck, and whose turn it is"),
        ("clavigerctl get certificates", "certificates, when they expire and renew"),
        ("clavigerctl keys", "keys, their state and rotation"),
        ("clavigerctl hostname add www.new.example --tenant new", "onboard a customer"),
        ("clavigerctl renew certificate/web -n staging --dry-run", "what a renewal would do and cost"),
    ] {
        let _ = writeln!(text, "  {command:<58} # {why}");
    }
    let _ = writeln!(
        text,
        "  openssl x509 -noout -subject -enddate -in {}/certificates/staging-web/tls.crt",
        folder.display()
    );
    text.push_str("\nCtrl-C ends it.\n");
    text
}
