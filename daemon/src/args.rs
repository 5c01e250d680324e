//! The command line of clavigerd: definitions only.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The keeper of the keys: one daemon for a company's keys and TLS certificates.
#[derive(Debug, Parser)]
#[command(name = "clavigerd", version = crate::VERSION, after_help = "Example:\n  clavigerd dev\n  clavigerd run --config /etc/claviger/settings.yaml")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What clavigerd can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read and judge settings and documents; contact nobody. Ends with 0, or with 2 and every error at once.
    #[command(after_help = "Example:\n  clavigerd check --config settings.yaml")]
    Check(Config),
    /// Print the custom resource definitions, or write them into a folder.
    #[command(after_help = "Example:\n  clavigerd crds | kubectl apply --server-side -f -")]
    Crds(Crds),
    /// Show the whole job on this machine: simulators of AWS KMS, an ACME CA, Cloudflare and DNS, and the very same daemon on them.
    #[cfg(feature = "dev")]
    #[command(after_help = "Example:\n  clavigerd dev --directory ./demo --speed 1d/s")]
    Dev(Dev),
    /// Run the daemon.
    #[command(after_help = "Example:\n  clavigerd run --config settings.yaml")]
    Run(Config),
    /// Print the release.
    #[command(after_help = "Example:\n  clavigerd version")]
    Version,
}

/// Where the settings are.
#[derive(Args, Debug)]
pub struct Config {
    /// The settings file. Relative paths in it are relative to it.
    #[arg(long, value_name = "FILE", env = "CLAVIGER_CONFIG")]
    pub config: PathBuf,
}

/// Where the definitions go.
#[derive(Args, Debug)]
pub struct Crds {
    /// Write one file for each kind into this folder. Default: all of them to standard output.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// How the demonstration runs.
#[cfg(feature = "dev")]
#[derive(Args, Debug)]
pub struct Dev {
    /// Keep everything below this folder, and go on there at the next start. Default: a temporary folder that is removed.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// How fast time runs, for example `1d/s`: a day a second. Default: as everywhere.
    #[arg(long, value_name = "SPAN/s", value_parser = speed)]
    pub speed: Option<f64>,
}

/// `1d/s`: how many seconds pass in one.
#[cfg(feature = "dev")]
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let bad =
        || format!("found `{text}`, accepted: a duration and `/s`, for example `1d/s` or `10m/s`; at most `30d/s`");
    let span: claviger_config::Span = text.strip_suffix("/s").ok_or_else(bad)?.parse().map_err(|_| bad())?;
    if span > claviger_config::Span::days(30) { Err(bad()) } else { Ok(span.0 as f64 / 1_000.0) }
}
