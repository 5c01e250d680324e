//! `version`: both builds, because they may differ.

use claviger_config::admin::VersionView;
use serde_json::{Value, json};

use crate::{
    failure::{Exit, Failure},
    fleet::{Fleet, read},
    print::Printer,
};

/// Show them. Without a daemon the own version is shown all the same.
pub(crate) async fn run(fleet: Option<&Fleet>, printer: &mut Printer) -> Result<Exit, Failure> {
    let own = VersionView::of(env!("CARGO_PKG_VERSION"));
    let daemon = match fleet {
        Some(fleet) => fleet.client.get(PATH).await,
        None => Ok(Value::Null),
    };
    let mut answer = json!({"kind": "Version", "client": own});
    if let Ok(view @ Value::Object(_)) = &daemon {
        answer["daemon"] = view.clone();
    }
    if !printer.as_data(&answer)? {
        printer.text(&line("clavigerctl", &own))?;
        if let Some(view) = answer.get("daemon") {
            printer.text(&line("clavigerd", &read(PATH, view)?))?;
        }
    }
    daemon.map(|_| Exit::Fine)
}

fn line(program: &str, view: &VersionView) -> String {
    format!("{program:<11}  {}  {}\n", view.version, view.api_version)
}

const PATH: &str = "/v1/version";
