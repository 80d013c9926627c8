//! Texts in statements.

use std::fmt::Write as _;

/// A text as a constant that has nothing but ASCII: neither what a file has set, nor the encoding that it talks in,
/// changes what the server reads.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 3);
    literal.push_str("E'");
    for char in text.chars() {
        match char {
            '\'' => literal.push_str("''"),
            '\\' => literal.push_str(r"\\"),
            _ if char.is_ascii() => literal.push(char),
            _ => {
                let _ = match u32::from(char) {
                    short @ ..=0xFFFF => write!(literal, r"\u{short:04X}"),
                    long => write!(literal, r"\U{long:08X}"),
                };
            }
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn what_could_end_it_or_be_read_otherwise_is_written_in_ascii() {
        assert_eq!(literal(r"it's \'; drop"), r"E'it''s \\''; drop'");
        assert_eq!(literal("é\n😀$"), "E'\\u00E9\n\\U0001F600$'");
    }
}
