//! Migration files: folders on disk, and texts of any shape.

mod folder;
mod property;
