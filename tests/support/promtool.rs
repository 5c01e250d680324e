//! What Prometheus says to our metrics, alerts and their tests.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::{Scratch, tools};

/// Judges an exposition as `/metrics` gives it; a lint is an error too.
pub fn check_metrics(exposition: &str) -> Result<()> {
    let scratch = Scratch::new("promtool")?;
    let file = std::fs::File::open(scratch.write("metrics", exposition)?)?;
    run(Command::new(tools::promtool()?).args(["check", "metrics"]).stdin(file))
}

/// Judges a file of alerts and recording rules, with every lint.
pub fn check_rules(rules: &Path) -> Result<()> {
    run(Command::new(tools::promtool()?).args(["check", "rules", "--lint=all", "--lint-fatal"]).arg(rules))
}

/// Runs a file of unit tests for rules.
pub fn test_rules(tests: &Path) -> Result<()> {
    run(Command::new(tools::promtool()?).args(["test", "rules"]).arg(tests).stdin(Stdio::null()))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run promtool")?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    ensure!(output.status.success(), "promtool refuses it:\n{said}");
    Ok(())
}
