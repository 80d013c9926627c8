//! What a script imports.

use super::lex::{Token, lex};

/// What a script imports by texts in it, as they stand there: `import`, `export … from`, and `import("…")`.
/// What comments and strings say is no import.
pub(super) fn imports(script: &str) -> Vec<String> {
    let tokens = lex(script);
    let mut found: Vec<String> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_member = at > 0 && tokens.get(at - 1) == Some(&Token::Mark('.'));
        let after = tokens.get(at + 1..).unwrap_or_default();
        let specifier = match token {
            Token::Word("import") if !is_member => imported(after),
            Token::Word("export") if !is_member => exported(after),
            _ => None,
        };
        if let Some(specifier) = specifier.filter(|it| !found.contains(it)) {
            found.push(specifier);
        }
    }
    found
}

fn imported(after: &[Token<'_>]) -> Option<String> {
    match after {
        [Token::Text(text), ..] => Some(text.clone()),
        [Token::Mark('('), Token::Text(text), Token::Mark(')' | ','), ..] => Some(text.clone()),
        after => from(after),
    }
}

fn exported(after: &[Token<'_>]) -> Option<String> {
    let clause = match after {
        [Token::Word("type"), clause @ ..] => clause,
        clause => clause,
    };
    match clause {
        [Token::Mark('*' | '{'), ..] => from(clause),
        _ => None,
    }
}

/// The text after `from`, at the end of a clause.
fn from(clause: &[Token<'_>]) -> Option<String> {
    for (at, token) in clause.iter().enumerate() {
        match token {
            Token::Word("from") => {
                if let Some(Token::Text(text)) = clause.get(at + 1) {
                    return Some(text.clone());
                }
            }
            // Names may be texts.
            Token::Word(_) | Token::Text(_) | Token::Mark('{' | '}' | ',' | '*') => {}
            Token::Mark(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_import_is_found() {
        for (script, found) in [
            ("import './a.ts'", vec!["./a.ts"]),
            ("import a from \"./a.ts\";", vec!["./a.ts"]),
            ("import a, { b as c, type D } from './a.ts'", vec!["./a.ts"]),
            ("import * as a from\n  './a.ts'", vec!["./a.ts"]),
            ("import type { A } from './a.ts'", vec!["./a.ts"]),
            ("import data from './a.json' with { type: 'json' }", vec!["./a.json"]),
            ("import { 'odd name' as b } from './a.ts'", vec!["./a.ts"]),
            ("import from from './a.ts'", vec!["./a.ts"]),
            ("export * from './a.ts'; export * as b from './b.ts'", vec!["./a.ts", "./b.ts"]),
            (
                "export { a } from './a.ts'\nexport type { B } from './b.ts'",
                vec!["./a.ts", "./b.ts"],
            ),
            ("const a = await import('./a.ts')", vec!["./a.ts"]),
            ("import(`./a.ts`, { with: {} })", vec!["./a.ts"]),
            ("const t = `${await import('./a.ts')}`", vec!["./a.ts"]),
            ("const a = 1 / 2; import './a.ts' // '", vec!["./a.ts"]),
            ("const p = <p>don't</p>\nimport './a.ts'", vec!["./a.ts"]),
            ("#!/usr/bin/env deno\nimport './a.ts'", vec!["./a.ts"]),
            ("import './a.ts'; import './a.ts'", vec!["./a.ts"]),
            ("import 'npm:x'; import 'x'", vec!["npm:x", "x"]),
        ] {
            assert_eq!(imports(script), found, "{script}");
        }
    }

    #[test]
    fn what_only_looks_like_an_import_is_none() {
        for script in [
            "// import './a.ts'",
            "/* import './a.ts' */",
            "const a = \"import './a.ts'\"",
            "const a = `import './a.ts' ${b} import './b.ts'`",
            "const a = `${`import './a.ts'`}`",
            "const a = /import '.\\/a.ts'/.test(b)",
            "const a = b.replace(/['\"]/g, '') + \"import './a.ts'\"",
            "import.meta.resolve('./a.ts')",
            "loader.import('./a.ts')",
            "export const a = './a.ts'",
            "export default './a.ts'",
            "export { a }; const from = './a.ts'",
            "import(path)",
            "import a = require('./a.ts')",
            "const a = { import: './a.ts' }",
            "import('./' + name)",
        ] {
            assert_eq!(imports(script), Vec::<String>::new(), "{script}");
        }
    }
}
