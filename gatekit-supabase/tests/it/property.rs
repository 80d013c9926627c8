//! What holds of a text of any shape. The fuzz target runs the same functions on bytes that a fuzzer chooses.

mod text;

use gatekit_supabase::migrations::{File, review, split};
use proptest::collection::vec;
use proptest::prelude::*;

fn sql() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => vec(prop::sample::select(text::PIECES), 0..40).prop_map(|it| it.concat()),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn nothing_but_white_space_and_semicolons_is_lost(sql in sql()) {
        text::nothing_is_lost(&sql);
    }

    #[test]
    fn a_split_text_has_not_drifted(sql in sql()) {
        text::has_not_drifted(&sql);
    }

    #[test]
    fn a_statement_of_a_text_is_one_statement_by_itself(sql in sql()) {
        text::is_one_statement_each(&sql);
    }

    #[test]
    fn a_file_of_any_text_is_judged(sql in sql()) {
        text::is_judged(&sql);
    }

    #[test]
    fn whatever_the_bytes_of_a_file_are_it_is_read_right_or_refused(data in vec(any::<u8>(), 0..256)) {
        text::holds(&data);
    }

    #[test]
    fn what_destroys_something_is_found_wherever_it_stands(before in sql(), after in sql()) {
        // Behind a statement that is closed, whatever comes after it.
        let [before, after] = [before, after].map(|it| it.replace(['\0', '\u{feff}'], ""));
        let closed = split(&format!("{before}\n;drop_here;")).last().is_some_and(|it| it.text == "drop_here");
        if !closed {
            return Ok(());
        }
        let sql = format!("{before}\n;drop table t;\n;{after}");
        let file = File::from_bytes("m/1_a.sql", "1", "a", sql.as_bytes()).unwrap();
        let line = 2 + before.matches('\n').count();
        let found = review(&[&file]);
        prop_assert!(found.iter().any(|it| it.line == line && it.rule == "drop-table"), "{:?}", found);
    }
}
