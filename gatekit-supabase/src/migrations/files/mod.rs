//! What lies in the folder: its files, their statements, how these can be applied, and what of them is.

pub(super) mod content;
pub(super) mod file;
pub(super) mod folder;
pub(super) mod head;
pub(super) mod kind;
pub(super) mod lex;
pub(super) mod merge;
pub(super) mod mode;
pub(super) mod place;
pub(super) mod split;
