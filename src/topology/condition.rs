//! Reads conditions: `type in ('posted', 'edited') and not hidden`.
//!
//! ```text
//! condition  = and-terms joined by `or`
//! and-term   = not-terms joined by `and`
//! not-term   = [`not`] ( `(` condition `)` | test )
//! test       = field ( `=` | `!=` | `<>` | `<` | `<=` | `>` | `>=` ) literal
//!            | field [`not`] `in` `(` literal { `,` literal } `)`
//!            | field [`not`] `like` `'` pattern `'`            -- `%` any text, `_` one character, `\` the next one itself
//!            | field [`not`] `between` literal `and` literal   -- both included
//!            | field `is` [`not`] `null`
//!            | field                                          -- a truth value
//! field      = name { `.` name } | `"` any characters `"`
//! literal    = `'` text `'` (a quote within is doubled) | integer | number | `true` | `false`
//! ```
//! Words are read in any case. `not` binds tighter than `and`, `and` tighter than `or`.

use crate::model::predicate::{Comparison, Literal, Predicate};

/// How deep parentheses and `not` may nest.
const DEPTH_MAX: usize = 64;

/// Why a text is no condition, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConditionError {
    pub(super) offset: usize,
    pub(super) what: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Literal(Literal),
    Comparison(Comparison),
    Open,
    Close,
    Comma,
}

/// The condition that a text says.
pub(super) fn parse(text: &str) -> Result<Predicate, ConditionError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, next: 0, end: text.len(), depth: 0 };
    let predicate = parser.any_of()?;
    match parser.tokens.get(parser.next) {
        None => Ok(predicate),
        Some(_) => Err(parser.expected("`and`, `or` or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ConditionError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let offset = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '\'' => {
                let (text, length) = quoted(rest, '\'').ok_or_else(|| unclosed(offset))?;
                (Token::Literal(Literal::Text(text)), length)
            }
            '"' => {
                let (text, length) = quoted(rest, '"').ok_or_else(|| unclosed(offset))?;
                (Token::Quoted(text), length)
            }
            '=' | '!' | '<' | '>' => comparison(rest).ok_or_else(|| strange(offset, first))?,
            '0'..='9' | '-' | '+' | '.' => number(rest, offset)?,
            letter if letter.is_alphabetic() || letter == '_' || letter == '$' => {
                let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length)
            }
            other => return Err(strange(offset, other)),
        };
        tokens.push((offset, token));
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '.' | '$' | '-')
}

fn unclosed(offset: usize) -> ConditionError {
    ConditionError { offset, what: "this quote is not closed".to_owned() }
}

fn strange(offset: usize, character: char) -> ConditionError {
    ConditionError { offset, what: format!("`{character}` means nothing in a condition") }
}

/// The text in quotes at the start, and how long it is with its quotes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            content.push(character);
            continue;
        }
        if characters.next_if(|(_, next)| *next == quote).is_none() {
            return Some((content, at + 1));
        }
        content.push(quote);
    }
    None
}

