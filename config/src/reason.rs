//! Why. The one closed list of words that goes from plan to condition, event, metric, audit and command line.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::BadName;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Turn {
    /// AWS must answer, or let us.
    Aws,
    /// The certificate authority must answer, or let us.
    CertificateAuthority,
    /// claviger is at it.
    Claviger,
    /// Cloudflare must act.
    Cloudflare,
    /// The customer who owns the host name must act.
    Customer,
    /// Nothing is to be done.
    Nobody,
    /// The people who run claviger must act.
    Operator,
}

impl Turn {
    /// The word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Aws => "Aws",
            Self::CertificateAuthority => "CertificateAuthority",
            Self::Claviger => "Claviger",
            Self::Cloudflare => "Cloudflare",
            Self::Customer => "Customer",
            Self::Nobody => "Nobody",
            Self::Operator => "Operator",
        }
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

macro_rules! reasons { ($($variant:ident, $turn:ident, $hint:literal;)+) => {
    /// Why. It names a cause or a phase that a person would act on, never a step. The table in this file is all there is to say.
    #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
    pub enum Reason { $(#[doc = $hint] $variant),+ }

    impl Reason {
        /// Every reason, in alphabetical order.
        pub const ALL: &'static [Self] = &[$(Self::$variant),+];

        /// The word: condition, event, metric label, audit field and column.
        pub const fn word(self) -> &'static str {
            match self { $(Self::$variant => stringify!($variant)),+ }
        }

        /// Whose turn it is.
        pub const fn turn(self) -> Turn {
            match self { $(Self::$variant => Turn::$turn),+ }
        }

        /// What it means, in a sentence that ends without a period.
        pub const fn hint(self) -> &'static str {
            match self { $(Self::$variant => $hint),+ }
        }
    }
}}

