//! The certificate's side of a hostname.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hostname::Backoff;
use crate::dice::Dice;

/// The certificate pack of a hostname.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ssl {
    /// A UUID; another one for each order.
    pub id: String,
    /// Cloudflare's word, for example `pending_validation`.
    pub status: String,
    /// `http`, `txt` or `email`.
    pub method: String,
    /// Does it also cover all names one level below?
    pub wildcard: bool,
    /// The CA that was asked for; empty for Cloudflare's choice.
    pub wanted_authority: String,
    /// The CA that it goes to.
    pub authority: String,
    /// What was set, and nothing else.
    pub settings: Value,
    /// `bundle_method`
    pub bundle_method: String,
    /// The validation tokens of the order under way; a wildcard has two.
    pub tokens: Vec<Token>,
    /// Why validation failed last.
    pub validation_errors: Vec<String>,
    /// One leaf for each key kind; during a renewal those of the old pack.
    pub leaves: Vec<Leaf>,
    pub(super) checks: Backoff,
    /// When the order was placed.
    pub(super) ordered: i64,
    /// When the present step ends by itself.
    pub(super) until: i64,
}

/// One way to validate, shown as a validation record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The name's TXT value, or the content of the file.
    pub value: String,
    /// The file's name.
    pub path: String,
}

/// One certificate of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// A UUID.
    pub id: String,
    /// `ECDSAWithSHA256` or `SHA256WithRSA`.
    pub signature: String,
    /// Decimal.
    pub serial_number: String,
    /// Hexadecimal.
    pub fingerprint: String,
    /// The CA's name for itself.
    pub issuer: String,
    /// When it was issued.
    pub issued: i64,
    /// When it ends.
    pub expires: i64,
}

impl Ssl {
    pub(super) fn order(&mut self, now: i64, takes: i64, dice: &mut Dice) {
        self.id = dice.uuid().to_string();
        (self.ordered, self.until) = (now, now + takes);
        self.status = "initializing".into();
        self.checks = Backoff::begin(now + takes);
        self.validation_errors.clear();
        self.draw_tokens(dice);
    }

    /// Fresh tokens: for a new order, and whenever a CA refused the old one.
    pub(super) fn draw_tokens(&mut self, dice: &mut Dice) {
        let mut token = || Token { value: dice.word(LETTERS, 43), path: dice.word(LETTERS, 32) };
        self.tokens = if self.wildcard { vec![token(), token()] } else { vec![token()] };
    }

    /// The end of what serves.
    pub fn expires(&self) -> Option<i64> {
        self.leaves.iter().map(|leaf| leaf.expires).min()
    }

    /// The moment at which a renewal begins.
    pub(super) fn renews(&self) -> i64 {
        self.expires().map_or(i64::MAX, |end| end - RENEW_BEFORE)
    }

    pub(super) fn next_wake(&self) -> i64 {
        let ends = self.expires().filter(|_| self.status != "expired").unwrap_or(i64::MAX);
        match self.status.as_str() {
            "initializing" | "pending_issuance" | "pending_deployment" => self.until.min(ends),
            "pending_validation" => self.checks.next.min(ends),
            "active" => self.renews().min(ends),
            _ => ends,
        }
    }
}

/// The CA's name, its CAA identity, the life of its tokens.
pub(super) struct Authority {
    pub(super) name: &'static str,
    pub(super) caa: &'static str,
    pub(super) issuer: &'static str,
    pub(super) token_days: i64,
}

/// In the order in which Cloudflare tries them.
pub(super) const AUTHORITIES: [Authority; 3] = [
    Authority { name: "google", caa: "pki.goog", issuer: "GoogleTrustServices", token_days: 14 },
    Authority { name: "lets_encrypt", caa: "letsencrypt.org", issuer: "LetsEncrypt", token_days: 7 },
    Authority { name: "ssl_com", caa: "ssl.com", issuer: "SSLCorporation", token_days: 14 },
];

/// The tries of a validation, spread over two weeks.
pub(super) const VALIDATION_TRIES: u32 = 120;
pub(super) const DAY: i64 = 86_400_000;
const RENEW_BEFORE: i64 = 30 * DAY;
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
