//! What is stored as an entry is read as that entry, by this build and by an older one.

use arbitrary::{Result, Unstructured};
use gatekit_core::code;
use gatekit_core::ledger::{Body, Entry};
use serde_json::{Value, json};

use super::input;

/// The bytes are taken for a text, and for an entry that is written and then damaged.
pub(crate) fn holds(data: &[u8]) {
    decodes_to_itself(&String::from_utf8_lossy(data));
    // Bytes that are too few make no entry.
    let _ = is_written_and_read(&mut Unstructured::new(data));
}

/// Whatever decodes re-encodes to an equal entry, and says so in the same text from then on.
pub(crate) fn decodes_to_itself(text: &str) {
    let entry = match Entry::from_json(text) {
        Ok(entry) => entry,
        Err(error) => return assert_eq!(error.code(), &code::LEDGER_ENTRY, "{text}"),
    };
    let written = entry.to_json().unwrap();
    let read = Entry::from_json(&written).unwrap();
    assert_eq!(read, entry, "{text}");
    assert_eq!(read.to_json().unwrap(), written, "{text}");
    // What it does to the lock must not change on the way either.
    assert_eq!(read.body.lock_effect(), entry.body.lock_effect());
    assert_eq!(read.body.is_open(), entry.body.is_open());
}

fn is_written_and_read(u: &mut Unstructured<'_>) -> Result<()> {
    let target = input::target(u)?;
    let entry = input::entry(u, target)?;
    let written = entry.to_json().unwrap();
    assert_eq!(Entry::from_json(&written).unwrap(), entry, "{written}");
    decodes_to_itself(&written);
    is_unknown_to_an_older_build(&entry, u.arbitrary()?);
    for _ in 0..4 {
        decodes_to_itself(&mutated(u, &written)?);
    }
    Ok(())
}

/// A kind of the future, and fields of the future in a known kind, can both be read.
fn is_unknown_to_an_older_build(entry: &Entry, kind: &str) {
    let mut value = serde_json::to_value(entry).unwrap();
    assert_eq!(value["body"]["kind"], entry.body.kind());
    value["body"]["a field of the future"] = json!({"kind": "opened"});
    let read = Entry::from_json(&value.to_string()).unwrap();
    assert_eq!(&read, entry);
    let kind = format!("teleported {kind}");
    value["body"]["kind"] = Value::from(kind);
    let read = Entry::from_json(&value.to_string()).unwrap();
    assert_eq!(read.body, Body::Unknown);
}

/// The text with a few characters taken out, put in, doubled or replaced.
fn mutated(u: &mut Unstructured<'_>, text: &str) -> Result<String> {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..u.int_in_range(1..=4)? {
        let at = u.choose_index(chars.len().max(1))?;
        let other = if u.arbitrary()? {
            *u.choose(&['"', '{', '}', '[', ']', ',', ':', '\\', '0', '9', '-', '.', 'e', ' '])?
        } else {
            u.arbitrary()?
        };
        match (u.int_in_range(0..=3)?, chars.get(at).copied()) {
            (0, Some(_)) => drop(chars.remove(at)),
            (1, Some(double)) => chars.insert(at, double),
            (2, Some(_)) => chars[at] = other,
            _ => chars.insert(at, other),
        }
    }
    Ok(chars.into_iter().collect())
}
