//! Why an envelope is not sealed, not read or not opened.

use aws_lc_rs::error::Unspecified;
use std::fmt;
use thiserror::Error;

/// Why an envelope is not sealed, not read or not opened.
#[derive(Debug, Error)]
pub enum EnvelopeFault {
    /// The data key is not the one the message commits to.
    #[error("the message commits to another data key: it was not sealed with the key that KMS decrypted")]
    CommitmentDiffers,
    /// The context repeats a key, or is not laid out as promised.
    #[error("the encryption context is malformed ({what}): the message is damaged")]
    Context {
        /// In which way.
        what: &'static str,
    },
    /// The message belongs to another object.
    #[error("the message is sealed for another object: {}", listed(.0))]
    ContextDiffers(Vec<ContextDifference>),
    /// A context that the format cannot hold, or keeps for itself.
    #[error("cannot seal with the encryption context key `{key}`: {why}")]
    ContextRefused {
        /// The key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A data key of another length.
    #[error("found a data key of {found} bytes, accepted: 32; ask KMS for `AES_256`")]
    DataKeyLength {
        /// How long it is.
        found: usize,
    },
    /// Frames are missing, repeated or out of order.
    #[error("found frame {found}, expected frame {expected}: the message is damaged or was tampered with")]
    FrameOrder {
        /// The frame that is there.
        found: u32,
        /// The frame that should be there.
        expected: u32,
    },
    /// A frame is not what was sealed.
    #[error("frame {sequence} does not verify: the message is damaged or was tampered with")]
    FrameTag {
        /// Which.
        sequence: u32,
    },
    /// The header is not what was sealed.
    #[error("the header does not verify: the message is damaged or was tampered with")]
    HeaderTag,
    /// No KMS key of ours wrapped the data key.
    #[error("the data key is wrapped by [{}], expected {expected}", found.join(", "))]
    OtherWrappingKey {
        /// The KMS keys that wrapped it.
        found: Vec<String>,
        /// The KMS key that was looked for.
        expected: String,
    },
    /// The system's cryptography refused.
    #[error("cannot seal: the system's cryptography gave no {what}")]
    Seal {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        #[source]
        cause: Unspecified,
    },
    /// More bytes than are accepted.
    #[error("found {found} bytes of {what}, accepted: at most {accepted}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are accepted.
        accepted: usize,
    },
    /// Something follows the message.
    #[error("found {found} bytes after the end of the message, expected none")]
    TrailingBytes {
        /// How many.
        found: usize,
    },
    /// The message was cut off.
    #[error("the message ends within its {what}: it was cut off")]
    Truncated {
        /// Within what.
        what: &'static str,
    },
    /// A field with a value that is not known, or that this suite does not allow.
    #[error("found {what} {found:#06x}, accepted: {accepted}")]
    Unsupported {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u32,
        /// The values that are accepted.
        accepted: &'static str,
    },
}

/// One entry of the encryption context that is not as it must be. Contexts are public, so both sides are shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContextDifference {
    /// The key.
    pub key: String,
    /// Its value in the message, if it is there.
    pub found: Option<String>,
    /// The value it must have, if any.
    pub expected: Option<String>,
}

impl fmt::Display for ContextDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, expected } = self;
        let shown =
            |value: &Option<String>| value.as_ref().map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
        write!(f, "`{key}` is {}, expected {}", shown(found), shown(expected))
    }
}

fn listed(differences: &[ContextDifference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
