//! What lies under a root: the property of `gatekit-local/tests/it/property.rs`.
#![no_main]

#[path = "../../gatekit-local/tests/it/property/root.rs"]
mod root;

libfuzzer_sys::fuzz_target!(|data: &[u8]| root::holds(data));
