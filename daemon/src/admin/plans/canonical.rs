//! JSON in its one canonical form (RFC 8785), so that a hash over it means something.
//!
//! Where this is less than RFC 8785: numbers are whole (section 3.2.2.3 is needed for no other), which all of ours are.

use serde_json::Value;

/// The canonical text of a value.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            let writers = items.iter().map(|item| move |text: &mut String| write(item, text));
            list('[', writers, ']', text);
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // Section 3.2.3: sorted by the UTF-16 code units of their names.
            fields.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            let writers = fields.into_iter().map(|(name, value)| {
                move |text: &mut String| {
                    write(&Value::from(name.as_str()), text);
                    text.push(':');
                    write(value, text);
                }
            });
            list('{', writers, '}', text);
        }
        // serde_json escapes what section 3.2.2.2 names, in the same form, and nothing else.
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn list(open: char, writers: impl Iterator<Item = impl FnOnce(&mut String)>, close: char, text: &mut String) {
    text.push(open);
    for (index, write) in writers.enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        text(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn fields_are_sorted_by_their_code_units() {
        // Names and order are those of RFC 8785 section 3.2.3: a pair of surrogates sorts before U+FB33.
        let found =
            canonical(r#"{"\u20ac":"e","\r":"a","\ufb33":"g","1":"b","\ud83d\ude00":"f","\u0080":"c","\u00f6":"d"}"#);
        let values: String = found.split(":\"").skip(1).filter_map(|rest| rest.chars().next()).collect();
        assert_eq!(values, "abcdefg");
    }

    #[test]
    fn nothing_is_spaced_and_texts_are_escaped_in_one_way() {
        let found = canonical(r#"{ "b": [ 1, true, null ], "a": "\u000f\u000a\u20ac\/" }"#);
        assert_eq!(found, "{\"a\":\"\\u000f\\n\u{20ac}/\",\"b\":[1,true,null]}");
    }
}
