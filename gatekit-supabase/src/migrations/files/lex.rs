//! The words of SQL, as PostgreSQL tells them apart.
//!
//! Everything that looks into a file looks through this: what is a string for the splitter is a string
//! for the review, too. It never fails: what is not closed goes on to the end of the text.
//!
//! One pass, each byte looked at a bounded number of times: a text of any shape takes linear time.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) enum Kind {
    /// White space.
    Space,
    /// A comment: `-- …` or `/* … */`, which nest.
    Comment,
    /// A keyword or a name without quotes.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A string in single quotes, with the `E` before it when it has one.
    Text,
    /// A string in dollar quotes.
    Dollar,
    /// A number, or a parameter like `$1`.
    Number,
    /// A backslash and what comes after it. No SQL has one outside of quotes.
    Backslash,
    /// Any other character.
    Symbol,
}

/// One token of a text: where it begins, and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrations) struct Token<'a> {
    pub(in crate::migrations) kind: Kind,
    /// The offset of its first byte in the text.
    pub(in crate::migrations) at: usize,
    pub(in crate::migrations) text: &'a str,
}

impl<'a> Token<'a> {
    /// Whether it is that keyword, which is given in upper case.
    pub(in crate::migrations) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is one of these keywords.
    pub(in crate::migrations) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether it is that character.
    pub(in crate::migrations) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// Whether it may name something.
    pub(in crate::migrations) fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    /// Whether it means nothing to PostgreSQL.
    pub(in crate::migrations) fn is_blank(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// The offset after its last byte.
    pub(in crate::migrations) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// What is between the dollar quotes, and where that begins.
    pub(in crate::migrations) fn dollar_body(&self) -> Option<(usize, &'a str)> {
        if self.kind != Kind::Dollar {
            return None;
        }
        let tag = self.text.get(1..)?.find('$')? + 2;
        let inner = self.text.get(tag..)?;
        let delimiter = self.text.get(..tag)?;
        Some((self.at + tag, inner.strip_suffix(delimiter).unwrap_or(inner)))
    }
}

/// The tokens of a text, in order and without gaps. A copy of it looks ahead.
#[derive(Debug, Clone, Copy)]
pub(in crate::migrations) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// The tokens of `text`.
pub(in crate::migrations) fn lex(text: &str) -> Lexer<'_> {
    Lexer { text, at: 0 }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let at = self.at;
        let (kind, end) = self.token(self.byte(at)?);
        let text = self.text.get(at..end)?;
        self.at = end;
        Some(Token { kind, at, text })
    }
}

