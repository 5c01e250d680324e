//! Did you mean?

/// The word that `found` was most likely meant to be.
pub(super) fn nearest(found: &str, words: impl IntoIterator<Item = String>) -> Option<String> {
    let found = found.to_lowercase();
    if found.chars().count() > LONGEST {
        return None;
    }
    let bound = 1 + found.chars().count() / 4;
    let far = |word: String| (distance(&found, &word.to_lowercase()), word);
    let (edits, word) = words.into_iter().filter(|word| word.len() <= LONGEST).map(far).min()?;
    (edits <= bound && edits < found.chars().count()).then_some(word)
}

/// A hint for a fix: `did you mean …?`, or what else can be done.
pub(super) fn hint(found: &str, words: impl IntoIterator<Item = String>, otherwise: &str) -> String {
    nearest(found, words).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

/// Longer words are no slips of the hand, and comparing them costs.
const LONGEST: usize = 96;

/// Levenshtein's: a character more, less or another.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let edits = (corner + usize::from(character != *other)).min(row[column] + 1).min(row[column + 1] + 1);
            corner = std::mem::replace(&mut row[column + 1], edits);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_nothing() {
        let words = || ["staging", "production", "web"].map(str::to_owned);
        assert_eq!(nearest("stagin", words()).as_deref(), Some("staging"));
        assert_eq!(nearest("Prodution", words()).as_deref(), Some("production"));
        assert_eq!(nearest("test", words()), None);
        assert_eq!(nearest("w", words()), None);
    }
}
