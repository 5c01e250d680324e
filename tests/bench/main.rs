//! Counts and ratios, never a timed test: what a certificate, a renewal and a thousand host names cost in calls, writes and bytes,
//! and what a fleet costs in memory. `tests/run --bench` builds it for release and runs it; `claviger-bench NAME [COUNT]` runs a part.

mod clock;
mod cluster;
mod costs;
mod fleet;
mod memory;
mod pace;

use std::{io::Write, process::ExitCode};

use anyhow::Result;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (only, count) = (arguments.next(), arguments.next().and_then(|count| count.parse().ok()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(only.as_deref(), count)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(only: Option<&str>, count: Option<u32>) -> Result<()> {
    let wants = |name| only.is_none_or(|only| only == name);
    if wants("costs") {
        costs::of_a_certificate().await?;
        costs::of_host_names().await?;
    }
    if wants("pace") {
        pace::against_pebble().await?;
    }
    if wants("memory") {
        memory::of_fleets(count).await?;
    }
    if wants("bursts") {
        cluster::bursts().await?;
    }
    if wants("fleets") {
        cluster::fleets(count).await?;
    }
    if wants("outages") {
        cluster::outages().await?;
    }
    Ok(())
}

/// One line of the result.
fn say(line: &str) {
    // Nobody reads it any more: there is nobody to tell of that either.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A heading.
fn heading(text: &str) {
    say(&format!("\n## {text}"));
}
