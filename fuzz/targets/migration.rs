//! A migration file, in statements: the property of `gatekit-supabase/tests/it/property.rs`.
#![no_main]

#[path = "../../gatekit-supabase/tests/it/property/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| text::holds(data));
