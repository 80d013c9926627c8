//! The command line of `local-release`: the property of its `tests/it/property.rs`.
#![no_main]

#[path = "../../examples/local-release/tests/it/property/args.rs"]
mod args;

libfuzzer_sys::fuzz_target!(|data: &[u8]| args::holds(data));