impl<'a> Lexer<'a> {
    /// The next token that is neither white space nor a comment.
    pub(in crate::migrations) fn next_significant(&mut self) -> Option<Token<'a>> {
        self.find(|token| !token.is_blank())
    }

    /// The one that comes after `skipped` of these.
    pub(in crate::migrations) fn nth_significant(&mut self, skipped: usize) -> Option<Token<'a>> {
        self.filter(|token| !token.is_blank()).nth(skipped)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The first offset from `at` on whose byte is none of these.
    fn after(&self, at: usize, while_it_is: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| !while_it_is(*byte)).unwrap_or(rest.len())
    }

    fn token(&self, first: u8) -> (Kind, usize) {
        let (at, second) = (self.at, self.byte(self.at + 1));
        match (first, second) {
            (b'-', Some(b'-')) => (Kind::Comment, self.after(at, |byte| !is_newline(byte))),
            (b'/', Some(b'*')) => (Kind::Comment, self.after_block(at)),
            (b'\'', _) => (Kind::Text, self.after_quote(at + 1, b'\'', false)),
            (b'e' | b'E', Some(b'\'')) => (Kind::Text, self.after_escapes(at + 2)),
            (b'"', _) => (Kind::Quoted, self.after_quote(at + 1, b'"', false)),
            (b'$', _) => self.dollar(),
            (b'\\', _) => {
                let next = self.text.get(at + 1..).and_then(|rest| rest.chars().next());
                (Kind::Backslash, at + 1 + next.map_or(0, char::len_utf8))
            }
            (b'0'..=b'9', _) => (Kind::Number, self.after(at, is_name_byte)),
            _ if is_space(first) => (Kind::Space, self.after(at, is_space)),
            _ if is_name_byte(first) => (Kind::Word, self.after(at, is_name_byte)),
            _ => (Kind::Symbol, at + 1),
        }
    }

    fn after_block(&self, at: usize) -> usize {
        let (mut at, mut depth) = (at + 2, 1_usize);
        while depth > 0 {
            at = self.after(at, |byte| byte != b'*' && byte != b'/');
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'/'), Some(b'*')) => (at, depth) = (at + 2, depth + 1),
                (Some(b'*'), Some(b'/')) => (at, depth) = (at + 2, depth - 1),
                (Some(_), _) => at += 1,
                (None, _) => return at,
            }
        }
        at
    }

    /// The offset after the quote that closes; a doubled one does not.
    fn after_quote(&self, at: usize, quote: u8, escapes: bool) -> usize {
        let mut at = at;
        loop {
            at = self.after(at, |byte| byte != quote && !(escapes && byte == b'\\'));
            match (self.byte(at), self.byte(at + 1)) {
                (None, _) => return at,
                (Some(byte), None) if byte != quote => return at + 1,
                (Some(byte), Some(next)) if byte != quote || next == quote => at += 2,
                _ => return at + 1,
            }
        }
    }

    /// As that, of `E'…'`. It goes on in a string on a later line, where backslashes count, too.
    fn after_escapes(&self, at: usize) -> usize {
        let mut end = self.after_quote(at, b'\'', true);
        while let Some(quote) = self.continued(end) {
            end = self.after_quote(quote + 1, b'\'', true);
        }
        end
    }

    /// The quote with which a string that ends at `end` goes on: only white space with a new line in
    /// it, and line comments, may be between.
    fn continued(&self, end: usize) -> Option<usize> {
        let (mut at, mut has_newline) = (end, false);
        loop {
            let space = self.after(at, is_space);
            let gap = self.text.as_bytes().get(at..space).unwrap_or_default();
            has_newline |= gap.iter().any(|byte| is_newline(*byte));
            at = space;
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'-'), Some(b'-')) => at = self.after(at, |byte| !is_newline(byte)),
                (Some(b'\''), _) if has_newline => return Some(at),
                _ => return None,
            }
        }
    }

    fn dollar(&self) -> (Kind, usize) {
        let at = self.at;
        let tag = self.after(at + 1, |byte| byte != b'$' && is_name_byte(byte));
        let has_digit = self.byte(at + 1).is_some_and(|byte| byte.is_ascii_digit());
        if self.byte(tag) != Some(b'$') || has_digit {
            // `$` alone, or a parameter.
            return (if tag == at + 1 { Kind::Symbol } else { Kind::Number }, tag.max(at + 1));
        }
        let delimiter = self.text.get(at..=tag).unwrap_or_default();
        (Kind::Dollar, self.after_delimiter(tag + 1, delimiter))
    }

    /// The offset after the next `delimiter`. It has a `$` at both ends and none between, so that
    /// only two neighbouring `$` at the right distance have to be compared: no byte twice.
    fn after_delimiter(&self, from: usize, delimiter: &str) -> usize {
        let mut before = None;
        let mut at = from;
        loop {
            at = self.after(at, |byte| byte != b'$');
            if at >= self.text.len() {
                return self.text.len();
            }
            let is_near = before.is_some_and(|before| at + 1 - before == delimiter.len());
            let found = before.and_then(|before| self.text.get(before..=at));
            if is_near && found == Some(delimiter) {
                return at + 1;
            }
            before = Some(at);
            at += 1;
        }
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// What PostgreSQL takes for white space; the vertical tab it does since version 16.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

/// Whatever is not ASCII is part of a name, as in PostgreSQL.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        lex(text).filter(|it| it.kind != Kind::Space).map(|it| (it.kind, it.text)).collect()
    }

    #[test]
    fn tokens_are_those_of_postgresql() {
        use Kind::*;
        let cases: &[(&str, &[(Kind, &str)])] = &[
            ("a$b$ $1", &[(Word, "a$b$"), (Number, "$1")]),
            ("'a''b' x", &[(Text, "'a''b'"), (Word, "x")]),
            (r"'a\' x", &[(Text, r"'a\'"), (Word, "x")]),
            (r"E'a\'b' x", &[(Text, r"E'a\'b'"), (Word, "x")]),
            (r"E'a\\' x", &[(Text, r"E'a\\'"), (Word, "x")]),
            (r"type'a\' x", &[(Word, "type"), (Text, r"'a\'"), (Word, "x")]),
            ("E'a'\n -- c\n 'b\\'c' x", &[(Text, "E'a'\n -- c\n 'b\\'c'"), (Word, "x")]),
            ("E'a' 'b'", &[(Text, "E'a'"), (Text, "'b'")]),
            ("\"a\"\"b\"", &[(Quoted, "\"a\"\"b\"")]),
            ("$$a$b$$ x", &[(Dollar, "$$a$b$$"), (Word, "x")]),
            ("$a$ $b$ ; $b$ $$ $a$x", &[(Dollar, "$a$ $b$ ; $b$ $$ $a$"), (Word, "x")]),
            ("$$$1$$ x", &[(Dollar, "$$$1$$"), (Word, "x")]),
            ("$a$a$ $a$", &[(Dollar, "$a$a$ $a$")]),
            ("$ü$;$ü$", &[(Dollar, "$ü$;$ü$")]),
            ("1$$", &[(Number, "1$$")]),
            ("--a\rb", &[(Comment, "--a"), (Word, "b")]),
            ("+--a", &[(Symbol, "+"), (Comment, "--a")]),
            ("/*/ ; */x", &[(Comment, "/*/ ; */"), (Word, "x")]),
            ("/* /* ; */ ; */x", &[(Comment, "/* /* ; */ ; */"), (Word, "x")]),
            ("/* a *//b", &[(Comment, "/* a */"), (Symbol, "/"), (Word, "b")]),
            (r"\;x", &[(Backslash, r"\;"), (Word, "x")]),
            (r"\ü", &[(Backslash, r"\ü")]),
            (r"\", &[(Backslash, r"\")]),
            ("'open", &[(Text, "'open")]),
            (r"E'open\", &[(Text, r"E'open\")]),
            ("/* open", &[(Comment, "/* open")]),
            ("$x$ open $x", &[(Dollar, "$x$ open $x")]),
            ("größe", &[(Word, "größe")]),
        ];
        for (text, tokens) in cases {
            assert_eq!(kinds(text), *tokens, "{text}");
        }
    }

    #[test]
    fn a_dollar_body_is_what_is_between() {
        let body = |text| lex(text).next().and_then(|token| token.dollar_body());
        assert_eq!(body("$$a$$"), Some((2, "a")));
        assert_eq!(body("$t$ a $$ $t$"), Some((3, " a $$ ")));
        assert_eq!(body("$t$ open"), Some((3, " open")));
        assert_eq!(body("a"), None);
    }
}
