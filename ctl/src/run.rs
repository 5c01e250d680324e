//! From the words that were typed to an exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::{
    args::{Arguments, Command, Format, HostnameCommand},
    commands,
    failure::{Exit, Failure},
    fleet::Fleet,
    print::Printer,
};

/// Do what was typed.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => return not_a_command(&words, &error),
    };
    let global = &arguments.global;
    let mut printer = Printer::new(global.output, global.no_color);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|source| Failure::Write { source })
        .and_then(|runtime| runtime.block_on(act(&arguments, &mut printer)));
    match ended {
        Ok(exit) => exit.code().into(),
        Err(failure) => failed(&mut printer, &failure),
    }
}

async fn act(arguments: &Arguments, printer: &mut Printer) -> Result<Exit, Failure> {
    if printer.format() == Format::Zone && !writes_zones(&arguments.command) {
        return Err(no_zone());
    }
    match &arguments.command {
        Command::Audit(audit) => return commands::audit::run(printer, audit),
        Command::Completion(completion) => return commands::completion::run(printer, completion),
        Command::Version(version) if version.client => return commands::version::run(None, printer).await,
        _ => {}
    }
    let fleet = Fleet::new(&arguments.global).await?;
    match &arguments.command {
        Command::Apply(apply) => commands::apply::run(&fleet, printer, apply).await,
        Command::Audit(_) | Command::Completion(_) => Ok(Exit::Fine), // they ask nobody
        Command::Explain(object) => commands::explain::run(&fleet, printer, object).await,
        Command::Get(get) => commands::get::run(&fleet, printer, get).await,
        Command::Hostname(hostname) => commands::hostname::run(&fleet, printer, hostname).await,
        Command::Inventory => commands::inventory::run(&fleet, printer).await,
        Command::Keys => commands::keys::run(&fleet, printer).await,
        Command::Plan(plan) => commands::plan::run(&fleet, printer, plan).await,
        Command::Renew(renew) => commands::renew::run(&fleet, printer, renew).await,
        Command::Status(status) => commands::status::run(&fleet, printer, status).await,
        Command::Version(_) => commands::version::run(Some(&fleet), printer).await,
        Command::Wait(wait) => commands::wait::run(&fleet, printer, wait).await,
    }
}

fn failed(printer: &mut Printer, failure: &Failure) -> ExitCode {
    printer.failure(failure);
    failure.exit().into()
}

const fn writes_zones(command: &Command) -> bool {
    matches!(command, Command::Hostname(hostname) if matches!(hostname.command, HostnameCommand::Records(_)))
}

fn no_zone() -> Failure {
    Failure::Usage {
        message: "`-o zone` is for `hostname records` alone".to_owned(),
        hint: "use one of table, wide, json, yaml, name".to_owned(),
    }
}

/// A help text was asked for, or what was typed cannot be read. Then the flags are not known either, and are looked for by hand.
fn not_a_command(words: &[OsString], error: &clap::Error) -> ExitCode {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let format = if asks_for_json(&words) { Format::Json } else { Format::Table };
    let mut printer = Printer::new(format, words.contains(&"--no-color"));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match printer.text(&error.render().ansi().to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failed(&mut printer, &failure),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            printer.say_laid_out(&error.render().ansi().to_string());
            2.into()
        }
        _ => failed(&mut printer, &usage(&error.render().to_string(), &verb(&words))),
    }
}

fn asks_for_json(words: &[&str]) -> bool {
    let split = |pair: &[&str]| matches!(pair, ["-o" | "--output", "json"]);
    let joined = |word: &&str| matches!(*word, "-ojson" | "-o=json" | "--output=json");
    words.windows(2).any(split) || words.iter().any(joined)
}

/// The parser's words in the shape of all other errors: what is wrong in one line, then what to do.
fn usage(rendered: &str, verb: &str) -> Failure {
    let mut paragraphs = rendered.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let first = paragraphs.next().unwrap_or_default();
    let rest: Vec<String> = paragraphs.collect();
    let begun_with = |word: &str| rest.iter().find_map(|paragraph| paragraph.strip_prefix(word).map(str::to_owned));
    let hint = begun_with("tip: ")
        .map(|tip| tip.replace('\'', "`"))
        .or_else(|| begun_with("Usage: ").map(|usage| format!("the way to write it is `{usage}`")))
        .unwrap_or_else(|| format!("`{verb} --help` shows what is accepted, with an example"));
    let message = first.strip_prefix("error: ").unwrap_or(&first).replace('\'', "`");
    Failure::Usage { message, hint }
}

/// The command that was meant, as far as it can be followed.
fn verb(words: &[&str]) -> String {
    let mut command = &Arguments::command();
    let mut path = command.get_name().to_owned();
    for word in words.iter().skip(1) {
        if let Some(found) = command.find_subcommand(word) {
            command = found;
            path = format!("{path} {word}");
        }
    }
    path
}
