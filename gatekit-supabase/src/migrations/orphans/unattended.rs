//! What may be done without a person.

use gatekit_core::Candidate;
use serde::Serialize;

/// The input of a candidate that names its branch.
const BRANCH: &str = "branch";

/// Which conclusions about [`Orphans`](super::Orphans) may be acted on without a person.
///
/// # Default
/// None.
///
/// # Example
/// ```
/// use gatekit_supabase::migrations::Unattended;
///
/// let on_previews = Unattended::none().reverted_on("preview/*").reverted_on("develop");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use = "give it to `Orphans::unattended`"]
pub struct Unattended {
    /// The patterns of the branches on which rows may be removed.
    reverted: Vec<String>,
}

impl Unattended {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Rows of which nothing is in the database may be removed, whatever is shipped.
    pub fn reverted(self) -> Self {
        self.reverted_on("*")
    }

    /// The same, when the branch that is shipped is called so: the input `branch` of the
    /// [`Candidate`], which is empty when it is not given. In the pattern `*` is any text, also none.
    pub fn reverted_on(mut self, pattern: impl Into<String>) -> Self {
        self.reverted.push(pattern.into());
        self
    }

    pub(super) fn allows_reverted(&self, candidate: &Candidate) -> bool {
        let branch = candidate.inputs.get(BRANCH).map(String::as_str).unwrap_or_default();
        self.reverted.iter().any(|pattern| fits(pattern, branch))
    }
}

/// Whether a text is what a pattern says.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    let Some((middle, last)) = rest.rsplit_once('*') else {
        return text.ends_with(rest);
    };
    // The first place of each part in between leaves the most for the others.
    let mut left = text;
    for part in middle.split('*') {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "main"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*b*c", "axbxbc"),
            ("*/x", "a/x"),
            ("**", "a"),
            ("a", "a"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a", "A"),
            ("", "a"),
            ("a*", "ba"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("preview/*", "preview"),
            ("a*b*b", "ab"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_said() {
        let on = |branch: &str| Candidate::new().with_input("branch", branch);
        assert!(!Unattended::none().allows_reverted(&on("main")));
        let previews = Unattended::none().reverted_on("preview/*");
        assert!(previews.allows_reverted(&on("preview/7")));
        assert!(!previews.allows_reverted(&on("main")));
        assert!(!previews.allows_reverted(&Candidate::new()), "the branch is not known");
        assert!(Unattended::none().reverted().allows_reverted(&Candidate::new()));
    }
}
