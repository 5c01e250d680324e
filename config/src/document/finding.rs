//! The one table of what can be wrong in settings and documents. A code is stable: it is never given another meaning.

use crate::{admin::Finding, desired::Place};

macro_rules! codes { ($($variant:ident = $number:literal, $message:literal, $fix:literal;)+) => {
    /// What can be wrong.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Code { $(#[doc = $message] $variant),+ }

    impl Code {
        /// Every code, by number.
        pub const ALL: &'static [Self] = &[$(Self::$variant),+];

        /// `CLV-` and four digits.
        pub const fn word(self) -> &'static str {
            match self { $(Self::$variant => concat!("CLV-", $number)),+ }
        }

        /// What is wrong; blanks stand in `{}`.
        const fn message(self) -> &'static str {
            match self { $(Self::$variant => $message),+ }
        }

        /// The next step; blanks stand in `{}`.
        const fn fix(self) -> &'static str {
            match self { $(Self::$variant => $fix),+ }
        }
    }
}}

codes! {
    // Reading a file
    FileUnreadable = "0101", "the file cannot be read: {found}", "let clavigerd read the file; until then its objects stay as they were last accepted";
    FileTooLarge = "0102", "the file has {found} bytes, accepted are at most 1048576", "split the file";
    NotUtf8 = "0103", "the file is not UTF-8: found byte {found}", "save the file as UTF-8";
    UnknownField = "0104", "unknown field `{field}` in {within}", "remove the field, or write one that is accepted";
    SyntaxError = "0105", "this is not YAML: {found}", "mend the syntax; the documents after the next `---` are read all the same";
    DocumentTooDeep = "0106", "the document is nested too deeply, accepted are 32 levels", "write it flatter";
    DocumentTooLarge = "0107", "the document is too large, accepted are 10000 fields and values", "split it into several documents";
    DuplicateField = "0108", "the field `{field}` stands here for the second time, first in line {first}", "remove one of the two";
    AliasRefused = "0109", "anchors and aliases are not accepted", "write the value out where it is needed";
    TagRefused = "0110", "tags are not accepted", "remove the tag; quotes make a text of any value";
    KeyNotText = "0111", "the name of a field must be text", "write the name as text";
    TooManyErrors = "0112", "the file has more errors than are told", "mend the ones above, then check again";
    FileEmpty = "0113", "the file is empty; its objects stay as they were last accepted", "write the documents back, or delete the file to remove its objects";
    DocumentMissing = "0114", "there is no document in the file", "write one document with `apiVersion` and `kind`";
    SeveralDocuments = "0115", "the settings are one document, found another one", "remove the second document";

    SourceEmpty = "0116", "there is no document at all; {found} objects stay as they were last accepted", "write the documents back, or mount the folder that holds them";
    TooManyDocuments = "0117", "the file has too many documents, accepted are 10000", "split the file";

    // The shape of a document
    WrongType = "0120", "{within} must be {wanted}, found {found}", "write {wanted}";
    MissingField = "0121", "the field `{field}` is missing in {within}", "add `{field}`";
    UnknownWord = "0122", "{within}: found `{found}`, accepted: {wanted}", "write one of the accepted words";
    BadValue = "0123", "{within}: found `{found}`, accepted: {wanted}", "change the value to what is accepted";
    OutOfRange = "0124", "{within}: found {found}, accepted: {wanted}", "change it to what is accepted";
    NotExactlyOne = "0125", "{within} needs exactly one of {wanted}, found {found}", "keep exactly one of them";
    SecretInline = "0126", "{within} must say where the secret stands, found the secret itself", "change the secret, because it has been in a document; then put it in a file below `files.read` and write `{ file: NAME }`";
    DuplicateName = "0127", "{within}: the name `{found}` stands here for the second time, first in line {first}", "give each item its own name";
    DuplicateValue = "0128", "{within}: `{found}` stands here for the second time, first in line {first}", "remove one of the two";
    FieldEmpty = "0129", "{within} is empty", "write a value, or remove the field";
    QuotesMissing = "0130", "{within} must be text, found the {found} without quotes", "put the value in quotes";
    ForbiddenCharacter = "0131", "{within} holds a character that cannot be seen: {found}", "remove the character";
    UnknownVersion = "0132", "unknown `apiVersion`: `{found}`", "write `apiVersion: claviger.dev/v1alpha1`";
    UnknownKind = "0133", "unknown `kind`: `{found}`", "write one of the accepted kinds";
    KindNotYet = "0134", "`kind: {found}` comes with a later release", "remove the document for now";
    StatusInDocument = "0135", "a document says what shall be, `status` says what is: it is written by claviger alone", "remove `status`";
    NamespaceMissing = "0136", "a {kind} lives in a namespace, found none", "add `metadata.namespace`";
    NamespaceUnexpected = "0137", "an Environment has no namespace, found `{found}`", "remove `metadata.namespace`; what belongs to the environment stands in `spec.namespaces`";
    NotUnderstood = "0138", "the document has the right shape and still cannot be understood; this is a bug in claviger", "please report it with the document, secrets left out";

    // What a document says
    DuplicateObject = "0201", "{object} stands here for the second time, first in {first}", "remove one of the two, or give it another name";
    FieldImmutable = "0202", "{within} cannot be changed: found `{found}`, it is `{accepted}` for life", "put the old value back; for another one make a new object and delete this one";
    WildcardRefused = "0203", "{within}: a wildcard is not accepted here, found `{found}`", "write the name without `*.`";
    KeySpecMismatch = "0204", "a key of the kind {found} cannot serve the purpose `{purpose}`", "write one of the accepted kinds, or change the purpose";
    RotationUnsupported = "0205", "AWS KMS does not rotate keys of the kind {found}", "remove `rotation`";
    RotationPeriodRefused = "0206", "the rotation period must be whole days from 90d to 2560d, found {found}", "write for example `365d`";
    AliasImpossible = "0207", "the alias `{found}` is not possible in AWS KMS: {why}", "change the name of the KmsKey or the prefix of the environment";
    WrappingKeyMissing = "0208", "the wrapping key {object} {why}", "add the document of the key with `purpose: wrap`, or name another key";
    IssuerUnknown = "0209", "the environment has no issuer `{found}`", "write the name of one of its issuers";
    ExceptOutside = "0210", "`{found}` does not lie below the zone `{zone}`, so there is nothing to except", "remove it, or write a name below the zone";
    DirectoryShared = "0211", "the directory `{found}` is equal to, inside or around `{accepted}` of {object} in {first}", "give each outlet a directory of its own";
    AliasShared = "0212", "the alias `{found}` belongs to {object} in {first}", "give the KmsKey another name";
    TrustMislabelled = "0213", "the issuer `{issuer}` says `trust: {found}`, {why}", "write the trust that the issuer really has";
    RoleElsewhere = "0214", "the role belongs to the account {found}, the environment to the account {accepted}: keys would be made in the wrong one", "name a role of the account {accepted}, or change `accountId`";
    SecretShared = "0215", "the secret `{found}` is an outlet of {object} already, in {first}", "give each outlet a secret of its own";

    // Separation of environments
    NamespaceClaimed = "0301", "the namespace `{found}` belongs to {object}, claimed in {first}", "remove the namespace from one of the two environments";
    AliasPrefixShared = "0302", "{object} in {first} has the alias prefix `{accepted}` in the same account and Region: `{found}` is equal to, inside or around it", "give the environment an alias prefix of its own";
    RoleShared = "0303", "{object} in {first} assumes the same role `{found}`", "give each environment a role of its own";
    EdgeZoneShared = "0304", "{object} in {first} has the same Cloudflare zone `{found}`", "give each environment a Cloudflare zone of its own";
    ZonesOverlap = "0305", "the DNS zone `{found}` overlaps with `{accepted}` of {object} in {first}", "add `{inner}` to `except` of the zone `{outer}`";
    ZoneShared = "0306", "the DNS zone `{found}` belongs to {object} in {first}", "give the zone to one of the two environments";

    // Allowed, and worth knowing
    PolicyException = "0401", "exception from the policy of its class: `{found}` in a {class} environment", "remove it from `policy` once it is no longer needed";
    NotUsedYet = "0402", "{within} is read and judged, its use comes with a later release", "nothing is to be done; what needs it is refused until then";

    // Accepted, and not worked on
    ObjectRefused = "0501", "{object} is not worked on ({reason}): {why}", "see the message";

    // Settings
    DirectoriesOverlap = "0602", "{within} and {other} must be different folders, none inside the other", "give each a folder of its own";
    ListenTwice = "0603", "{within} and {other} listen at the same address `{found}`", "give each an address of its own";
}

