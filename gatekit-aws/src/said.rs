//! What AWS says in words, before it is told or kept.

/// The longest text that is kept, in characters.
const LONGEST: usize = 1000;

/// A text of AWS without what must not be kept: the query of an address may be a signature, as of a
/// layer that could not be pulled.
pub(crate) fn said(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(LONGEST));
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        kept.push_str(before);
        let ends = |it: char| it.is_whitespace() || matches!(it, '"' | '\'' | '`' | '<' | '>');
        let (address, after) = address.split_at(address.find(ends).unwrap_or(address.len()));
        // A name and a password may stand before the host.
        let host = address.split(['/', '?', '#']).next().unwrap_or_default();
        let from = host.rfind('@').map_or(0, |at| at + 1);
        let address = address.get(from..).unwrap_or_default();
        match address.find('?') {
            Some(at) => {
                kept.push_str(address.get(..at).unwrap_or_default());
                kept.push_str("?…");
            }
            None => kept.push_str(address),
        }
        rest = after;
    }
    kept.push_str(rest);
    match kept.char_indices().nth(LONGEST) {
        Some((at, _)) => {
            kept.truncate(at);
            kept.push('…');
            kept
        }
        None => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_cut_out_of_addresses() {
        let pull = "failed to do request: Get \"https://b.s3.amazonaws.com/layer?X-Amz-Signature=CANARY&x=1\": EOF";
        assert_eq!(
            said(pull),
            "failed to do request: Get \"https://b.s3.amazonaws.com/layer?…\": EOF"
        );
        assert_eq!(
            said("see http://u:CANARY@h/p, and s3://b?k=CANARY"),
            "see http://h/p, and s3://b?…"
        );
        assert_eq!(said("https://a/@b?q"), "https://a/@b?…");
        for plain in ["", "is it? yes", "a://", "no such image: web@sha256:1f"] {
            assert_eq!(said(plain), plain);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(said(&"é".repeat(2000)).chars().count(), LONGEST + 1);
    }
}