reasons! {
    AccountPaused,         Operator, "the CA has paused this account for this name; a person must follow the link in the message";
    AccountPending,        Claviger, "the account at the CA is registered first";
    AccountRefused,        Operator, "the CA does not accept the account";
    AcmeUnreachable,       CertificateAuthority, "the CA does not answer; it is tried again";
    Active,                Nobody, "the host name is served at the edge with a valid certificate";
    Adopted,               Nobody, "what was already there was taken over";
    AliasMoved,            Operator, "the alias points at another key than the one that claviger made";
    AnswerNotUnderstood,   Operator, "the far side answered something that its specification does not allow";
    AwaitingApproval,      Operator, "a second person must agree";
    AwaitingCertificate,   Cloudflare, "the host name is proven; Cloudflare is getting its certificate";
    AwaitingCustomerDns,   Customer, "the customer must add the records that are listed";
    BudgetSpent,           Claviger, "it waits for its turn so that a limit is not hit";
    CaaForbids,            Operator, "a CAA record forbids the CA to issue for this name";
    ChallengeFailed,       Operator, "the CA could not verify that the name is ours";
    CiphertextRefused,     Operator, "what was wrapped does not open: wrong key, wrong context or tampering";
    ClaimedElsewhere,      Operator, "another environment holds what may belong to one environment only";
    CustomerCaaForbids,    Customer, "a CAA record of the customer forbids every CA that Cloudflare uses";
    CustomerDnsConflict,   Customer, "a record of the customer points elsewhere or stands in the way";
    DeliveryFailed,        Operator, "the certificate could not be written to an outlet";
    DnsNotPropagated,      Operator, "not every name server shows the record yet";
    DocumentRejected,      Operator, "the document has errors; its last accepted version stays in force";
    EdgeBlocked,           Cloudflare, "Cloudflare has blocked the host name; its support must release it";
    EdgeDenied,            Operator, "Cloudflare does not accept the token, or it lacks a permission";
    EdgeDiffers,           Claviger, "a field that claviger owns differs at the edge";
    EdgeQuotaExceeded,     Operator, "the quota of custom host names is used up";
    EdgeRefused,           Operator, "Cloudflare refuses the request; its words are in the message";
    EdgeStuck,             Claviger, "validation has stopped at the edge; it is started again";
    EdgeUnchanged,         Cloudflare, "Cloudflare accepted a change and did not make it";
    EdgeUnreachable,       Cloudflare, "Cloudflare does not answer; it is tried again";
    EnvironmentChanged,    Operator, "an object keeps its environment for life: delete it and create it in the other one";
    EnvironmentRefused,    Operator, "the environment itself is refused; mend it first";
    Expired,               Claviger, "what is in service is no longer valid";
    HookFailed,            Operator, "the certificate is delivered, its reload command failed";
    HostnameClaimed,       Operator, "the host name already belongs to another origin or tenant";
    HostnameMoved,         Customer, "the host name no longer points at us, or another zone has taken it";
    HttpListenerMissing,   Operator, "http-01 needs the setting `http01.listen`";
    Issued,                Nobody, "a valid certificate is delivered";
    IssuerChanged,         Claviger, "the document asks for another issuer or profile";
    IssuerMissing,         Operator, "no issuer can be used for this certificate";
    KeyAlgorithmChanged,   Claviger, "the document asks for another kind of key";
    KeyDisabled,           Operator, "somebody disabled the key; claviger never makes a replacement";
    KeyPendingDeletion,    Operator, "somebody scheduled the key for deletion; cancel that before the date in the message";
    KeyReady,              Nobody, "the key exists as the document asks";
    KeyUnavailable,        Operator, "the key is gone or cannot be used; claviger never makes a replacement";
    KeystorePasswordMissing, Operator, "the password of a keystore is not where the document says; key and certificate are delivered without it";
    KmsDenied,             Operator, "AWS denies the call; the action, role and key are in the message";
    KmsLimitExceeded,      Operator, "a hard limit of AWS KMS is reached; trying again cannot help";
    KmsRefused,            Operator, "AWS KMS refuses the request; its words are in the message";
    KmsThrottled,          Aws, "AWS KMS throttles; it is tried again more slowly";
    KmsUnreachable,        Aws, "AWS does not answer; it is tried again";
    Missing,               Claviger, "there is none yet; the first one is on its way";
    NameOutsideZones,      Operator, "a name lies outside the zones of its environment";
    NamesChanged,          Claviger, "the document asks for other names";
    NamespaceClaimed,      Operator, "another environment claimed the namespace first";
    NamespaceUnclaimed,    Operator, "no environment claims the namespace";
    NotObserved,           Claviger, "it has not been looked at yet";
    NotSupportedYet,       Operator, "this field is read and judged, its work comes with a later release";
    OrderLost,             Claviger, "the CA no longer knows the order, or has closed it; a new one is opened";
    OutletChanged,         Claviger, "an outlet lacks the certificate or holds another one";
    PolicyRefuses,         Operator, "the policy of the environment does not allow it";
    ProfileUnknown,        Operator, "the CA does not offer the profile that was asked for";
    ProvingControl,        CertificateAuthority, "the CA is checking that the name is ours";
    RateLimited,           CertificateAuthority, "the CA limits the rate; it is tried again when the CA allows";
    Ready,                 Nobody, "everything the environment needs is in place";
    Refused,               Operator, "the far side said no; its words are in the message";
    Released,              Nobody, "its document is gone; claviger looks after it no longer and removed nothing";
    RenewalDue,            Claviger, "its instant has come";
    Requested,             Claviger, "a person asked for it";
    RotationOff,           Operator, "somebody switched the key's rotation off";
    RotationPeriodDiffers, Operator, "somebody gave the key's rotation another period";
    SeparationRefused,     Operator, "two environments would share what must differ";
    SettingMissing,        Operator, "the settings or the environment lack what the document needs";
    StoreFailed,           Operator, "claviger's own store does not take a write";
    Unanswered,            Claviger, "an answer was lost; the far side is asked what became of it";
    WrappingKeyNotReady,   Claviger, "the wrapping key of the environment is not ready yet";
    WrongCertificate,      CertificateAuthority, "what came back is not what was asked for; the old certificate stays";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Reason {
    type Err = BadName;
    fn from_str(found: &str) -> Result<Self, BadName> {
        Self::ALL.iter().copied().find(|reason| reason.word() == found).ok_or_else(|| BadName {
            what: "Reason",
            found: found.to_owned(),
            accepted: "a word of the list of reasons",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_alphabetical_and_each_word_reads_back() {
        assert!(Reason::ALL.is_sorted_by_key(|reason| reason.word()));
        for reason in Reason::ALL {
            assert_eq!(reason.word().parse::<Reason>().unwrap(), *reason);
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{}\"", reason.word()));
        }
    }

    #[test]
    fn hints_are_sentences_without_a_period() {
        for reason in Reason::ALL {
            assert!(!reason.hint().is_empty() && !reason.hint().ends_with('.'), "{reason}");
        }
    }
}
