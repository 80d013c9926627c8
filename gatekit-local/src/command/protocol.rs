//! What programs are asked and answer: JSON objects.

use gatekit_core::{Code, Effect, Error, Live, Location, PlanContext, Result};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::program::Program;
use super::run::{Dialogue, Ended};
use crate::code;

/// The most that a program may answer, in bytes.
const ANSWER: usize = 1 << 20;

/// How many lines of a program's output an error quotes.
const QUOTED: usize = 12;

/// The version of the protocol.
const VERSION: u32 = 1;

/// The question of a call.
pub(super) fn dialogue(cx: &PlanContext, call: &str, told: Value) -> Dialogue {
    let mut question = json!({
        "v": VERSION, "call": call, "target": cx.target(), "run": cx.run(),
        "candidate": cx.candidate(),
    });
    if let (Value::Object(question), Value::Object(told)) = (&mut question, told) {
        question.extend(told);
    }
    Dialogue { told: format!("{question}\n").into_bytes(), asked: Some(ANSWER) }
}

/// An answer that a call asks for.
pub(super) trait Answer: DeserializeOwned {
    /// As an error shows it.
    const FORM: &'static str;
}

/// The answer of a program that has ended.
pub(super) fn answer<T: Answer>(program: &Program, ended: &Ended) -> Result<T> {
    let failed = |code, what: String| {
        let tail = ended.tail(program, QUOTED);
        let error = Error::new(code, what);
        if tail.is_empty() { error } else { error.with_context("it printed", tail) }
    };
    let Some(status) = ended.status else {
        let late = format!("{}, and was ended", ended.late(program));
        return Err(failed(code::COMMAND_TIMEOUT, late));
    };
    let object = serde_json::from_slice::<Map<String, Value>>(&ended.answer);
    let told = object.as_ref().ok().and_then(|object| object.get("error")).map(complaint);
    if let Some(Ok(complaint)) = told {
        let what = format!("`{program}` says: {}", program.shown_line(&complaint.message));
        return Err(failed(complaint.code, what).with_effect(complaint.effect));
    }
    if !status.success() {
        return Err(failed(code::COMMAND_EXIT, format!("`{program}` ended with {status}")));
    }
    let protocol = |what: String| failed(code::COMMAND_PROTOCOL, what);
    if ended.flooded {
        return Err(protocol(format!("`{program}` answered more than {ANSWER} bytes")));
    }
    if let Some(Err(why)) = told {
        return Err(protocol(format!("`{program}` tells of an error that cannot be read: {why}")));
    }
    // The cause is not given along: it may quote what was answered.
    let unreadable = |error: serde_json::Error| {
        let what = format!("`{program}` gave no answer that can be read");
        protocol(what)
            .with_context("asked for", T::FORM)
            .with_context("line", error.line())
            .with_context("column", error.column())
    };
    object.map_err(unreadable)?;
    serde_json::from_slice(&ended.answer).map_err(unreadable)
}

/// That a program failed, in its own words.
struct Complaint {
    code: Code,
    message: String,
    effect: Effect,
}

fn complaint(error: &Value) -> std::result::Result<Complaint, &'static str> {
    let error = error.as_object().ok_or("it is no object")?;
    let message = error.get("message").and_then(Value::as_str).ok_or("it has no message")?;
    let effect = match error.get("effect") {
        None | Some(Value::Null) => Effect::Unknown,
        Some(effect) => Effect::deserialize(effect)
            .map_err(|_| "its effect is none of `none`, `unknown` and `done`")?,
    };
    let code = match error.get("code") {
        None | Some(Value::Null) => code::COMMAND_FAILED,
        Some(code) => own_code(code)
            .ok_or("its code is none of the program's own, like `image.out_of_space`")?,
    };
    Ok(Complaint { code, message: message.to_owned(), effect })
}

