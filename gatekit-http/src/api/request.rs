//! What an API is asked.

use std::fmt;

/// The largest answer that is read unless a request says otherwise, in bytes.
const LIMIT: usize = 4 * 1024 * 1024;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reads.
    Get,
    /// Makes something.
    Post,
    /// Puts something in the place of what is there.
    Put,
    /// Changes something.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// The word of HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One part of a form.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) content: Vec<u8>,
}

impl Part {
    /// A field with that text.
    #[must_use]
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), file: None, content: text.into().into_bytes() }
    }

    /// A file by its name, as bytes without a kind.
    #[must_use]
    pub fn file(name: impl Into<String>, file: impl Into<String>, content: Vec<u8>) -> Self {
        Self { name: name.into(), file: Some(file.into()), content }
    }
}

impl fmt::Debug for Part {
    /// Without what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} {:?}, {} bytes)", self.name, self.file, self.content.len())
    }
}

/// What goes with a request.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Body {
    Nothing,
    Bytes { kind: &'static str, content: Vec<u8> },
    Form(Vec<Part>),
}

/// One request to an [`Api`](super::Api).
#[derive(Clone, PartialEq, Eq)]
#[must_use = "give it to `Api::send`"]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) limit: usize,
}

impl Request {
    /// A request of that method to a path below the base, segment by segment: each is escaped.
    ///
    /// # Default
    /// No query, no body; an answer may have 4 MiB.
    pub fn new<S: Into<String>>(method: Method, path: impl IntoIterator<Item = S>) -> Self {
        let path = path.into_iter().map(Into::into).collect();
        Self { method, path, query: Vec::new(), body: Body::Nothing, limit: LIMIT }
    }

    /// Adds a pair to the query.
    pub fn with_query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sends that JSON text.
    pub fn with_json(self, text: impl Into<String>) -> Self {
        self.with_bytes("application/json", text.into().into_bytes())
    }

    /// Sends these bytes, of that kind.
    pub fn with_bytes(mut self, kind: &'static str, content: Vec<u8>) -> Self {
        self.body = Body::Bytes { kind, content };
        self
    }

    /// Sends a form of these parts, in their order.
    pub fn with_form(mut self, parts: Vec<Part>) -> Self {
        self.body = Body::Form(parts);
        self
    }

    /// Reads an answer of up to so many bytes.
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl fmt::Debug for Request {
    /// Without query and body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} /{})", self.method, self.path.join("/"))
    }
}
