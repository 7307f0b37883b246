//! Which known name was probably meant.

/// The hint for a name that is none of these: the nearest one if it is near, else all of them.
pub(super) fn hint<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return None;
    }
    let nearest = known.iter().map(|name| (distance(unknown, name), *name)).min()?;
    // A third of the letters may be wrong; beyond that it is another word.
    if nearest.0 <= (unknown.chars().count().max(3)) / 3 {
        return Some(format!("did you mean `{}`?", nearest.1));
    }
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Some(format!("known are {}", names.join(", ")))
}

/// Insertions, deletions and replacements of characters between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, other) in row.iter_mut().skip(1).zip(&b) {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = *above;
            left = replaced.min(left + 1).min(*above + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(hint("verison", ["version", "when"]), Some("did you mean `version`?".into()));
        assert_eq!(hint("colour", ["version", "when"]), Some("known are `version`, `when`".into()));
        assert_eq!(hint("x", []), None);
    }
}
