//! Import maps, in files of their own and in those of Deno.

use std::collections::BTreeMap;

use gatekit_core::Result;
use jsonc_parser::{ParseOptions, parse_to_serde_value};
use serde::Deserialize;

use super::paths::{about, folder_of, joined, unreadable};
use crate::code;

type Entries = BTreeMap<String, Option<String>>;

/// An import map, with the folder that it is seen from.
#[derive(Debug, Default)]
pub(super) struct ImportMap {
    folder: String,
    told: Told,
}

#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    imports: Entries,
    #[serde(default)]
    scopes: BTreeMap<String, Entries>,
    /// Where Deno's configuration has it elsewhere.
    #[serde(rename = "importMap")]
    elsewhere: Option<String>,
}

/// Where an import leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leads {
    /// To a file of the project.
    To(String),
    /// Out of the project.
    Outside,
    /// To what Deno fetches.
    Elsewhere,
}

impl ImportMap {
    /// The map in a file.
    pub(super) fn parse(path: &str, bytes: &[u8]) -> Result<Self> {
        let bad =
            || about(code::FUNCTIONS_IMPORT_MAP, "an import map cannot be read as one", path, "");
        let text =
            std::str::from_utf8(bytes).map_err(|error| unreadable(path, "").with_source(error))?;
        let told = parse_to_serde_value(text, &ParseOptions::default());
        let told = told.map_err(|error| bad().with_source(error))?;
        Ok(Self { folder: folder_of(path).to_owned(), told })
    }

    /// The file that has the map, where this one has none of its own.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        let is_empty = self.told.imports.is_empty() && self.told.scopes.is_empty();
        self.told.elsewhere.as_deref().filter(|it| is_empty && !it.is_empty())
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// Where an import of a file leads.
    pub(super) fn lead(&self, from: &str, specifier: &str) -> Leads {
        let own = seen_from(folder_of(from), specifier);
        let scopes = self.told.scopes.iter().filter_map(|(scope, entries)| {
            let is_folder = scope.ends_with('/');
            let Leads::To(scope) = seen_from(&self.folder, scope) else { return None };
            let holds = if is_folder {
                scope.is_empty() || from.strip_prefix(&*scope).is_some_and(|it| it.starts_with('/'))
            } else {
                from == scope
            };
            holds.then_some((scope.len(), entries))
        });
        let mut scopes: Vec<_> = scopes.collect();
        scopes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        let maps = scopes.into_iter().map(|(_, entries)| entries).chain([&self.told.imports]);
        let mut led = maps.filter_map(|entries| self.mapped(entries, specifier, &own));
        led.next().unwrap_or(own)
    }

    /// Where these entries lead it; the longest that fits decides.
    fn mapped(&self, entries: &Entries, specifier: &str, own: &Leads) -> Option<Leads> {
        let fits = |key: &String| {
            let is_folder = key.ends_with('/');
            if let Leads::To(mapped) = seen_from(&self.folder, key) {
                let Leads::To(own) = own else { return None };
                let rest = own.strip_prefix(&*mapped)?;
                let rest = if mapped.is_empty() { Some(rest) } else { rest.strip_prefix('/') };
                return match rest {
                    Some(rest) if is_folder => Some(rest.to_owned()),
                    _ => (*own == mapped && !is_folder).then(String::new),
                };
            }
            let rest = specifier.strip_prefix(&**key)?;
            (rest.is_empty() || is_folder).then(|| rest.to_owned())
        };
        let fitting = entries.iter().filter_map(|(key, value)| Some((key, fits(key)?, value)));
        let (_, rest, value) = fitting.max_by_key(|(key, ..)| key.len())?;
        // An entry without an address forbids the import, which the server then says.
        let Some(value) = value else { return Some(Leads::Elsewhere) };
        Some(seen_from(&self.folder, &format!("{value}{rest}")))
    }
}

/// Where a specifier leads by itself.
fn seen_from(folder: &str, specifier: &str) -> Leads {
    let is_relative = ["./", "../"].iter().any(|it| specifier.starts_with(it));
    if is_relative || matches!(specifier, "." | "..") {
        return joined(folder, specifier).map_or(Leads::Outside, Leads::To);
    }
    if specifier.starts_with('/') || specifier.starts_with("file:") {
        return Leads::Outside;
    }
    Leads::Elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> ImportMap {
        ImportMap::parse("supabase/functions/hello/deno.json", text.as_bytes()).unwrap()
    }

    #[test]
    fn imports_lead_where_the_map_says() {
        let map = map(r#"{
            // As Deno allows it.
            "imports": {
                "@shared/": "../_shared/", "greet": "./greet.ts", "std/": "https://deno.land/std/",
                "./old.ts": "./new.ts", "@shared/v2/": "../_shared2/", "/": "./", "none": null,
            },
            "scopes": { "../_shared/": { "greet": "../_shared/other.ts" } },
        }"#);
        let to = |path: &str| Leads::To(format!("supabase/functions/{path}"));
        for (from, specifier, leads) in [
            ("hello/index.ts", "./a.ts", to("hello/a.ts")),
            ("hello/index.ts", "@shared/db/x.ts", to("_shared/db/x.ts")),
            ("hello/index.ts", "@shared/v2/x.ts", to("_shared2/x.ts")),
            ("hello/index.ts", "greet", to("hello/greet.ts")),
            ("_shared/x.ts", "greet", to("_shared/other.ts")),
            ("hello/index.ts", "greeting", Leads::Elsewhere),
            ("hello/index.ts", "std/http.ts", Leads::Elsewhere),
            ("hello/index.ts", "npm:x", Leads::Elsewhere),
            ("hello/index.ts", "none", Leads::Elsewhere),
            ("hello/index.ts", "./old.ts", to("hello/new.ts")),
            ("_shared/x.ts", "../hello/old.ts", to("hello/new.ts")),
            ("hello/index.ts", "../../../../x.ts", Leads::Outside),
            ("hello/index.ts", "file:///etc/passwd", Leads::Outside),
        ] {
            let from = format!("supabase/functions/{from}");
            assert_eq!(map.lead(&from, specifier), leads, "{from} {specifier}");
        }
    }

    #[test]
    fn deno_may_have_its_map_elsewhere() {
        assert_eq!(map(r#"{ "importMap": "./map.json" }"#).elsewhere(), Some("./map.json"));
        let own = r#"{ "importMap": "./map.json", "imports": { "a": "./a.ts" } }"#;
        assert_eq!(map(own).elsewhere(), None, "its own comes first");
    }

    #[test]
    fn what_is_no_map_is_named() {
        for bad in ["{", "[]", r#"{ "imports": [] }"#] {
            let error = ImportMap::parse("deno.json", bad.as_bytes()).unwrap_err();
            assert_eq!(error.code().as_str(), "functions.import_map", "{bad}");
        }
    }
}
