//! The one place that writes: data to standard output, talk to standard error.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::{args::Format, failure::Failure, table::styled};

/// Both streams, and how data is written.
#[derive(Debug)]
pub(crate) struct Printer {
    data: AutoStream<io::Stdout>,
    talk: AutoStream<io::Stderr>,
    format: Format,
}

impl Printer {
    /// A printer that uses colour where it is wanted.
    pub(crate) fn new(format: Format, no_color: bool) -> Self {
        let choice = choice(no_color);
        Self { data: AutoStream::new(io::stdout(), choice), talk: AutoStream::new(io::stderr(), choice), format }
    }

    /// How data is written.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Write a value when programs are to read it, and say whether that was so.
    pub(crate) fn as_data(&mut self, value: &Value) -> Result<bool, Failure> {
        match self.format {
            Format::Json => self.text(&json(value)?).map(|()| true),
            Format::Yaml => self.text(&yaml(value)?).map(|()| true),
            Format::Name | Format::Table | Format::Wide | Format::Zone => Ok(false),
        }
    }

    /// Write data. A reader that has gone away, as `head` does, is no failure: what is left to do is done in silence.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.data.write_all(text.as_bytes()).and_then(|()| self.data.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|source| Failure::Write { source }),
        }
    }

    /// Say something to the person, on one line. Nothing can be done when even that fails.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.talk, "{}", clean(text)).and_then(|()| self.talk.flush());
    }

    /// Say what to do next.
    pub(crate) fn hint(&mut self, text: &str) {
        let _ = writeln!(self.talk, "{} {}", styled(HINT, "hint:"), clean(text)).and_then(|()| self.talk.flush());
    }

    /// Say something that is already laid out, such as a help text.
    pub(crate) fn say_laid_out(&mut self, text: &str) {
        let _ = self.talk.write_all(text.as_bytes()).and_then(|()| self.talk.flush());
    }

    /// Say why it could not be done.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if self.format == Format::Json
            && let Ok(view) = serde_json::to_value(failure.view())
            && let Ok(text) = json(&view)
        {
            return self.say_laid_out(&text);
        }
        let _ = writeln!(self.talk, "{} {}", styled(ERROR, "error:"), clean(&failure.chain()));
        for hint in failure.hints() {
            self.hint(&hint);
        }
    }
}

/// What the environment says about colour: `NO_COLOR` beats `FORCE_COLOR`; the rest is for the stream to find out.
fn choice(no_color: bool) -> ColorChoice {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let forced = is_set("FORCE_COLOR") && std::env::var_os("FORCE_COLOR").is_some_and(|value| value != "0");
    match (no_color || is_set("NO_COLOR"), forced) {
        (true, _) => ColorChoice::Never,
        (false, true) => ColorChoice::AlwaysAnsi,
        (false, false) => ColorChoice::Auto,
    }
}

fn json(value: &Value) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| Failure::Write { source: source.into() })
}

fn yaml(value: &Value) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value).map_err(|error| Failure::Write { source: io::Error::other(error) })?;
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// Text from elsewhere (a customer's DNS, a CA, a file) without what would steer a terminal or turn the reading direction.
pub(crate) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => cleaned.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                cleaned.extend(letter.escape_unicode());
            }
            letter if letter.is_control() => cleaned.extend(letter.escape_unicode()),
            letter => cleaned.push(letter),
        }
    }
    cleaned
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown_instead_of_obeyed() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{202e}d\u{9b}"), "a\\u{1b}[2Jb\\u{d} c\\u{202e}d\\u{9b}");
        assert_eq!(clean("grüße, `x`"), "grüße, `x`");
    }

    #[test]
    fn yaml_reads_back_as_what_it_was() {
        let value = serde_json::json!({"a": "yes", "b": ["0600", "1e3", "null", "- x: #y", "", "line\nline"], "c": {}, "d": []});
        let text = yaml(&value).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&text).unwrap(), value, "{text}");
    }
}