fn comparison(text: &str) -> Option<(Token, usize)> {
    let signs = [
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<>", Comparison::NotEqual),
        ("!=", Comparison::NotEqual),
        ("==", Comparison::Equal),
        ("=", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let (sign, comparison) = signs.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    Some((Token::Comparison(comparison), sign.len()))
}

fn number(text: &str, offset: usize) -> Result<(Token, usize), ConditionError> {
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    let length = text.find(|c: char| !within(c)).unwrap_or(text.len());
    let digits = text.get(..length).unwrap_or_default();
    let plain = !digits.starts_with('+') && !digits.contains('_');
    let integer = digits.parse::<i128>().ok().filter(|number| plain && in_any_integer_type(*number));
    let float =
        digits.parse::<f64>().ok().filter(|number| plain && digits.contains(['.', 'e', 'E']) && number.is_finite());
    match (integer, float) {
        (Some(number), _) => Ok((Token::Literal(Literal::Integer(number)), length)),
        (None, Some(number)) => Ok((Token::Literal(Literal::Float(number)), length)),
        (None, None) => {
            Err(ConditionError { offset, what: format!("`{digits}` is not a number that a field can have") })
        }
    }
}

fn in_any_integer_type(number: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number)
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    end: usize,
    depth: usize,
}

impl Parser<'_> {
    fn any_of(&mut self) -> Result<Predicate, ConditionError> {
        let mut left = self.all_of()?;
        while self.take_word("or") {
            left = Predicate::Or(Box::new(left), Box::new(self.all_of()?));
        }
        Ok(left)
    }

    fn all_of(&mut self) -> Result<Predicate, ConditionError> {
        let mut left = self.negated()?;
        while self.take_word("and") {
            left = Predicate::And(Box::new(left), Box::new(self.negated()?));
        }
        Ok(left)
    }

    fn negated(&mut self) -> Result<Predicate, ConditionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ConditionError { offset: self.offset(), what: format!("nested deeper than {DEPTH_MAX}") });
        }
        let predicate = if self.take_word("not") {
            Predicate::Not(Box::new(self.negated()?))
        } else if self.take(&Token::Open) {
            let inner = self.any_of()?;
            self.close()?;
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(predicate)
    }

    fn test(&mut self) -> Result<Predicate, ConditionError> {
        let field = self.field()?;
        if let Some((_, Token::Comparison(operator))) = self.tokens.get(self.next) {
            self.next += 1;
            let literal = self.literal()?;
            return Ok(Predicate::Compare { field, operator: *operator, literal });
        }
        if self.take_word("is") {
            let negated = self.take_word("not");
            if !self.take_word("null") {
                return Err(self.expected("`null` or `not null`"));
            }
            let is_null = Predicate::IsNull { field };
            return Ok(if negated { Predicate::Not(Box::new(is_null)) } else { is_null });
        }
        let negated = self.take_word("not");
        if self.take_word("in") {
            let is_in = Predicate::In { field, literals: self.literals()? };
            return Ok(if negated { Predicate::Not(Box::new(is_in)) } else { is_in });
        }
        if self.take_word("like") {
            let like = self.like(field)?;
            return Ok(if negated { Predicate::Not(Box::new(like)) } else { like });
        }
        if self.take_word("between") {
            let between = self.between(field)?;
            return Ok(if negated { Predicate::Not(Box::new(between)) } else { between });
        }
        if negated { Err(self.expected("`in`, `like` or `between`")) } else { Ok(Predicate::IsTrue { field }) }
    }

    fn like(&mut self, field: String) -> Result<Predicate, ConditionError> {
        let Some((_, Token::Literal(Literal::Text(pattern)))) = self.tokens.get(self.next) else {
            return Err(self.expected("a pattern in single quotes: 'a%'"));
        };
        self.next += 1;
        Ok(Predicate::Like { field, pattern: pattern.clone() })
    }

    fn between(&mut self, field: String) -> Result<Predicate, ConditionError> {
        let least = self.literal()?;
        if !self.take_word("and") {
            return Err(self.expected("`and`"));
        }
        let most = self.literal()?;
        let compare = |operator, literal| Predicate::Compare { field: field.clone(), operator, literal };
        let (least, most) = (compare(Comparison::GreaterOrEqual, least), compare(Comparison::LessOrEqual, most));
        Ok(Predicate::And(Box::new(least), Box::new(most)))
    }

    fn literals(&mut self) -> Result<Vec<Literal>, ConditionError> {
        if !self.take(&Token::Open) {
            return Err(self.expected("`(`"));
        }
        let mut literals = vec![self.literal()?];
        while self.take(&Token::Comma) {
            let offset = self.offset();
            let literal = self.literal()?;
            let alike = literals.first().map(std::mem::discriminant) == Some(std::mem::discriminant(&literal));
            if !alike {
                return Err(ConditionError { offset, what: "all values of a list must be of one type".to_owned() });
            }
            literals.push(literal);
        }
        self.close()?;
        Ok(literals)
    }

    fn field(&mut self) -> Result<String, ConditionError> {
        let field = match self.tokens.get(self.next) {
            Some((_, Token::Quoted(field))) if !field.is_empty() => field,
            Some((_, Token::Word(word))) if !is_keyword(word) => word,
            _ => return Err(self.expected("a field")),
        };
        self.next += 1;
        Ok(field.clone())
    }

    fn literal(&mut self) -> Result<Literal, ConditionError> {
        let literal = match self.tokens.get(self.next) {
            Some((_, Token::Literal(literal))) => literal.clone(),
            Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("null") => {
                return Err(self.expected("a value; test for null with `is null`"));
            }
            Some((_, Token::Word(_) | Token::Quoted(_))) => {
                return Err(self.expected("a value; text stands in single quotes: 'text'"));
            }
            _ => return Err(self.expected("a value")),
        };
        self.next += 1;
        Ok(literal)
    }

    fn close(&mut self) -> Result<(), ConditionError> {
        if self.take(&Token::Close) { Ok(()) } else { Err(self.expected("`)`")) }
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = matches!(self.tokens.get(self.next), Some((_, next)) if next == token);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let next = self.tokens.get(self.next);
        let found = matches!(next, Some((_, Token::Word(text))) if text.eq_ignore_ascii_case(word));
        self.next += usize::from(found);
        found
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(offset, _)| *offset)
    }

    fn expected(&self, what: &str) -> ConditionError {
        ConditionError { offset: self.offset(), what: format!("expected {what}") }
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "in", "is", "null", "true", "false"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(predicate) => predicate.to_string(),
            Err(error) => format!("{}: {}", error.offset, error.what),
        }
    }

    #[test]
    fn conditions_are_read_with_the_usual_precedence() {
        assert_eq!(shown("type in ('posted','edited')"), "type in ('posted', 'edited')");
        assert_eq!(shown("a = 1 or b = 2 and not c"), "(a = 1 or (b = 2 and not c))");
        assert_eq!(
            shown("(a = 1 OR b <> 'it''s') AND c.d IS NOT NULL"),
            "((a = 1 or b != 'it''s') and not c.d is null)"
        );
        assert_eq!(shown("a not in (1, -2)"), "not a in (1, -2)");
        assert_eq!(shown("a >= 1.5 and b = true"), "(a >= 1.5 and b = true)");
        assert_eq!(shown("\"odd name\" = 'x'"), "\"odd name\" = 'x'");
        assert_eq!(shown("a like 'x%' and b NOT LIKE '_'"), "(a like 'x%' and not b like '_')");
        assert_eq!(shown("a between 1 and 3 or c"), "((a >= 1 and a <= 3) or c)");
        assert_eq!(shown("like = 1"), "like = 1");
        assert_eq!(shown("a = 18446744073709551615"), "a = 18446744073709551615");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(shown(""), "0: expected a field");
        assert_eq!(shown("a = "), "4: expected a value");
        assert_eq!(shown("type = posted"), "7: expected a value; text stands in single quotes: 'text'");
        assert_eq!(shown("a = null"), "4: expected a value; test for null with `is null`");
        assert_eq!(shown("a = 'x"), "4: this quote is not closed");
        assert_eq!(shown("a = 1 b"), "6: expected `and`, `or` or the end");
        assert_eq!(shown("a in (1, 'x')"), "9: all values of a list must be of one type");
        assert_eq!(shown("a & b"), "2: `&` means nothing in a condition");
        assert_eq!(shown("(a = 1"), "6: expected `)`");
        assert_eq!(shown("a like 5"), "7: expected a pattern in single quotes: 'a%'");
        assert_eq!(shown("a between 1 or 2"), "12: expected `and`");
        assert_eq!(shown("a not 1"), "6: expected `in`, `like` or `between`");
        assert_eq!(shown("a = 1e999"), "4: `1e999` is not a number that a field can have");
        assert_eq!(
            shown("a = 18446744073709551616"),
            "4: `18446744073709551616` is not a number that a field can have"
        );
        assert!(shown(&"(".repeat(100)).ends_with("nested deeper than 64"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in "[a-c '\"()=<>!,.0-9né-]{0,30}") {
            let _ = parse(&text);
        }
    }
}
