//! Parts of paths and queries, escaped and back.

/// A part of a path or of a query, escaped (RFC 3986 section 2.3 names what need not be).
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The reverse of [`escaped`].
pub(crate) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_path_or_a_query_is_escaped() {
        assert_eq!(escaped("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
        assert_eq!(escaped("*.shop.example"), "%2A.shop.example");
    }

    #[test]
    fn what_was_escaped_is_read_as_it_was() {
        for text in ["a b&c=d/é%41", "*.shop.example", "%", ""] {
            assert_eq!(unescaped(&escaped(text)), text);
        }
        assert_eq!(unescaped("%zz%4"), "%zz%4");
    }
}
