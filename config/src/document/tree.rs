//! YAML as a tree in which every node knows its line and column.
//!
//! Only what a document needs is there: maps, lists and scalars.

use serde_json::{Map, Number};

use crate::{admin::Finding, desired::Place};

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct At {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl At {
    /// The same in a file.
    pub fn of(self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column }
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Already refused; nothing more is said about it.
    Broken,
    /// `[a, b]` or lines with `-`.
    List(Vec<Node>),
    /// `{a: b}` or lines with `:`.
    Map(Vec<Entry>),
    /// Anything else.
    Scalar(Scalar),
}

/// One field of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where the name begins.
    pub at: At,
    /// What it holds.
    pub value: Node,
}

/// Text, number, truth or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// As written, escapes resolved.
    pub text: String,
    /// Whether it stands without quotes.
    pub plain: bool,
}

/// What a scalar means (YAML 1.2.2 section 10.3, the core schema).
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// `true` or `false`.
    Boolean(bool),
    /// Nothing.
    Null,
    /// An integer, or a number with a fraction.
    Number(Number),
    /// Anything else.
    Text,
}

impl Scalar {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Boolean(true),
            "false" | "False" | "FALSE" => Meaning::Boolean(false),
            text => number(text).map_or(Meaning::Text, Meaning::Number),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    let integer = match (digits.strip_prefix("0x"), digits.strip_prefix("0o")) {
        (Some(hexadecimal), _) => return u64::from_str_radix(hexadecimal, 16).ok().map(Number::from),
        (_, Some(octal)) => return u64::from_str_radix(octal, 8).ok().map(Number::from),
        _ => digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from)),
    };
    let fraction = || digits.bytes().any(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    integer.ok().or_else(|| fraction().and_then(Number::from_f64))
}

impl Node {
    /// The field of that name, when this is a map.
    pub fn field(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == name)
    }

    /// The fields; none when this is not a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items; none when this is not a list.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, when this is a scalar that means text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Text => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }

    /// The place of what `path` leads to, or of the last step that exists. A step is a field or the number of an item.
    pub fn find(&self, path: &[&str]) -> At {
        let Some((step, rest)) = path.split_first() else { return self.at };
        let item = step.parse::<usize>().ok().and_then(|number| self.items().get(number));
        match (self.field(step), item) {
            (Some(entry), _) if entry.value.is_null() => entry.at,
            (Some(entry), _) => entry.value.find(rest),
            (None, Some(item)) => item.find(rest),
            (None, None) => self.at,
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Broken => serde_json::Value::Null,
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.json())).collect::<Map<_, _>>().into()
            }
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Boolean(truth) => truth.into(),
                Meaning::Null => serde_json::Value::Null,
                Meaning::Number(number) => number.into(),
                Meaning::Text => scalar.text.clone().into(),
            },
        }
    }
}

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Its root.
    pub root: Node,
    /// What was refused while it was read.
    pub findings: Vec<Finding>,
}

/// All documents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    /// The documents that could be read.
    pub trees: Vec<Tree>,
    /// Why something in the file was lost: otherwise an object may stand in it that is not in `trees`.
    pub lost: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> Meaning {
        Scalar { text: text.to_owned(), plain: true }.meaning()
    }

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (text, number) in
            [("15", "15"), ("-3", "-3"), ("+7", "7"), ("0600", "600"), ("0x1F", "31"), ("0o17", "15"), ("1.5", "1.5")]
        {
            assert_eq!(meaning(text), Meaning::Number(number.parse().unwrap()), "{text}");
        }
        for text in ["yes", "no", "on", "1.2.3.4", "0xZZ", "-", ".", "1e999", "12h", "e5", "nan"] {
            assert_eq!(meaning(text), Meaning::Text, "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(meaning(text), Meaning::Null, "{text}");
        }
        assert_eq!(meaning("true"), Meaning::Boolean(true));
        assert_eq!(Scalar { text: "true".to_owned(), plain: false }.meaning(), Meaning::Text);
    }
}
