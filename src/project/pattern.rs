//! The patterns of `like`: `%` is any text, `_` one character, `\` takes the next character as it is.

/// A pattern, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Exactly(char),
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let piece = match character {
                '%' => Piece::Any,
                '_' => Piece::One,
                // At the end it stands for itself.
                '\\' => Piece::Exactly(characters.next().unwrap_or('\\')),
                other => Piece::Exactly(other),
            };
            // Several of them say no more than one.
            if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
                pieces.push(piece);
            }
        }
        Self(pieces)
    }

    /// Whether the whole text is of this pattern. Takes at most the product of both lengths: only the last `%` is ever
    /// tried again.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.as_slice();
        let mut rest = text.chars();
        let mut retry: Option<(&[Piece], std::str::Chars<'_>)> = None;
        loop {
            match pieces.split_first() {
                None if rest.as_str().is_empty() => return true,
                Some((Piece::Any, behind)) => {
                    retry = Some((behind, rest.clone()));
                    pieces = behind;
                    continue;
                }
                Some((piece, behind)) => {
                    let mut ahead = rest.clone();
                    let next = ahead.next();
                    let fits = match piece {
                        Piece::Exactly(character) => next == Some(*character),
                        Piece::One | Piece::Any => next.is_some(),
                    };
                    if fits {
                        (pieces, rest) = (behind, ahead);
                        continue;
                    }
                }
                None => {}
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (pieces, rest) = (behind, from.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, without a thought of its cost.
    fn naive(pieces: &[Piece], text: &[char]) -> bool {
        match (pieces.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((Piece::Any, behind)), rest) => {
                naive(behind, text) || rest.is_some_and(|(_, behind_text)| naive(pieces, behind_text))
            }
            (Some(_), None) => false,
            (Some((Piece::One, behind)), Some((_, rest))) => naive(behind, rest),
            (Some((Piece::Exactly(wanted), behind)), Some((found, rest))) => wanted == found && naive(behind, rest),
        }
    }

    #[test]
    fn patterns_are_those_of_sql() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(text);
        assert!(matches("chat.%", "chat.messages") && !matches("chat.%", "a chat.messages"));
        assert!(matches("_é", "xé") && !matches("_é", "é"));
        assert!(matches("100\\%", "100%") && !matches("100\\%", "1000"));
        assert!(matches("", "") && !matches("", "a") && matches("%", "") && matches("\\", "\\"));
        assert!(!matches(&"%a".repeat(40), &"a".repeat(39)));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_definition_says(pattern in "[ab%_\\\\]{0,8}", text in "[ab%é]{0,10}") {
            let pattern = Pattern::new(&pattern);
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(pattern.matches(&text), naive(&pattern.0, &characters));
        }
    }
}
