//! What holds for anything that lies under a root. The fuzz target runs the same function on bytes
//! that a fuzzer chooses.

mod root;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn whatever_lies_under_a_root_is_read_right_or_refused(data in vec(any::<u8>(), 0..1024)) {
        root::holds(&data);
    }
}
