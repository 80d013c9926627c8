//! Forms of several parts, as RFC 7578 has them.

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The name of its field.
    pub name: String,
    /// The name of its file, where it is one.
    pub file: Option<String>,
    /// What kind it says it is.
    pub kind: Option<String>,
    /// What is in it.
    pub content: Vec<u8>,
}

/// The parts of a body whose kind names their boundary; `None` when it is no form.
pub(super) fn parts(kind: &str, body: &[u8]) -> Option<Vec<Sent>> {
    let (form, boundary) = kind.split_once("boundary=")?;
    if !form.trim_start().starts_with("multipart/form-data") {
        return None;
    }
    let boundary = format!("--{}", boundary.split(';').next()?.trim().trim_matches('"'));
    let mut parts = Vec::new();
    let mut rest = body.get(find(body, boundary.as_bytes())? + boundary.len()..)?;
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let head = find(rest, b"\r\n\r\n")?;
        let content = rest.get(head + 4..)?;
        let end = find(content, format!("\r\n{boundary}").as_bytes())?;
        parts.push(part(std::str::from_utf8(rest.get(..head)?).ok()?, content.get(..end)?)?);
        rest = content.get(end + 2 + boundary.len()..)?;
    }
    Some(parts)
}

fn part(head: &str, content: &[u8]) -> Option<Sent> {
    let header = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let disposition = header("content-disposition")?;
    let parameter = |wanted: &str| {
        let mut pairs = disposition.split("; ").filter_map(|it| it.split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == wanted)?;
        Some(value.trim_matches('"').to_owned())
    };
    Some(Sent {
        name: parameter("name")?,
        file: parameter("filename"),
        kind: header("content-type").map(str::to_owned),
        content: content.to_owned(),
    })
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_byte_for_byte() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a/b.ts\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n\x00\r\n\xff\r\n--x\r\n\
            Content-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n--x--\r\n";
        let parts = parts("multipart/form-data; boundary=x", body).unwrap();
        let [file, metadata] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!((&*file.name, file.file.as_deref()), ("file", Some("a/b.ts")));
        assert_eq!(file.kind.as_deref(), Some("application/octet-stream"));
        assert_eq!(file.content, b"\x00\r\n\xff");
        assert_eq!(
            (&*metadata.name, &metadata.file, &*metadata.content),
            ("metadata", &None, &b"{}"[..])
        );
    }

    #[test]
    fn what_is_no_form_has_no_parts() {
        assert_eq!(parts("application/json", b"{}"), None);
        assert_eq!(parts("multipart/form-data; boundary=x", b"--x\r\n"), None);
    }
}
