//! What Cloudflare complains of, in its own words.

/// One entry of `errors`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Complaint {
    pub(super) code: u64,
    pub(super) message: String,
    /// `source.pointer`: the field that displeases.
    pub(super) pointer: Option<String>,
}

/// A stranger's words: without control characters, and not without end.
pub(super) fn tame(words: &str, longest: usize) -> String {
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(longest).collect()
}
