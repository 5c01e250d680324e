//! A far side's words, and errors with their causes, in one line.

use std::error::Error;

/// An error and its causes in one line, each said once.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1).map(ToString::to_string) {
        if !cause.is_empty() && !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    shortened(&text)
}

/// The error itself, then what caused it.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// A far side's words, in one line of a length that fits a status.
pub(super) fn shortened(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect()
}

const LONGEST: usize = 800;