/// A code of the program's own. By those of gatekit the engine knows what has happened to it, not to
/// a program.
fn own_code(code: &Value) -> Option<Code> {
    let text = code.as_str()?;
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let (area, what) = text.split_once('.')?;
    let named = |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase());
    let valid = text.len() <= 64
        && named(area)
        && what.split('.').chain([area]).all(|part| !part.is_empty() && part.chars().all(fine));
    let ours = gatekit_core::code::ALL.iter().chain(code::ALL);
    if !valid || ours.clone().any(|listed| listed.code.area() == area) {
        return None;
    }
    Code::deserialize(code).ok()
}

/// Null is what a program writes whose variable is empty.
fn not_null<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Value, D::Error> {
    let value = Value::deserialize(from)?;
    if value.is_null() { Err(D::Error::custom("null")) } else { Ok(value) }
}

#[derive(Deserialize)]
pub(super) struct PlanAnswer {
    pub(super) change: Value,
    #[serde(deserialize_with = "not_null")]
    pub(super) scope: Value,
    pub(super) summary: String,
    #[serde(default)]
    pub(super) one_way: Option<String>,
}

impl Answer for PlanAnswer {
    const FORM: &'static str = r#"{"change": .., "scope": .., "summary": ".."}"#;
}

#[derive(Deserialize)]
pub(super) struct Applied {
    #[serde(deserialize_with = "not_null")]
    pub(super) receipt: Value,
}

impl Answer for Applied {
    const FORM: &'static str = r#"{"receipt": ..}"#;
}

#[derive(Deserialize)]
pub(super) struct Undone {}

impl Answer for Undone {
    const FORM: &'static str = "{}";
}

#[derive(Deserialize)]
pub(super) struct LiveAnswer {
    // Otherwise a missing one would be null: nothing is live.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) live: Option<LiveRelease>,
}

impl Answer for LiveAnswer {
    const FORM: &'static str = r#"{"live": {"release": "..", "version": ".."}} or {"live": null}"#;
}

// By way of an object, for a struct can be read from an array, too.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(super) struct LiveRelease(Live);

impl TryFrom<Map<String, Value>> for LiveRelease {
    type Error = &'static str;

    fn try_from(live: Map<String, Value>) -> std::result::Result<Self, Self::Error> {
        let release = live.get("release").and_then(Value::as_str).ok_or("no release")?;
        let version = match live.get("version") {
            None | Some(Value::Null) => None,
            Some(version) => Some(version.as_str().ok_or("a version that is no text")?.to_owned()),
        };
        Ok(Self(Live::new(release, version)))
    }
}

impl From<LiveRelease> for Live {
    fn from(live: LiveRelease) -> Self {
        live.0
    }
}

#[derive(Deserialize)]
#[serde(tag = "at", rename_all = "lowercase")]
pub(super) enum Located {
    Before,
    After,
    Between { why: String },
    Elsewhere { live: LiveRelease },
    Unknown { why: String },
}

impl Answer for Located {
    const FORM: &'static str =
        r#"{"at": "before" or "after"}, or with "why" or "live" as the call says"#;
}

impl Located {
    pub(super) fn told_by(self, program: &Program) -> Location {
        match self {
            Self::Before => Location::Before,
            Self::After => Location::After,
            Self::Between { why } => Location::Between(program.shown_line(&why)),
            Self::Elsewhere { live } => Location::Elsewhere(live.into()),
            Self::Unknown { why } => Location::Unknown(program.shown_line(&why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_codes_of_its_own_and_none_of_gatekit() {
        for (code, fine) in [
            ("image.out_of_space", true),
            ("my_tool.a.b2", true),
            ("lock.lost", false),
            ("ledger.own", false),
            ("deploy.pause_rejected", false),
            ("command.exit", false),
            ("image", false),
            ("image.", false),
            (".lost", false),
            ("Image.lost", false),
            ("image.lost space", false),
            ("image..lost", false),
            ("4.lost", false),
        ] {
            assert_eq!(own_code(&json!(code)).is_some(), fine, "{code}");
        }
        assert!(own_code(&json!(format!("a.{}", "b".repeat(64)))).is_none());
        assert!(own_code(&json!(1)).is_none());
    }
}
