//! The words of a script, as far as imports can be told by them.

/// A word, with what stands between words left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    /// A text in quotes, or in backticks without anything to fill in.
    Text(String),
    Mark(char),
}

/// Words after which `/` begins a regular expression.
const BEFORE_PATTERN: [&str; 14] = [
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "throw",
    "new",
    "else",
    "do",
    "yield",
    "await",
    "instanceof",
];

/// The tokens of a script.
pub(super) fn lex(script: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { script, at: 0, tokens: Vec::new(), filled: Vec::new(), depth: 0 };
    while let Some(next) = lexer.peek() {
        lexer.step(next);
    }
    lexer.tokens
}

struct Lexer<'a> {
    script: &'a str,
    at: usize,
    tokens: Vec<Token<'a>>,
    /// The depths of braces at which a template goes on.
    filled: Vec<usize>,
    depth: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.script.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_past(&mut self, end: &str) {
        self.at =
            self.rest().find(end).map_or(self.script.len(), |found| self.at + found + end.len());
    }

    fn step(&mut self, next: char) {
        let rest = self.rest();
        if rest.starts_with("//") || (self.at == 0 && rest.starts_with("#!")) {
            return self.skip_past("\n");
        }
        if rest.starts_with("/*") {
            self.at += 2;
            return self.skip_past("*/");
        }
        if is_in_word(next) {
            let length = rest.find(|it| !is_in_word(it)).unwrap_or(rest.len());
            let (word, _) = rest.split_at(length);
            self.at += length;
            return self.tokens.push(Token::Word(word));
        }
        self.at += next.len_utf8();
        match next {
            _ if next.is_whitespace() => {}
            '"' | '\'' => self.text(next),
            '`' => self.template(true),
            '}' if self.filled.last() == Some(&self.depth) => {
                self.filled.pop();
                self.template(false);
            }
            '/' if self.may_begin_pattern() => self.pattern(),
            _ => {
                match next {
                    '{' => self.depth += 1,
                    '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.tokens.push(Token::Mark(next));
            }
        }
    }

    /// A text up to its quote. One that does not end on its line is none: an apostrophe in JSX.
    fn text(&mut self, quote: char) {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((offset, char)) = chars.next() {
            match char {
                '\n' => break,
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                _ if char == quote => {
                    self.at += offset + 1;
                    return self.tokens.push(Token::Text(text));
                }
                _ => text.push(char),
            }
        }
        self.tokens.push(Token::Mark(quote));
    }

    /// A template up to its end, or to what is filled in.
    fn template(&mut self, is_whole: bool) {
        let rest = self.rest();
        let mut text = String::new();
        let mut chars = rest.char_indices().peekable();
        while let Some((offset, char)) = chars.next() {
            match (char, chars.peek()) {
                ('\\', _) => text.extend(chars.next().map(|(_, escaped)| escaped)),
                ('`', _) => {
                    self.at += offset + 1;
                    let token = if is_whole { Token::Text(text) } else { Token::Mark('`') };
                    return self.tokens.push(token);
                }
                ('$', Some((_, '{'))) => {
                    self.at += offset + 2;
                    self.filled.push(self.depth);
                    return self.tokens.push(Token::Mark('`'));
                }
                _ => text.push(char),
            }
        }
        self.at = self.script.len();
    }

    fn may_begin_pattern(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some(Token::Word(word)) => BEFORE_PATTERN.contains(word),
            Some(Token::Text(_)) => false,
            Some(Token::Mark(mark)) => !matches!(mark, ')' | ']' | '}' | '`'),
        }
    }

    /// A regular expression; a division when it does not end on its line.
    fn pattern(&mut self) {
        let mut is_in_class = false;
        let mut chars = self.rest().char_indices();
        while let Some((offset, char)) = chars.next() {
            match char {
                '\n' => break,
                '\\' => drop(chars.next()),
                '[' => is_in_class = true,
                ']' => is_in_class = false,
                '/' if !is_in_class => {
                    self.at += offset + 1;
                    // As a value: what comes after it is no pattern.
                    return self.tokens.push(Token::Text(String::new()));
                }
                _ => {}
            }
        }
        self.tokens.push(Token::Mark('/'));
    }
}

fn is_in_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '$' | '#')
}
