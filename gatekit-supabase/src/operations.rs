//! Every operation of the management API that is called, and what goes without it.

use std::fmt;

use gatekit_http::Method;

/// Whether a release needs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// It fails without.
    Required,
    /// It goes without, where the API forbids or does not know it: what is then not possible is said.
    Optional,
}

/// An operation of Supabase's management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, as the API's own description has it.
    pub path: &'static str,
    /// What a token must be allowed, as `edge_functions:read`.
    pub scope: &'static str,
    /// Whether its users need it.
    pub need: Need,
    /// What it is called for.
    pub purpose: &'static str,
}

impl Operation {
    /// The path for a project, and for a function where it names one.
    pub(crate) fn segments<'a>(&self, project: &'a str, slug: &'a str) -> Vec<&'a str>
    where
        Self: 'a,
    {
        let path: &'static str = self.path;
        let segments = path.trim_matches('/').split('/');
        segments
            .map(|it| match it {
                "{ref}" => project,
                "{function_slug}" => slug,
                other => other,
            })
            .collect()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

macro_rules! operations {
    ($($name:ident: $method:ident $path:literal, $scope:literal, $need:ident, $purpose:literal;)+) => {
        $(pub(crate) const $name: &Operation = &Operation {
            method: Method::$method, path: $path, scope: $scope, need: Need::$need, purpose: $purpose,
        };)+
        /// Every operation that this crate calls.
        pub const ALL: &[&Operation] = &[$($name),+];
    };
}

operations! {
    LIST_FUNCTIONS: Get "/v1/projects/{ref}/functions", "edge_functions:read", Required,
        "to read what is live: versions, checksums, `verify_jwt`";
    FUNCTION_BODY: Get "/v1/projects/{ref}/functions/{function_slug}/body", "edge_functions:read", Optional,
        "to keep the artefact that is replaced; without it there is no way back";
    DEPLOY_FUNCTION: Post "/v1/projects/{ref}/functions/deploy", "edge_functions:write", Required,
        "to bundle functions, and to make a single one live";
    SWITCH_FUNCTIONS: Put "/v1/projects/{ref}/functions", "edge_functions:write", Required,
        "to make several functions live at once";
    UPDATE_FUNCTION: Patch "/v1/projects/{ref}/functions/{function_slug}", "edge_functions:write", Optional,
        "to put a former artefact back; without it a release that is bad stays";
    DELETE_FUNCTION: Delete "/v1/projects/{ref}/functions/{function_slug}", "edge_functions:write", Optional,
        "to remove a function that was not there before; without it a first release that is bad stays";
    LIST_SECRETS: Get "/v1/projects/{ref}/secrets", "secrets:read", Required,
        "to read the names of the secrets";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once() {
        let mut listed: Vec<_> = ALL.iter().map(|it| it.to_string()).collect();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), ALL.len());
        assert!(ALL.iter().all(|it| it.path.starts_with("/v1/projects/{ref}/")));
    }

    #[test]
    fn the_readme_names_each_with_its_scope() {
        for it in ALL {
            let row = format!("| `{it}` | `{}` |", it.scope);
            assert!(include_str!("../README.md").contains(&row), "{row}");
        }
    }

    #[test]
    fn names_stand_in_the_place_of_their_braces() {
        let path = FUNCTION_BODY.segments("abc", "hello").join("/");
        assert_eq!(path, "v1/projects/abc/functions/hello/body");
    }
}
