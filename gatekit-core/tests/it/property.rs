//! What holds for any input. The fuzz targets run the same functions on bytes that a fuzzer chooses.

mod chain;
mod entry;
mod input;

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_entry_is_read_as_it_was_written(data in vec(any::<u8>(), 0..2048)) {
        entry::holds(&data);
    }

    #[test]
    fn a_text_that_looks_like_an_entry_is_read_as_it_was_written(
        v in any::<u32>(),
        at in "(-00|\\+00)?[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-][01][0-9]:30)",
        fence in "(null|[0-9]{1,20}|-1|1e3)",
        number in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,3})?",
        kind in "(applying|applied|queued|settled|unknown|[a-z_]{1,8})",
    ) {
        entry::decodes_to_itself(&format!(
            r#"{{"v":{v},"at":"{at}","target":"t","run":"01a1fb58-6922-74f4-b53f-74e169d2bf51",
                "actor":"me","fence":{fence},"body":{{"kind":"{kind}","stage":"s","ticket":7,
                "already":true,"change":{number},"receipt":[{number}]}}}}"#
        ));
    }

    #[test]
    fn a_chain_shows_what_was_done_to_it(data in vec(any::<u8>(), 0..4096)) {
        chain::holds(&data);
    }
}

/// A generator that leaves a kind out would leave it untested.
#[test]
fn the_entries_of_these_tests_are_of_every_kind() {
    let kinds: BTreeSet<_> = (0..=255u8)
        .map(|choice| {
            let mut data = vec![choice];
            data.extend([7; 512]);
            input::body(&mut arbitrary::Unstructured::new(&data)).unwrap().kind()
        })
        .collect();
    assert_eq!(kinds.len(), 28, "{kinds:?}");
}
