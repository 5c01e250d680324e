//! What can be typed. Definitions only: nothing here acts.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use claviger_config::{DnsName, EnvironmentName, Namespace, moment::Span};

use crate::way::{OfCluster, Way};

/// Ask claviger what is wrong, whose turn it is and what to do
#[derive(Debug, Parser)]
#[command(
    name = "clavigerctl",
    version,
    max_term_width = 80,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "\
Who is asked: what the flags say, else the socket in CLAVIGER_SOCKET, else
./admin.sock. In a cluster resources are read with the rights of the
kubeconfig; what only the daemon can do goes to the replica at work by a
port-forward.

Exit codes:
  0 fine, 1 error, 2 usage, 3 not found, 4 login needed, 5 denied or waiting for
  approval, 6 unhealthy (with --exit-code), 7 time-out of a wait, 8 the daemon
  cannot be reached

Example:
  clavigerctl status")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Only this namespace
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<Namespace>,
    /// Only this environment
    #[arg(short, long, global = true)]
    pub(crate) environment: Option<EnvironmentName>,
    /// How data is written: table, wide, json, yaml, name; zone for `hostname records`
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    #[arg(hide_possible_values = true)]
    pub(crate) output: Format,
    /// The daemon's socket; else CLAVIGER_SOCKET, else ./admin.sock
    #[arg(long, global = true, value_name = "PATH")]
    #[arg(conflicts_with_all = ["cluster", "kubeconfig", "context", "all_namespaces", "daemon_namespace", "port_forward"])]
    pub(crate) socket: Option<PathBuf>,
    /// Never use colour; NO_COLOR does the same, FORCE_COLOR the opposite
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    #[command(flatten)]
    pub(crate) of_cluster: OfCluster,
}

impl Global {
    /// Who is asked.
    pub(crate) fn way(&self) -> Way {
        self.of_cluster.way(self.socket.as_deref(), std::env::var_os("CLAVIGER_SOCKET"), self.namespace.as_ref())
    }
}

/// How data is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people, at 80 columns
    Table,
    /// For people, everything, with absolute times
    Wide,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
    /// Only names, one a line
    Name,
    /// Lines for a zone file (`hostname records` alone)
    Zone,
}

impl Format {
    /// Whether a person reads it.
    pub(crate) const fn is_prose(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Is anything wrong, since when, whose turn is it, how long until it hurts
    #[command(after_help = "Example:\n  clavigerctl status --exit-code || echo 'somebody must look'")]
    Status(Status),
    /// List resources of a kind, or show one
    #[command(after_help = "Example:\n  clavigerctl get certificates -e staging -o wide")]
    Get(Get),
    /// Explain one resource from end to end: the way, the cause, what comes next
    #[command(after_help = "Example:\n  clavigerctl explain certificate/web -n staging")]
    Explain(Object),
    /// Renew a certificate now, or put a key's rotation back as its document says
    #[command(after_help = "\
Example:
  clavigerctl renew certificate/web -n staging --dry-run
  clavigerctl renew certificate/web -n staging --reason 'the key was seen in a log'")]
    Renew(Renew),
    /// Show what a change would do and cost, without doing it
    #[command(after_help = "Example:\n  clavigerctl plan renew certificate/web -n staging")]
    Plan(Plan),
    /// Execute a plan as it stands, or not at all
    #[command(after_help = "\
Example:
  clavigerctl apply \"$(clavigerctl plan renew certificate/web -o name)\" --reason drill")]
    Apply(Apply),
    /// Wait until something holds for a resource
    #[command(after_help = "Example:\n  clavigerctl wait --for ready certificate/web -n staging --timeout 5m")]
    Wait(Wait),
    /// Customers' host names at an environment's edge
    #[command(arg_required_else_help = true, disable_help_subcommand = true)]
    #[command(after_help = "Example:\n  clavigerctl hostname add shop.customer.example --tenant customer-gmbh --wait")]
    Hostname(Hostname),
    /// All keys: state, age, last and next rotation
    #[command(after_help = "Example:\n  clavigerctl keys -e production")]
    Keys,
    /// Certificates that claviger did not issue, and when they end
    #[command(after_help = "Example:\n  clavigerctl inventory -e staging -o wide")]
    Inventory,
    /// The audit journal
    #[command(arg_required_else_help = true, disable_help_subcommand = true)]
    #[command(after_help = "Example:\n  clavigerctl audit verify state/audit.jsonl")]
    Audit(Audit),
    /// The versions of the command line and of the daemon
    #[command(after_help = "Example:\n  clavigerctl version -o json")]
    Version(Version),
    /// Print a script that completes commands in your shell
    #[command(after_help = "Example:\n  source <(clavigerctl completion bash)")]
    Completion(Completion),
}

/// `status`
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// End with 6 when anything is wrong or unknown
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// `get`
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// For example `certificates`, `keys`, `hostnames` or `environments`; KIND/NAME too
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
    /// Only this one
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// One resource.
#[derive(Args, Debug)]
pub(crate) struct Object {
    /// Which; the namespace is looked up when it is left out
    #[arg(value_name = "KIND/[NAMESPACE/]NAME")]
    pub(crate) object: String,
}

/// `renew`
#[derive(Args, Debug)]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) object: Object,
    /// Show the plan and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why; it goes into the audit journal
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    pub(crate) reason: String,
    /// A ticket; it goes into the audit journal
    #[arg(long, value_name = "ID")]
    pub(crate) ticket: Option<String>,
}

