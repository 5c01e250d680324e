//! Runs the reload hook of an outlet.
//!
//! No shell, nothing of our own environment, no input, a process group of its own. When its time is up the group is asked to end
//! and five seconds later ended. Whatever a hook leaves behind in its group ends with it: a server that must stay is started by
//! what looks after servers.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use claviger_config::settings::Hook;
use claviger_core::domain::effect::ReloadSeen;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{io::AsyncReadExt as _, net::unix::pipe, time};

/// What a hook may know.
pub(super) struct Context<'a> {
    /// The outlet's name.
    pub(super) outlet: &'a str,
    /// The outlet's folder.
    pub(super) directory: &'a Path,
    /// The folder of the settings: what a relative program is relative to, and where it runs.
    pub(super) base: &'a Path,
}

/// Runs it to its end.
pub(super) async fn run(hook: &Hook, context: &Context<'_>) -> ReloadSeen {
    match Running::start(hook, context) {
        Ok(running) => running.finish(Duration::from_millis(u64::try_from(hook.timeout.0).unwrap_or(0))).await,
        Err(cause) => {
            let program = hook.command.first().map_or("", String::as_str);
            ReloadSeen::Failed(format!(
                "cannot start `{program}`: {cause}; name a program that clavigerd's user may run"
            ))
        }
    }
}

struct Running {
    child: Child,
    group: Pid,
    output: pipe::Receiver,
    tail: Tail,
}

impl Running {
    fn start(hook: &Hook, context: &Context<'_>) -> io::Result<Self> {
        let (program, arguments) = hook.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        let child = Command::new(program_path(program, context.base))
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("CLAVIGER_OUTLET", context.outlet)
            .env("CLAVIGER_DIRECTORY", context.directory)
            .env("CLAVIGER_CERTIFICATE", context.directory.join("tls.crt"))
            .current_dir(if context.base.as_os_str().is_empty() { Path::new(".") } else { context.base })
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()?;
        let group = Pid::from_child(&child);
        let output = pipe::Receiver::from_owned_fd(reader.into());
        match output {
            Ok(output) => Ok(Self { child, group, output, tail: Tail::default() }),
            Err(cause) => {
                let _ = kill_process_group(group, Signal::KILL);
                let mut child = child;
                let _ = child.wait();
                Err(cause)
            }
        }
    }

    async fn finish(mut self, timeout: Duration) -> ReloadSeen {
        let in_time = self.ended_within(timeout).await;
        if !in_time {
            let _ = kill_process_group(self.group, Signal::TERM);
            self.ended_within(GRACE).await;
        }
        // The child is not reaped yet, so the number of its group cannot mean anybody else.
        let _ = kill_process_group(self.group, Signal::KILL);
        self.ended_within(GRACE).await;
        let _ = time::timeout(DRAIN, self.drain()).await;
        let tail = self.tail.words();
        match self.child.try_wait() {
            _ if !in_time => {
                ReloadSeen::Failed(format!("ended by force after {} seconds{tail}", timeout.as_secs_f32()))
            }
            Ok(Some(status)) if status.success() => ReloadSeen::Succeeded,
            Ok(Some(status)) => ReloadSeen::Failed(format!("{}{tail}", ending(status))),
            Ok(None) => ReloadSeen::Failed(format!("cannot be ended{tail}")),
            Err(cause) => ReloadSeen::Failed(format!("cannot be waited for: {cause}{tail}")),
        }
    }

    /// Waits for the program, not for what it has started, and reads meanwhile what they print.
    async fn ended_within(&mut self, limit: Duration) -> bool {
        let mut pause = Duration::from_millis(1);
        let waiting = async {
            while !self.ended() {
                // Ends when nothing came for so long; when nobody can print any more, there is only the pause.
                if time::timeout(pause, self.drain()).await.is_ok() {
                    time::sleep(pause).await;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        time::timeout(limit, waiting).await.is_ok()
    }

    /// Asks without reaping.
    fn ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.group), options), Ok(None))
    }

    /// Reads until nobody can print any more.
    async fn drain(&mut self) {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = self.output.read(&mut buffer).await {
            self.tail.push(&buffer[..length]);
        }
    }
}

impl Drop for Running {
    /// When nobody waits any more, the hook ends too.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(self.group, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// The end of what a program printed.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let surplus = self.0.len().saturating_sub(TAIL);
        self.0.drain(..surplus);
    }

    /// Safe to show: every control character is escaped, and a key that a hook prints is left out.
    fn words(&self) -> String {
        let text = without_keys(&String::from_utf8_lossy(&self.0));
        let mut safe = String::new();
        for character in text.trim().chars() {
            match character {
                '\\' => safe.push('\\'),
                shown if shown.is_control() || is_mark(shown) => safe.extend(shown.escape_default()),
                shown => safe.push(shown),
            }
        }
        if safe.is_empty() { safe } else { format!("; it printed: {safe}") }
    }
}

/// Leaves out what may be a private key in PEM, also where its beginning is cut off: the hook may read the outlet's files, and
/// what it prints is logged.
fn without_keys(text: &str) -> String {
    let mut shown = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim();
        shown.push_str(if is_armour(bare) { &word[bare.len()..] } else { word });
        if is_armour(bare) && !shown.trim_end().ends_with('…') {
            shown.push_str("… ");
        }
    }
    shown
}

/// A line of PEM is 64 letters of base64; the last one is shorter and nothing without the others.
fn is_armour(word: &str) -> bool {
    let base64 = |letter: u8| letter.is_ascii_alphanumeric() || b"+/=".contains(&letter);
    let mixed = [u8::is_ascii_uppercase, u8::is_ascii_lowercase, u8::is_ascii_digit];
    word.len() >= 48 && word.bytes().all(base64) && mixed.iter().all(|kind| word.bytes().any(|letter| kind(&letter)))
}

/// Marks that turn or hide text.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
    }
}

/// A program with a `/` in its name is relative to the settings; any other is looked for in [`PATH`].
fn program_path(program: &str, base: &Path) -> PathBuf {
    let relative = program.contains('/') && !program.starts_with('/');
    let joined = if relative { base.join(program) } else { program.into() };
    if relative { std::path::absolute(&joined).unwrap_or(joined) } else { joined }
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const GRACE: Duration = Duration::from_secs(5);
const DRAIN: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
const TAIL: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_that_a_hook_prints_is_left_out() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let mut tail = Tail::default();
        tail.push(format!("cannot load\n{key}\nnginx: test of /etc/nginx/nginx.conf failed\n").as_bytes());
        let words = tail.words();
        for line in key.lines().filter(|line| line.len() >= 48 && !line.starts_with('-')) {
            assert!(!words.contains(line), "{words}");
        }
        assert!(words.contains("cannot load") && words.contains("nginx.conf failed"), "{words}");
    }

    #[test]
    fn paths_hashes_and_serial_numbers_stay() {
        for words in ["/usr/share/ca-certificates/mozilla/x.crt", &"0123456789abcdef".repeat(4), "04AB-77", "x"] {
            assert_eq!(without_keys(words), words);
        }
    }
}
