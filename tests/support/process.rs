use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Scratch, wait_until};

/// A program about to be started, with a folder of its own.
#[derive(Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    scratch: Scratch,
    shows_tail: bool,
}

impl Program {
    /// Names the program, and makes its folder.
    pub fn new(name: &str, path: impl Into<PathBuf>) -> Result<Self> {
        let (path, scratch) = (path.into(), Scratch::new(name)?);
        let shows_tail = true;
        Ok(Self { name: name.into(), path, arguments: vec![], environment: vec![], scratch, shows_tail })
    }

    /// The folder, for files that the program is to read. It is the program's working directory, home and temporary
    /// folder, and holds its `stdout` and `stderr`.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Adds one argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable. Of the test's own environment a program sees `PATH` alone.
    #[must_use]
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Lets the program read this from standard input.
    pub fn standard_input(self, text: &str) -> Result<Self> {
        self.scratch.write(INPUT, text)?;
        Ok(self)
    }

    /// Says nothing of what the program printed when it ends: for benchmarks, whose output nobody captures.
    #[must_use]
    pub fn without_tail(mut self) -> Self {
        self.shows_tail = false;
        self
    }

    /// Starts the program; standard input is empty unless given.
    pub fn start(self) -> Result<Process> {
        let child = self.spawn()?;
        Ok(Process { program: self, child })
    }

    fn spawn(&self) -> Result<Child> {
        let command = self.command().with_context(|| format!("cannot log what `{}` says", self.name))?;
        spawn(command).with_context(|| format!("cannot start `{}`", self.path.display()))
    }

    /// `setpriv` lets the kernel end the program when the test's process dies, even by SIGKILL, so that none outlives it.
    fn command(&self) -> io::Result<Command> {
        let folder = self.scratch.path();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.path).args(&self.arguments);
        command.env_clear().env("LANG", "C.UTF-8").env("HOME", folder).env("TMPDIR", folder);
        for name in ["PATH", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).current_dir(folder);
        command.stdin(self.input()?).stdout(log(folder, "stdout")?).stderr(log(folder, "stderr")?);
        Ok(command)
    }

    fn input(&self) -> io::Result<Stdio> {
        match File::open(self.scratch.path().join(INPUT)) {
            Ok(file) => Ok(file.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stdio::null()),
            Err(error) => Err(error),
        }
    }
}

const INPUT: &str = "stdin";

/// A running program; ended when dropped. What it said last is shown with the test that fails.
#[derive(Debug)]
pub struct Process {
    program: Program,
    child: Child,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.program.scratch.path()
    }

    /// Waits until the program answers, by the test's own idea of an answer. Fails at once when it ends instead.
    pub async fn ready(&mut self, deadline: Duration, mut answers: impl AsyncFnMut() -> bool) -> Result<()> {
        let what = format!("`{}` to answer", self.program.name);
        let mut ended = None;
        let waited = wait_until(deadline, &what, async || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || answers().await
        });
        waited.await.with_context(|| self.tail())?;
        match ended {
            Some(status) => bail!("`{}` ended ({status}) before it answered\n{}", self.program.name, self.tail()),
            None => Ok(()),
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it has ended.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("`{}` to end", self.program.name);
        wait_until(deadline, &what, async || !matches!(self.child.try_wait(), Ok(None))).await?;
        Ok(self.child.wait()?)
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Freezes it (SIGSTOP): its connections stay open and nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen one go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it without warning (SIGKILL), as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again in the same folder, after ending it without warning if it still runs.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.child = self.program.spawn()?;
        Ok(())
    }

    /// All that it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// All that it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a process id is positive")?;
        kill_process(id, signal).with_context(|| format!("cannot signal `{}`", self.program.name))
    }

    fn tail(&self) -> String {
        ["stdout", "stderr"].map(|stream| last_lines(&self.program.name, stream, &self.read(stream))).concat()
    }

    fn read(&self, stream: &str) -> String {
        let bytes = std::fs::read(self.folder().join(stream)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the tests that fail, and with no other")]
    fn drop(&mut self) {
        // Either it has ended already, or it is ended here: there is nobody to tell of anything else.
        let _ = self.kill();
        if self.program.shows_tail {
            eprint!("{}", self.tail());
        }
    }
}

/// Starts a command from a thread that lives as long as this process.
///
/// The kernel delivers the signal of `--pdeathsig` when the *thread* that started the child ends (prctl(2)), and the
/// threads of tests and of runtimes come and go.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let (answer, child) = mpsc::channel();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel();
        std::thread::spawn(move || serve(&orders));
        sender
    });
    spawner.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

fn serve(orders: &mpsc::Receiver<Order>) {
    for (mut command, answer) in orders {
        // Whoever asked may have given up.
        let _ = answer.send(command.spawn());
    }
}

fn log(folder: &Path, stream: impl AsRef<OsStr>) -> io::Result<File> {
    File::options().create(true).append(true).open(folder.join(stream.as_ref()))
}

fn last_lines(name: &str, stream: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL);
    lines[from..].iter().map(|line| format!("{name} {stream}: {line}\n")).collect()
}

const TAIL: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        Program::new("shell", "/bin/sh").unwrap().arguments(["-c", script]).start().unwrap()
    }

    #[tokio::test]
    async fn a_program_that_ends_early_fails_at_once_and_says_what_it_printed() {
        let mut process = shell("echo I give up >&2; exit 3");
        let error = process.ready(SOON, async || false).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("shell stderr: I give up"), "{error}");
    }

    #[tokio::test]
    async fn a_program_sees_neither_standard_input_nor_the_environment() {
        let mut process = shell("cat; env");
        process.wait(SOON).await.unwrap();
        assert!(process.stdout().contains("HOME=") && !process.stdout().contains("CARGO"), "{}", process.stdout());
    }

    #[tokio::test]
    async fn a_program_reads_what_it_is_given() {
        let program = Program::new("cat", "/bin/cat").unwrap().standard_input("good morning").unwrap();
        let mut process = program.start().unwrap();
        process.wait(SOON).await.unwrap();
        assert_eq!(process.stdout(), "good morning");
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 600");
        let id = Pid::from_raw(process.id().cast_signed()).unwrap();
        drop(process);
        assert!(rustix::process::test_kill_process(id).is_err());
    }

    #[tokio::test]
    async fn a_process_survives_the_thread_that_started_it() {
        let process = std::thread::spawn(|| shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"));
        let mut process = process.join().unwrap();
        wait_until(SOON, "the shell", async || process.stdout() == "up\n").await.unwrap();
        process.terminate().unwrap();
        assert_eq!(process.wait(SOON).await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_restarted_program_finds_its_folder_again() {
        let mut process = shell("echo once more >> diary; exec sleep 600");
        let twice = async |process: &Process, text: &str| {
            let diary = process.folder().join("diary");
            let written = async || std::fs::read_to_string(&diary).is_ok_and(|found| found == text);
            wait_until(SOON, "the diary", written).await.unwrap();
        };
        twice(&process, "once more\n").await;
        process.restart().unwrap();
        twice(&process, "once more\nonce more\n").await;
    }

    #[test]
    fn only_the_last_lines_are_shown() {
        let text: String = (1..=50).map(|number| format!("line {number}\n")).collect();
        let shown = last_lines("p", "stdout", &text);
        assert!(shown.starts_with("p stdout: line 21\n") && shown.ends_with("p stdout: line 50\n"), "{shown}");
    }
}
