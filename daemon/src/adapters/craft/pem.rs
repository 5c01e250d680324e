//! Reads and writes PEM (RFC 7468), for certificates and for private keys.
//!
//! The reader is as lax as RFC 7468 section 2 asks (text around the blocks, any line ending) and strict about the rest.
//! What it decodes is wiped when dropped, because it cannot know which block holds a secret.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;
use zeroize::Zeroizing;

/// One block of a PEM text.
pub struct Block {
    /// What stands between `-----BEGIN ` and the dashes.
    pub label: String,
    /// The decoded bytes; empty when the block is encrypted in the old way.
    pub der: Zeroizing<Vec<u8>>,
    /// How long the block is as text, without its two marker lines.
    pub encoded_length: usize,
    /// Whether the block carries the headers of RFC 1421 that announce encryption.
    pub encrypted: bool,
}

/// Why a text is not PEM. `line` counts from 1.
#[derive(Debug, Error, Eq, PartialEq)]
pub enum PemFault {
    /// The content of a block is not base64.
    #[error("the `{label}` block that begins in line {line} is not base64: copy the file again, unchanged")]
    Base64 {
        /// Where the block begins.
        line: usize,
        /// The block's label.
        label: String,
    },
    /// A block ends under another label than it began with.
    #[error("the `{label}` block that begins in line {line} ends as `{found}`: copy the file again, unchanged")]
    EndDiffers {
        /// Where the block begins.
        line: usize,
        /// The block's label.
        label: String,
        /// The label at the end.
        found: String,
    },
    /// The text is neither ASCII nor UTF-8.
    #[error("found bytes that are not text, accepted: PEM blocks (`-----BEGIN …-----`)")]
    NotText,
    /// A block has no end.
    #[error("the `{label}` block that begins in line {line} has no end: the text was cut off, get it again")]
    Unended {
        /// Where the block begins.
        line: usize,
        /// The block's label.
        label: String,
    },
}

/// Every block of `text`, in order. The caller caps the length of `text`.
pub fn read(text: &[u8]) -> Result<Vec<Block>, PemFault> {
    let text = std::str::from_utf8(text).map_err(|_| PemFault::NotText)?;
    let mut lines = text.lines().enumerate();
    let mut blocks = Vec::new();
    while let Some((index, line)) = lines.next() {
        if let Some(label) = marker(line, "-----BEGIN ") {
            blocks.push(read_block(index + 1, label, &mut lines)?);
        }
    }
    Ok(blocks)
}

/// `der` as one block, with lines of 64 characters (RFC 7468 section 2). Nothing of it is left behind in memory when
/// the result is dropped.
pub fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let lines = der.len().div_ceil(BYTES_PER_LINE);
    let capacity = lines * (BYTES_PER_LINE / 3 * 4 + 1) + 2 * (label.len() + 18);
    // The capacity is exact enough never to grow: growing would leave copies that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(BYTES_PER_LINE) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn read_block<'a>(
    line: usize,
    label: &str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<Block, PemFault> {
    let label = label.to_owned();
    let mut content: Vec<&str> = Vec::new();
    let mut encrypted = false;
    for (_, found) in lines.by_ref() {
        if let Some(end) = marker(found, "-----END ") {
            if end != label {
                let found = end.to_owned();
                return Err(PemFault::EndDiffers { line, label, found });
            }
            return decode(line, label, &content, encrypted);
        }
        if found.starts_with("-----") {
            break;
        }
        encrypted |= found.starts_with("Proc-Type:") && found.contains("ENCRYPTED");
        content.push(found);
    }
    Err(PemFault::Unended { line, label })
}

fn decode(line: usize, label: String, content: &[&str], encrypted: bool) -> Result<Block, PemFault> {
    let encoded_length = content.iter().map(|line| line.len() + 1).sum();
    if encrypted {
        let der = Zeroizing::new(Vec::new());
        return Ok(Block { label, der, encoded_length, encrypted });
    }
    let mut packed = Zeroizing::new(Vec::with_capacity(encoded_length));
    let characters = content.iter().flat_map(|line| line.bytes());
    packed.extend(characters.filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(packed.len())]);
    let Ok(length) = STANDARD.decode_slice(packed.as_slice(), &mut der) else {
        return Err(PemFault::Base64 { line, label });
    };
    der.truncate(length);
    Ok(Block { label, der, encoded_length, encrypted })
}

fn marker<'a>(line: &'a str, opening: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(opening)?.strip_suffix("-----")
}

/// 64 characters of base64.
const BYTES_PER_LINE: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> PemFault {
        read(text.as_bytes()).err().expect("the text is broken")
    }

    #[test]
    fn text_around_blocks_and_windows_line_endings_are_skipped() {
        let text = "subject=CN = a\r\n-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\nbye";
        let blocks = read(text.as_bytes()).unwrap();
        assert_eq!(blocks.len(), 1);
        assert_eq!((blocks[0].label.as_str(), blocks[0].der.as_slice()), ("X", &[1, 2, 3][..]));
    }

    #[test]
    fn a_cut_off_block_says_where_it_begins() {
        let expected = PemFault::Unended { line: 2, label: "X".into() };
        assert_eq!(fault("\n-----BEGIN X-----\nAQID\n"), expected);
        assert_eq!(fault("\n-----BEGIN X-----\nAQID\n-----BEGIN X-----\n"), expected);
    }

    #[test]
    fn a_block_that_ends_as_something_else_is_refused() {
        let expected = PemFault::EndDiffers { line: 1, label: "X".into(), found: "Y".into() };
        assert_eq!(fault("-----BEGIN X-----\nAQID\n-----END Y-----\n"), expected);
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        let expected = PemFault::Base64 { line: 1, label: "X".into() };
        assert_eq!(fault("-----BEGIN X-----\nA?ID\n-----END X-----\n"), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_is_written_is_read_again(der: Vec<u8>) {
            let text = write("PRIVATE KEY", &der);
            let blocks = read(text.as_bytes()).unwrap();
            prop_assert_eq!(blocks.len(), 1);
            prop_assert_eq!(&blocks[0].der[..], &der[..]);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
        }

        #[test]
        fn writing_never_outgrows_its_first_buffer(length in 0_usize..300) {
            let text = write("X", &vec![7; length]);
            let lines = length.div_ceil(48);
            prop_assert!(text.capacity() <= lines * 65 + 38, "capacity {}", text.capacity());
        }
    }
}