/// `plan`
#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// What shall be done
    #[arg(value_parser = verb())]
    pub(crate) verb: claviger_config::admin::Verb,
    #[command(flatten)]
    pub(crate) object: Object,
}

/// `apply`
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// The hash that `plan` or `renew --dry-run` printed
    pub(crate) hash: String,
    /// Why; it goes into the audit journal
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// A ticket; it goes into the audit journal
    #[arg(long, value_name = "ID")]
    pub(crate) ticket: Option<String>,
}

/// `wait`
#[derive(Args, Debug)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) object: Object,
    /// What shall hold
    #[arg(long, value_enum, value_name = "CONDITION", default_value_t = Awaited::Ready)]
    pub(crate) r#for: Awaited,
    /// How long at most
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: Span,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Awaited {
    /// What is delivered satisfies the current document
    Ready,
    /// Nothing planned is late
    OnSchedule,
}

/// `hostname`
#[derive(Args, Debug)]
pub(crate) struct Hostname {
    #[command(subcommand)]
    pub(crate) command: HostnameCommand,
}

/// What can be asked about host names.
#[derive(Debug, Subcommand)]
pub(crate) enum HostnameCommand {
    /// Ask for a host name and say what its owner must do; asking twice is harmless
    #[command(after_help = "\
Example:
  clavigerctl hostname add shop.customer.example --tenant customer-gmbh -e production")]
    Add(HostnameAdd),
    /// Ask DNS and the edge again, now, and say what is to be fixed
    #[command(after_help = "Example:\n  clavigerctl hostname check shop.customer.example --exit-code")]
    Check(HostnameCheck),
    /// List the host names of an environment
    #[command(after_help = "Example:\n  clavigerctl hostname list -e production --tenant customer-gmbh")]
    List(HostnameList),
    /// Show the DNS records that the owner of a host name must have
    #[command(after_help = "Example:\n  clavigerctl hostname records shop.customer.example -o zone")]
    Records(HostnameOne),
    /// Ask for a host name no longer
    #[command(after_help = "Example:\n  clavigerctl hostname remove shop.customer.example -e production")]
    Remove(HostnameOne),
}

/// One host name.
#[derive(Args, Debug)]
pub(crate) struct HostnameOne {
    /// The host name
    pub(crate) hostname: DnsName,
}

/// `hostname add`
#[derive(Args, Debug)]
pub(crate) struct HostnameAdd {
    /// The host name
    pub(crate) hostname: DnsName,
    /// Whose it is; a host name has one tenant for life
    #[arg(long)]
    pub(crate) tenant: String,
    /// How control is proven; the edge's default when left out
    #[arg(long, value_parser = validation(), value_name = "METHOD")]
    pub(crate) validation: Option<claviger_config::hostname::Validation>,
    /// Your own reference, given back unchanged
    #[arg(long, value_name = "TEXT")]
    pub(crate) reference: Option<String>,
    /// Wait until it serves
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long at most, with --wait
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "wait")]
    pub(crate) timeout: Span,
}

/// `hostname check`
#[derive(Args, Debug)]
pub(crate) struct HostnameCheck {
    /// The host name
    pub(crate) hostname: DnsName,
    /// End with 6 unless it serves
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// `hostname list`
#[derive(Args, Debug)]
pub(crate) struct HostnameList {
    /// Only the host names of this tenant
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

/// `audit`
#[derive(Args, Debug)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What can be done with the audit journal.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of a journal; needs no daemon and trusts none
    #[command(after_help = "Example:\n  clavigerctl audit verify state/audit.jsonl")]
    Verify(AuditVerify),
}

/// `audit verify`
#[derive(Args, Debug)]
pub(crate) struct AuditVerify {
    /// The journal, one JSON object a line; `-` reads from standard input
    pub(crate) file: PathBuf,
    /// A head that was kept elsewhere: it must be in the chain, else lines are missing
    #[arg(long, value_name = "SHA256")]
    pub(crate) includes: Option<String>,
}

/// `version`
#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Do not ask the daemon
    #[arg(long)]
    pub(crate) client: bool,
}

/// `completion`
#[derive(Args, Debug)]
pub(crate) struct Completion {
    /// Your shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

fn verb() -> impl TypedValueParser<Value = claviger_config::admin::Verb> {
    use claviger_config::admin::Verb;
    PossibleValuesParser::new(["renew"]).map(|_| Verb::Renew)
}

fn validation() -> impl TypedValueParser<Value = claviger_config::hostname::Validation> {
    use claviger_config::hostname::Validation;
    const ALL: [Validation; 3] = [Validation::Http, Validation::Txt, Validation::Delegated];
    PossibleValuesParser::new(ALL.map(Validation::word))
        .map(|word| ALL.into_iter().find(|validation| validation.word() == word).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_help_ends_with_an_example() {
        check(&mut Arguments::command(), "clavigerctl");
    }

    fn check(command: &mut clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        let (_, example) = help.rsplit_once("Example:").unwrap_or_else(|| panic!("`{path}` has no example"));
        assert!(example.contains("clavigerctl"), "{path}");
        assert!(!example.contains("Options:"), "`{path}` goes on after its example");
        for command in command.get_subcommands_mut() {
            let path = format!("{path} {}", command.get_name());
            check(command, &path);
        }
    }
}
