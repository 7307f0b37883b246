//! Texts as JSON writes them.

/// Appends a text in quotes.
pub(super) fn quote(text: &str, out: &mut String) {
    // A text always has JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
