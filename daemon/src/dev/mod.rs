//! `clavigerd dev`: the same app, given the addresses of simulators. There is no other path inside the daemon.
//!
//! Everything lies below one folder: settings, documents, secrets, certificates, state, socket, and the simulators' own state, so
//! that it can be killed and goes on. Nothing here is kept safe: the simulators sign and encrypt with keys in plain files.

mod seed;
mod story;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use claviger_config::{Moment, Span, settings};
use claviger_core::ports::Clock;
use claviger_sim::{Options, Running as World};

use crate::{
    adapters::clock::{FastClock, SystemClock},
    app::{App, Signals},
    args::Dev,
    terminal::{failed, out, talk},
};

/// A minute a second, so that what takes minutes outside is seen in seconds.
const SPEED: f64 = 60.0;
/// How often the time is written down.
const KEEP: Duration = Duration::from_millis(200);
/// More than passes between two of these times, also on a machine that is busy.
const MISSED: Duration = Duration::from_secs(2);

/// Runs the demonstration until it is ended.
pub async fn run(dev: Dev) -> ExitCode {
    // Before anything is there to be seen: whoever sees the folder may end this at once.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let stage = match Stage::set(&dev) {
        Ok(stage) => stage,
        Err(why) => return refuse(&why),
    };
    let code = play(&stage, &mut signals).await;
    crate::sight::lines::flush();
    if stage.temporary {
        let _ = std::fs::remove_dir_all(&stage.folder);
    }
    code
}

fn refuse(why: &str) -> ExitCode {
    talk(&format!("error: {why}\n"));
    ExitCode::FAILURE
}

/// The folder and the clock of a demonstration.
struct Stage {
    folder: PathBuf,
    temporary: bool,
    clock: Arc<FastClock>,
}

impl Stage {
    fn set(dev: &Dev) -> Result<Self, String> {
        let temporary = dev.directory.is_none();
        let folder = dev.directory.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("claviger-dev-{:08x}", SystemClock::new().draw() & 0xffff_ffff))
        });
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| format!("{} cannot be made: {error}\nhint: name another --directory", folder.display()))?;
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        let kept = std::fs::read_to_string(folder.join("clock")).ok().and_then(|text| text.trim().parse().ok());
        let (now, speed) = (SystemClock::new().now(), dev.speed.unwrap_or(SPEED));
        // Whoever was killed had come further than what was kept last.
        let missed = Span((speed * MISSED.as_millis() as f64) as i64);
        let from = kept.map_or(now, |kept: Moment| now.max(kept + missed));
        Ok(Self { folder, temporary, clock: Arc::new(FastClock::new(from, speed)) })
    }

    /// Time never runs backwards, not even over a restart: it is kept as long as anything happens.
    async fn keep_time(&self) -> ExitCode {
        loop {
            self.keep_clock();
            tokio::time::sleep(KEEP).await;
        }
    }

    fn keep_clock(&self) {
        let (beside, at) = (self.folder.join(".clock"), self.folder.join("clock"));
        let _ = std::fs::write(&beside, format!("{}\n", self.clock.now())).and_then(|()| std::fs::rename(beside, at));
    }
}

async fn play(stage: &Stage, signals: &mut Signals) -> ExitCode {
    let first = !stage.folder.join("settings.yaml").exists();
    let (world, http01) = match start_world(stage).await {
        Ok(world) => world,
        Err(why) => return refuse(&why),
    };
    if first && let Err(error) = seed::write(&stage.folder, &world, http01, stage.clock.now()) {
        return refuse(&format!("the folder cannot be filled: {error}"));
    }
    let file = stage.folder.join("settings.yaml");
    let settings = match std::fs::read(&file).map(|bytes| settings::read(&file.display().to_string(), &bytes)) {
        Ok(Ok(settings)) => settings,
        Ok(Err(findings)) => {
            talk(&claviger_config::document::render::render(
                claviger_config::document::render::Severity::Error,
                &findings,
            ));
            return ExitCode::from(2);
        }
        Err(error) => return refuse(&format!("{}: {error}", file.display())),
    };
    out(&story::opening(&stage.folder, stage.clock.speed(), first));
    let running = match App::start(settings, &stage.folder, Arc::clone(&stage.clock) as _).await {
        Ok(running) => running,
        Err(error) => return failed(&error),
    };
    let shared = Arc::clone(running.shared());
    let told = async {
        story::tell(&shared, &world, &stage.folder, first).await;
        std::future::pending().await
    };
    let code = tokio::select! {
        code = running.until_signal(signals) => code,
        code = stage.keep_time() => code,
        () = told => ExitCode::SUCCESS,
    };
    stage.keep_clock();
    let left = if stage.temporary { "everything is removed" } else { "start it again to go on" };
    out(&format!("\nThe demonstration ends; {left}.\n"));
    world.stop().await;
    code
}

async fn start_world(stage: &Stage) -> Result<(World, SocketAddr), String> {
    let clock = Arc::clone(&stage.clock);
    let http01 = seed::http01(&stage.folder).map_or_else(free_address, Ok);
    let http01 = http01.map_err(|error| format!("no free port on loopback: {error}"))?;
    let options = Options {
        state: Some(stage.folder.join("simulators")),
        http01: Some(http01),
        ..Options::new(SystemClock::new().draw(), move || clock.now().0)
    };
    let world = claviger_sim::World::start(options).await.map_err(|error| {
        format!(
            "the simulators cannot be started: {error}\nhint: does another `clavigerd dev` run in {}?",
            stage.folder.display()
        )
    })?;
    Ok((world, http01))
}

/// A port of loopback that is free now.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("admin.sock")
}
