//! What statements say.

use gatekit_core::Digest;

use super::lex::{Kind, lex};

/// What a history says, without where it was split: two of one text have one digest. White space counts where it is
/// in a string, a name or a comment.
pub(in crate::migrations) fn content<S: AsRef<str>>(statements: &[S]) -> Digest {
    let mut all = Vec::new();
    for token in statements.iter().flat_map(|it| lex(it.as_ref())) {
        let text = token.text.trim_matches('\u{feff}');
        let text = if token.kind == Kind::Comment { text.trim_end() } else { text };
        if token.kind != Kind::Space && !token.is_symbol(";") && !text.is_empty() {
            // Each with its length: `a b` is not `ab`.
            all.extend((text.len() as u64).to_be_bytes());
            all.extend_from_slice(text.as_bytes());
        }
    }
    Digest::of(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_one_digest_however_it_was_split() {
        for (one, other) in [
            (vec!["select 1", "select 2"], vec!["select 1;\nselect 2;"]),
            (vec!["\u{feff}select\t1"], vec!["select 1 "]),
            (vec!["select 1 -- one "], vec!["select 1 -- one\r\n"]),
        ] {
            assert_eq!(content(&one), content(&other), "{one:?}");
        }
        for (one, other) in [
            ("select 'a b'", "select 'ab'"),
            ("select 'a;b'", "select 'ab'"),
            ("-- fix\ndelete from a", "-- fix delete from a"),
            ("select a b", "select ab"),
            ("create function f() as $$ select 1; $$", "create function f() as $$ select 1 $$"),
        ] {
            assert_ne!(content(&[one]), content(&[other]), "{one}");
        }
    }
}
