//! `Entry::from_json`: the property of `gatekit-core/tests/it/property.rs`.
#![no_main]

#[path = "../../gatekit-core/tests/it/property/entry.rs"]
mod entry;
#[path = "../../gatekit-core/tests/it/property/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::holds(data));
