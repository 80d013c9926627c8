//! What holds for any command line. The fuzz target runs the same function on bytes that a fuzzer
//! chooses.

mod args;

use std::fs;
use std::process::{Command, Stdio};

use arbitrary::Unstructured;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::site::PROGRAM;

proptest! {
    #[test]
    fn any_words_are_a_command_or_an_error_of_usage(data in vec(any::<u8>(), 0..512)) {
        args::holds(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_no_command_ends_with_exit_2_and_touches_nothing(data in vec(any::<u8>(), 0..512)) {
        let Ok(words) = args::words(&mut Unstructured::new(&data)) else { return Ok(()) };
        // No program can be given a NUL.
        let given = words.iter().all(|word| !word.as_encoded_bytes().contains(&0));
        if !given || args::is_a_command_or_usage(&words) {
            return Ok(());
        }
        let nowhere = tempfile::tempdir().unwrap();
        let mut program = Command::new(PROGRAM);
        program.args(&words[1..]).current_dir(&nowhere).stdin(Stdio::null());
        program.env_remove("GATEKIT_LEDGER").env("HOME", nowhere.path());
        let output = program.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        prop_assert!(matches!(output.status.code(), Some(0 | 2)), "{words:?}: {stderr}");
        prop_assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
        prop_assert_eq!(fs::read_dir(&nowhere).unwrap().count(), 0, "{:?}", words);
    }
}
