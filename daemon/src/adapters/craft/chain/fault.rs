//! What can differ between a chain and what was asked for.

use crate::adapters::craft::pem::PemFault;
use std::{error::Error, fmt};
use thiserror::Error;

/// Where in the chain a certificate stands: 1 is the leaf.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position(pub usize);

/// One thing that differs.
#[derive(Debug, Error, Eq, PartialEq)]
pub enum ChainFault {
    /// There is no certificate at all.
    #[error("found no certificate, accepted: at least the leaf")]
    Empty,
    /// A certificate's time is over.
    #[error("{position} (`{subject}`) expired at {}, it is {} now", moment(*not_after_ms), moment(*now_ms))]
    Expired {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
        /// When it ended, in milliseconds since 1970.
        not_after_ms: i64,
        /// When it was judged.
        now_ms: i64,
    },
    /// The next certificate is of somebody else.
    #[error(
        "{position} names the issuer `{found}`, but the next certificate is of `{expected}`: the chain is out of order or incomplete"
    )]
    IssuerDiffers {
        /// Which names it.
        position: Position,
        /// The issuer it names.
        found: String,
        /// The subject of the next certificate.
        expected: String,
    },
    /// A certificate above the leaf must not sign certificates.
    #[error("{position} (`{subject}`) may not sign certificates, yet the one before it is said to be signed by it")]
    IssuerNotAuthority {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
    },
    /// The certificate is for another key.
    #[error("the certificate is for the public key {found}, expected {expected}")]
    KeyDiffers {
        /// The key's fingerprint in the certificate.
        found: String,
        /// The fingerprint of the key that asked.
        expected: String,
    },
    /// The leaf is an authority.
    #[error("the leaf (`{subject}`) is a certificate authority, expected a server's certificate")]
    LeafIsAuthority {
        /// Whose.
        subject: String,
    },
    /// The leaf vouches for itself.
    #[error("the leaf (`{subject}`) is signed by itself, expected a certificate authority's signature")]
    LeafSelfSigned {
        /// Whose.
        subject: String,
    },
    /// The lifetime is none, or unbelievably long.
    #[error("the certificate is valid from {} to {}, accepted: a lifetime of up to {} days", moment(*not_before_ms), moment(*not_after_ms), longest_ms / 86_400_000)]
    Lifetime {
        /// From when.
        not_before_ms: i64,
        /// Until when.
        not_after_ms: i64,
        /// What is believed.
        longest_ms: i64,
    },
    /// The names are not those asked for.
    #[error("the certificate is for the names [{}], expected [{}]", found.join(", "), expected.join(", "))]
    NamesDiffer {
        /// The names in the certificate, sorted.
        found: Vec<String>,
        /// The names asked for, sorted.
        expected: Vec<String>,
    },
    /// The leaf is for other uses only.
    #[error("the certificate is not for servers, expected the extended key usage serverAuth")]
    NotForServers,
    /// A certificate's time has not begun.
    #[error("{position} (`{subject}`) holds from {} only, it is {} now: compare this machine's clock with the issuer's", moment(*not_before_ms), moment(*now_ms))]
    NotYetValid {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
        /// When it begins, in milliseconds since 1970.
        not_before_ms: i64,
        /// When it was judged.
        now_ms: i64,
    },
    /// Something else than a certificate stands in the text.
    #[error("found a block `{label}` among the certificates, accepted: `CERTIFICATE`")]
    OtherBlock {
        /// Its label.
        label: String,
    },
    /// An authority has more certificates below it than it may.
    #[error("{position} (`{subject}`) allows {accepted} authorities below it, found {found}")]
    PathTooLong {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
        /// How many stand below it, the leaf not counted.
        found: usize,
        /// How many it allows.
        accepted: u32,
    },
    /// The text is not PEM.
    #[error("cannot read the certificates as PEM")]
    Pem(#[source] PemFault),
    /// One of the trusted roots is unusable.
    #[error("cannot read the trusted root number {number}: give it as PEM blocks `CERTIFICATE`")]
    RootUnreadable {
        /// Which of the texts, from 1.
        number: usize,
    },
    /// A signature is not by the certificate that comes next.
    #[error("{position} (`{subject}`) is not signed by the key of `{issuer}`")]
    Signature {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
        /// Who should have signed.
        issuer: String,
    },
    /// A signature of a kind that is not accepted.
    #[error(
        "{position} (`{subject}`) is signed with algorithm {found}, accepted: ECDSA on P-256 or P-384, RSA, RSA-PSS (each with SHA-256 or more), Ed25519"
    )]
    SignatureAlgorithm {
        /// Which.
        position: Position,
        /// Whose.
        subject: String,
        /// The object identifier.
        found: String,
    },
    /// More certificates than any chain has.
    #[error("found {found} certificates, accepted: at most {accepted}")]
    TooMany {
        /// How many.
        found: usize,
        /// How many are accepted.
        accepted: usize,
    },
    /// More bytes than any certificate needs.
    #[error("found {found} bytes, accepted: at most {accepted} in {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are accepted.
        accepted: usize,
    },
    /// The bytes of a block are no certificate.
    #[error("{position} is not an X.509 certificate")]
    Unreadable {
        /// Which.
        position: Position,
    },
    /// The chain leads elsewhere.
    #[error("no trusted root has signed the chain: it ends below `{found}`, trusted are [{}]", expected.join("; "))]
    UntrustedRoot {
        /// The issuer of the last certificate.
        found: String,
        /// The subjects of the trusted roots.
        expected: Vec<String>,
    },
}

/// All that differs; never empty.
#[derive(Debug, Eq, PartialEq)]
pub struct ChainFaults(pub(super) Vec<ChainFault>);

impl ChainFaults {
    /// What differs, the leaf's faults first.
    pub fn all(&self) -> &[ChainFault] {
        &self.0
    }

    pub(super) fn none_or(faults: Vec<ChainFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }
}

impl From<ChainFault> for ChainFaults {
    fn from(fault: ChainFault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for ChainFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate chain is refused: ")?;
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Error for ChainFaults {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.iter().find_map(Error::source)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("the leaf"),
            number => write!(f, "certificate {number}"),
        }
    }
}

fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |moment| moment.to_string())
}
