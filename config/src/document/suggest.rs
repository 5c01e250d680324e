//! Did you mean?

/// The word of `accepted` that `found` was most likely meant to be.
pub(crate) fn nearest<'a>(found: &str, accepted: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > LONGEST {
        return None;
    }
    let plain = bare(found);
    let accepted: Vec<&str> = accepted.into_iter().collect();
    let mut longer = accepted.iter().filter(|word| plain.len() >= 3 && bare(word).starts_with(&plain));
    if let (Some(word), None) = (longer.next(), longer.next()) {
        return Some(word);
    }
    let near = |word: &&str| distance(&plain, &bare(word));
    let bound = 1 + plain.chars().count() / 4;
    accepted.into_iter().min_by_key(near).filter(|word| near(word) <= bound && plain.chars().count() > near(word))
}

const LONGEST: usize = 64;

/// Case and separators do not count: `api_token` is `apiToken`.
fn bare(word: &str) -> String {
    word.chars().filter(|character| !"-_ ".contains(*character)).flat_map(char::to_lowercase).collect()
}

/// Edits from one word to the other: a character more, less, another or two swapped.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (row, cells) in rows.iter_mut().enumerate() {
        cells[0] = row;
    }
    rows[0] = (0..=right.len()).collect();
    for row in 1..=left.len() {
        for column in 1..=right.len() {
            let same = usize::from(left[row - 1] != right[column - 1]);
            let edits = [rows[row - 1][column] + 1, rows[row][column - 1] + 1, rows[row - 1][column - 1] + same];
            let swapped =
                row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1];
            let swap = if swapped { rows[row - 2][column - 2] + 1 } else { usize::MAX };
            rows[row][column] = edits.into_iter().min().unwrap_or(swap).min(swap);
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word() {
        let words = ["dnsNames", "issuers", "key", "outlets"];
        for (typo, word) in
            [("dnsName", "dnsNames"), ("dns_names", "dnsNames"), ("isuers", "issuers"), ("oultets", "outlets")]
        {
            assert_eq!(nearest(typo, words), Some(word));
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        for word in ["x", "renewBefore", "", "certificate"] {
            assert_eq!(nearest(word, ["dnsNames", "issuers", "key"]), None, "{word}");
        }
    }
}
