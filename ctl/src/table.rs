//! Rows under a heading: no lines, no colour needed to read them.

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, presets};

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// Someone must act.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// Something is under way, or not known.
pub(crate) const SLOW: Style = AnsiColor::Yellow.on_default();
/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What is read last.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// Nothing special.
pub(crate) const PLAIN: Style = Style::new();

/// The text in that style. Where colour is off, the writer takes the style away again.
pub(crate) fn styled(style: Style, text: &str) -> String {
    if text.is_empty() || style == PLAIN { text.to_owned() } else { format!("{style}{text}{style:#}") }
}

/// A table for people.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<(Style, Vec<String>)>,
}

impl Table {
    /// An empty one.
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// One more row; an empty cell is shown as a dash, so that columns can be counted by scripts.
    pub(crate) fn row(&mut self, style: Style, cells: Vec<String>) {
        let cells = cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect();
        self.rows.push((style, cells));
    }

    /// The text, each line ended.
    pub(crate) fn text(&self) -> String {
        let styles = std::iter::once(HEADING).chain(self.rows.iter().map(|(style, _)| *style));
        let mut text = String::new();
        for (line, style) in self.plain().lines().zip(styles) {
            text.push_str(&styled(style, line.trim_end()));
            text.push('\n');
        }
        text
    }

    fn plain(&self) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(&self.heading);
        for (_, cells) in &self.rows {
            table.add_row(cells);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.trim_fmt()
    }
}

/// Lines of at most `width` characters, each after `indent`; words are never cut.
pub(crate) fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::from(indent);
    for word in text.split_whitespace() {
        let begun = line.len() > indent.len();
        if begun && line.chars().count() + 1 + word.chars().count() > width {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from(indent);
        } else if begun {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.len() > indent.len() {
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let mut table = Table::new(&["NAME", "READY"]);
        table.row(PLAIN, vec!["a-long-name".to_owned(), String::new()]);
        table.row(PLAIN, vec!["b".to_owned(), "True".to_owned()]);
        assert_eq!(
            anstream::adapter::strip_str(&table.text()).to_string(),
            "NAME         READY\na-long-name  -\nb            True\n"
        );
    }

    #[test]
    fn words_are_wrapped_and_never_cut() {
        assert_eq!(wrapped("one two three", "  ", 9), "  one two\n  three\n");
        assert_eq!(wrapped("averyveryverylongword x", "", 5), "averyveryverylongword\nx\n");
        assert_eq!(wrapped("", "  ", 9), "");
    }
}