impl Code {
    /// The finding at a place, blanks filled. Values of blanks are shown as [`shown`] says.
    pub fn at(self, place: &Place, blanks: &[(&str, &str)]) -> Finding {
        Finding {
            file: place.file.clone(),
            line: place.line,
            column: place.column,
            code: self.word().to_owned(),
            found: None,
            accepted: Vec::new(),
            message: fill(self.message(), blanks),
            fix: fill(self.fix(), blanks),
        }
    }

    /// The finding at a place, when there are no blanks.
    pub fn plain(self, place: &Place) -> Finding {
        self.at(place, &[])
    }
}

impl Finding {
    /// With what was found; never a secret.
    #[must_use]
    pub fn found(mut self, found: impl AsRef<str>) -> Self {
        self.found = Some(shown(found.as_ref()));
        self
    }

    /// With what would be accepted.
    #[must_use]
    pub fn accepts<Text: Into<String>>(mut self, accepted: impl IntoIterator<Item = Text>) -> Self {
        self.accepted = accepted.into_iter().map(Into::into).collect();
        self
    }

    /// With a next step that fits better than the one of the table.
    #[must_use]
    pub fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line, column: self.column }
    }
}

fn fill(template: &str, blanks: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let value = after.split_once('}').and_then(|(name, behind)| {
            blanks.iter().find(|(blank, _)| *blank == name).map(|(_, value)| (value, behind))
        });
        match value {
            Some((value, behind)) => {
                text.push_str(value);
                rest = behind;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

/// So many errors of one file are told; more help nobody.
pub const MOST: usize = 200;

/// A value as messages show it: short, on one line, without characters that cannot be seen, and left out when it may be a
/// secret that somebody put in the wrong field.
pub fn shown(value: &str) -> String {
    if may_be_secret(value) {
        return format!("…({} characters)…", value.chars().count());
    }
    let mut text = String::new();
    for character in value.chars().take(LONGEST) {
        match cannot_be_seen(character) {
            true => text.extend(character.escape_unicode()),
            false => text.push(character),
        }
    }
    if value.chars().count() > LONGEST {
        text.push('…');
    }
    text
}

const LONGEST: usize = 100;

/// Control characters and those that change the direction or hide: what is shown would not be what is meant.
pub fn cannot_be_seen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn may_be_secret(value: &str) -> bool {
    if value.contains("PRIVATE KEY") || value.contains("://") && value.contains('@') {
        return true;
    }
    let like_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    value.len() >= 20 && value.bytes().all(like_base64) && digits >= 3 && letters >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|left, right| left.word() < right.word()));
        assert_eq!(Code::UnknownField.word(), "CLV-0104");
    }

    #[test]
    fn messages_and_fixes_are_lower_case_without_a_period() {
        for code in Code::ALL {
            for text in [code.message(), code.fix()] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{code:?}: {text}");
                let first = text.split_whitespace().next().unwrap();
                assert!(first.to_lowercase() == first || first == "AWS", "{code:?}: {text}");
            }
        }
    }

    #[test]
    fn blanks_are_filled_and_other_braces_stay() {
        assert_eq!(fill("a {b} { file: NAME }", &[("b", "c")]), "a c { file: NAME }");
        assert_eq!(fill("{found", &[]), "{found");
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        for secret in [
            "v1.0-0123456789abcdefghij".replace('.', "_").as_str(),
            "https://user:word@host/",
            "AKIAIOSFODNN7EXAMPLE12",
        ] {
            assert!(!shown(secret).contains(secret), "{secret}");
        }
        assert_eq!(shown("staging.example.com"), "staging.example.com");
    }

    #[test]
    fn characters_that_cannot_be_seen_are_shown_by_number() {
        assert_eq!(shown("a\u{202e}b\nc"), "a\\u{202e}b\\u{a}c");
    }
}
