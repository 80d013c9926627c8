//! `curl --fail` and the smoke gate, asked about the same misbehaving servers.

mod play;
mod table;
mod verdicts;
