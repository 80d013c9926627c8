//! `ChainVerifier` and exported heads: the property of `gatekit-core/tests/it/property.rs`.
#![no_main]

#[path = "../../gatekit-core/tests/it/property/chain.rs"]
mod chain;
#[path = "../../gatekit-core/tests/it/property/input.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| chain::holds(data));
