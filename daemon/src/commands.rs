//! From the command line to an exit code: 0 fine, 1 failed, 2 settings or documents are wrong.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use claviger_config::{
    admin::Finding,
    document::render::{Severity, render},
    settings::{self, Settings},
};

#[cfg(feature = "dev")]
use crate::adapters::clock::{FastClock, SteeredClock};
use crate::{
    adapters::{
        clock::{Pace, SystemClock},
        directory,
    },
    app::{App, Signals},
    args::{Arguments, Command},
    source::Documents,
    terminal::{failed, out, talk},
};

/// Runs the command that was asked for.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return said(error.exit_code(), error.print()),
    };
    match arguments.command {
        Command::Check(config) => check(&config.config),
        Command::Crds(crds) => definitions(crds.directory.as_deref()),
        #[cfg(feature = "dev")]
        Command::Dev(dev) => block_on(crate::dev::run(dev)),
        Command::Run(config) => run(&config.config),
        Command::Version => out(&format!("clavigerd {}\n", crate::VERSION)),
    }
}

fn said(code: i32, printed: std::io::Result<()>) -> ExitCode {
    match (code, printed) {
        (0, Ok(())) => ExitCode::SUCCESS,
        (0, Err(_)) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}

/// Threads for work that blocks: files, keys, judging. Each keeps memory of its own, and neither the disk nor the processor is faster
/// for more of them.
const BLOCKING: usize = 8;

fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING).enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            talk(&format!("error: the runtime cannot be started: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Prints the custom resource definitions, or writes them.
fn definitions(folder: Option<&Path>) -> ExitCode {
    let files = claviger_config::crd::files();
    let Some(folder) = folder else {
        return out(&files.into_iter().map(|(_, text)| format!("---\n{text}")).collect::<String>());
    };
    for (name, text) in files {
        let path = folder.join(name);
        if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)) {
            talk(&format!("error: cannot write `{}`: {error}\n", path.display()));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Reads and judges everything; contacts nobody.
fn check(file: &Path) -> ExitCode {
    let settings = match read_settings(file) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if settings.source.kubernetes.is_some() {
        // Nobody is contacted; the API server and the operator judge them.
        return out("ok: the settings; the documents are custom resources, which say in their status what is wrong\n");
    }
    let documents = Documents::new((&settings).into(), claviger_config::judge::Incumbents::default());
    let folder = settings.source.directory.as_deref().map_or_else(PathBuf::new, |folder| base(file).join(folder));
    let settled = documents.judge(&directory::read(&folder));
    talk(&render(Severity::Error, &settled.findings));
    talk(&render(Severity::Refused, &settled.refused));
    talk(&render(Severity::Note, &settled.notices));
    let count = settled.findings.len() + settled.refused.len();
    if count > 0 {
        talk(&format!("{count} finding{} in {}\n", if count == 1 { "" } else { "s" }, folder.display()));
        return ExitCode::from(2);
    }
    out(&format!("ok: {} objects in {}\n", settled.desired.objects.len(), folder.display()))
}

fn run(file: &Path) -> ExitCode {
    let settings = match read_settings(file) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let base = base(file);
    let clock = match clock() {
        Ok(clock) => clock,
        Err(why) => {
            talk(&format!("error: {why}\n"));
            return ExitCode::from(2);
        }
    };
    block_on(async move {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return failed(&error),
        };
        let started = tokio::select! {
            started = App::start(settings, &base, clock) => started.map(Some),
            () = signals.any() => Ok(None),
        };
        let code = match started {
            Ok(Some(running)) => running.until_signal(&mut signals).await,
            Ok(None) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
        crate::sight::lines::flush();
        code
    })
}

#[cfg(not(feature = "dev"))]
fn clock() -> Result<Arc<dyn Pace>, String> {
    Ok(Arc::new(SystemClock::new()))
}

/// The machine's clock. Beside simulators, whose time runs faster too, `CLAVIGER_SPEED=1d/s` makes it run faster, and tests may
/// steer it by the file that `CLAVIGER_AHEAD` names; with `CLAVIGER_SUSPENDED` set, sleepers do not see it leap, as on a machine that
/// was suspended.
#[cfg(feature = "dev")]
fn clock() -> Result<Arc<dyn Pace>, String> {
    use claviger_core::ports::Clock;
    if let Some(file) = std::env::var_os("CLAVIGER_AHEAD") {
        let steered = SteeredClock::new(PathBuf::from(file));
        let suspended = std::env::var_os("CLAVIGER_SUSPENDED").is_some();
        return Ok(Arc::new(if suspended { steered.napping(std::time::Duration::MAX) } else { steered }));
    }
    let machine = SystemClock::new();
    let Ok(text) = std::env::var("CLAVIGER_SPEED") else { return Ok(Arc::new(machine)) };
    let speed = crate::args::speed(&text).map_err(|why| format!("CLAVIGER_SPEED: {why}"))?;
    Ok(Arc::new(FastClock::new(machine.now(), speed)))
}

fn base(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn read_settings(file: &Path) -> Result<Settings, ExitCode> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| {
        talk(&format!("error: {shown} cannot be read: {error}\nhint: name the settings file with --config FILE\n"));
        ExitCode::from(2)
    })?;
    settings::read(&shown, &bytes).map_err(|findings: Vec<Finding>| {
        talk(&render(Severity::Error, &findings));
        ExitCode::from(2)
    })
}
