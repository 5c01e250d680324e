//! `completion`: a script for the shell, made of the definitions in `args`.

use clap::CommandFactory;

use crate::{
    args::{Arguments, Completion},
    failure::{Exit, Failure},
    print::Printer,
};

/// Print it.
pub(crate) fn run(printer: &mut Printer, arguments: &Completion) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "clavigerctl", &mut script);
    printer.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Fine)
}
