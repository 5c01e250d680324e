//! What is said to whoever started the daemon: results on standard output, talk on standard error.

use std::{io::Write, process::ExitCode};

use claviger_config::document::render::{Severity, render};

use crate::start::StartError;

/// Writes what was asked for.
pub(crate) fn out(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes talk; when that is impossible there is nobody to tell.
pub(crate) fn talk(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Says why it did not start.
pub(crate) fn failed(error: &StartError) -> ExitCode {
    if let StartError::Documents(findings) = error {
        talk(&render(Severity::Error, findings));
    }
    talk(&format!("error: {error}\n"));
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        talk(&format!("  because: {deeper}\n"));
        cause = deeper.source();
    }
    ExitCode::from(error.exit_code())
}
