//! What servers do, and where a gate differs from curl.

use std::time::Duration;

use self::Verdict::{AsCurl, Blocks, Passes};
use super::play::{Cert, Play};

/// What a gate is expected to say, beside curl.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    AsCurl,
    /// It blocks what curl lets pass, for that reason.
    Blocks(&'static str),
    /// It lets pass what curl refuses, for that reason.
    Passes(&'static str),
}

/// One server, and how the gates stand to curl there.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) play: Play,
    pub(super) scheme: &'static str,
    pub(super) path: &'static str,
    pub(super) compat: Verdict,
    pub(super) smoke: Verdict,
}

/// `hello`, by gzip.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xe7\x02\x00\x20\x30\x3a\x36\x06\x00\x00\x00";

// Why the default gate says no where `curl --fail` says yes.
const REDIRECTED: Verdict = Blocks("a redirect that leads nowhere good is no answer");
const NOT_2XX: Verdict = Blocks("only 2xx is a good answer");
const LIMITED: Verdict = Blocks("bodies are limited to 1 MiB");
const STRICT: Verdict = Blocks("only `curl_compat` forgives malformed or very many headers");

// Why both do. What the HTTP library does not let through is named in the documentation of `curl_compat`.
const STATUS_LINE: Verdict = Blocks("hyper knows `HTTP/1.0` and `HTTP/1.1`, spelled like that");
const LENGTH: Verdict = Blocks("hyper takes digits alone, that make 64 bits, and one length only");
const CUT: Verdict = Blocks("hyper needs the empty line at the end of the headers");
const CHUNK_LINES: Verdict =
    Blocks("hyper wants chunks to end in CR and LF, and HTTP/1.1 for them");
const RETURN: Verdict = Blocks("hyper takes a lone CR for no part of a header, also leniently");
const TRANSFER: Verdict = Blocks("no decoder is built in for transfer encodings");

const TLS_END: Verdict = Blocks("rustls tells the end of a body from a connection that was cut");

// Why they say yes where curl says no.
const COLON: Verdict = Passes("hyper skips a line without a colon as it skips malformed names");
const EMPTY_LINE: Verdict = Passes("hyper skips empty lines before the status line");
const LARGE: Verdict = Passes("the default gate limits all headers, but none by itself");

fn case(name: &'static str, play: Play) -> Case {
    Case { name, play, scheme: "http", path: "/", compat: AsCurl, smoke: AsCurl }
}

impl Case {
    /// Only the default gate differs from curl, like that.
    fn smoke(self, smoke: Verdict) -> Self {
        Self { smoke, ..self }
    }

    /// Only `curl_compat` differs from curl, like that.
    fn compat(self, compat: Verdict) -> Self {
        Self { compat, ..self }
    }

    /// Both gates differ from curl, like that.
    fn both(self, both: Verdict) -> Self {
        self.compat(both).smoke(both)
    }
}

/// The server sends `text`, and closes.
fn send(name: &'static str, text: impl AsRef<[u8]>) -> Case {
    case(name, Play::Send(text.as_ref().to_vec()))
}

/// The server answers with that status line, an empty body, and closes.
fn status(line: &'static str) -> Case {
    send(line, format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"))
}

/// The server sends these headers, a body of 2 bytes, and closes.
fn headers(name: &'static str, lines: impl AsRef<[u8]>) -> Case {
    let lines = [b"HTTP/1.1 200 OK\r\n", lines.as_ref(), b"Content-Length: 2\r\n\r\nok"].concat();
    send(name, lines)
}

/// The server sends a chunked body as it is written there, and closes.
fn chunked(name: &'static str, body: &'static str) -> Case {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    send(name, format!("{head}{body}"))
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [
        statuses(),
        redirects(),
        status_lines(),
        lengths(),
        chunks(),
        header_lines(),
        connections(),
        tls(),
    ]
    .concat()
}

fn statuses() -> Vec<Case> {
    vec![
        status("200 OK"),
        status("201 Created"),
        status("202 Accepted"),
        status("206 Partial Content"),
        status("226 IM Used"),
        status("299 Odd"),
        send("204 without a length, kept open", "HTTP/1.1 204 No Content\r\n\r\n"),
        headers("200 with what no browser shows", "X-A: b\r\n"),
        send("204 with a body", "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok"),
        send("205 with a body", "HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nok"),
        send("304 with a length and no body", "HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n")
            .smoke(NOT_2XX),
        status("300 Multiple Choices").smoke(NOT_2XX),
        status("304 Not Modified").smoke(NOT_2XX),
        status("305 Use Proxy").smoke(NOT_2XX),
        status("399 Odd").smoke(NOT_2XX),
        status("400 Bad Request"),
        status("401 Unauthorized"),
        status("403 Forbidden"),
        status("404 Not Found"),
        status("407 Proxy Authentication Required"),
        status("408 Request Timeout"),
        status("416 Range Not Satisfiable"),
        status("429 Too Many Requests"),
        status("500 Internal Server Error"),
        status("503 Service Unavailable"),
        status("599 Odd"),
        status("600 Odder"),
        status("999 Oddest"),
        send(
            "100, then 200",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        send(
            "103, then 200",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
        send(
            "100, then 500",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        ),
        send("100 alone", "HTTP/1.1 100 Continue\r\n\r\n"),
        send(
            "101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
        send("199 alone", "HTTP/1.1 199 Odd\r\n\r\n"),
    ]
}

fn redirects() -> Vec<Case> {
    let to = |line: &str, to: &str| {
        format!("HTTP/1.1 {line}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let no = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec();
    let then =
        |line, end: &Vec<u8>| Play::Paths(vec![("/end", end.clone()), ("/", to(line, "/end"))]);
    vec![
        case("301 to a good page", then("301 Moved", &ok)),
        case("302 to a good page", then("302 Found", &ok)),
        case("307 to a good page", then("307 Temporary", &ok)),
        case("308 to a good page", then("308 Permanent", &ok)),
        case("302 to a page that is broken", then("302 Found", &no)).smoke(REDIRECTED),
        send("302 to itself", to("302 Found", "/")).smoke(REDIRECTED),
        send("302 to another host", to("302 Found", "http://127.0.0.2:1/")).smoke(REDIRECTED),
        send("302 to nonsense", to("302 Found", "http://[::")).smoke(REDIRECTED),
        send("302 to a file", to("302 Found", "file:///etc/hostname")).smoke(REDIRECTED),
        send("302 without a location", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
            .smoke(REDIRECTED),
        send(
            "302 whose body is cut",
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 9\r\n\r\nx",
        ),
        send("200 with a location", to("200 OK", "/end")),
        headers("200 with a refresh", "Refresh: 0; url=/end\r\n"),
    ]
}

fn status_lines() -> Vec<Case> {
    let line = |name, line: &str| send(name, format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
    vec![
        line("no reason", "HTTP/1.1 200"),
        line("no reason, but its space", "HTTP/1.1 200 "),
        line("a reason of bytes", "HTTP/1.1 200 \u{e9}\u{1f600}"),
        line("two spaces", "HTTP/1.1  200 OK").both(STATUS_LINE),
        line("a tab", "HTTP/1.1\t200 OK"),
        line("HTTP/1.0", "HTTP/1.0 200 OK"),
        line("HTTP/1.2", "HTTP/1.2 200 OK"),
        line("HTTP/2 in the clear", "HTTP/2 200 OK").both(STATUS_LINE),
        line("HTTP/3", "HTTP/3 200 OK"),
        line("HTTP/0.9 as a status line", "HTTP/0.9 200 OK"),
        line("a lower-case protocol", "http/1.1 200 OK").both(STATUS_LINE),
        line("ICY", "ICY 200 OK"),
        line("RTSP", "RTSP/1.0 200 OK"),
        line("a status of two digits", "HTTP/1.1 20 OK"),
        line("a status of four digits", "HTTP/1.1 2000 OK"),
        line("a status in words", "HTTP/1.1 two OK"),
        line("status 000", "HTTP/1.1 000 No"),
        line("status 099", "HTTP/1.1 099 No"),
        line("a space before", " HTTP/1.1 200 OK"),
        line("an empty line before", "\r\nHTTP/1.1 200 OK").both(EMPTY_LINE),
        line("a long reason", &format!("HTTP/1.1 200 {}", "x".repeat(20_000))),
        send("HTTP/0.9", "hello\n"),
        send("an SSH server", "SSH-2.0-OpenSSH_9.2\r\n"),
        send("zeros", [0; 99]),
        send("line feeds alone", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        send("a status line and nothing else", "HTTP/1.1 200 OK\r\n").both(CUT),
        send("a status line and an empty line", "HTTP/1.1 200 OK\r\n\r\n"),
    ]
}

fn lengths() -> Vec<Case> {
    let length = |name, length: &str| {
        send(name, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n12345"))
    };
    let large =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(3_000_000));
    vec![
        length("a length as it is", "5"),
        length("a length too short", "2"),
        length("a length too long", "1000"),
        length("a length in spaces", "  5  "),
        length("a negative length", "-1"),
        length("a length with a plus", "+5").both(LENGTH),
        length("a length in words", "five"),
        length("a length with a unit", "5 bytes").both(LENGTH),
        length("an empty length", ""),
        length("a length beyond 64 bits", "18446744073709551621").both(LENGTH),
        length("a list of lengths", "5, 5"),
        length("the same length twice", "5\r\nContent-Length: 5"),
        length("two lengths, the last right", "4\r\nContent-Length: 5").both(LENGTH),
        length("two lengths, the last too long", "5\r\nContent-Length: 9"),
        send("no length", "HTTP/1.1 200 OK\r\n\r\n12345"),
        send("no length in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n12345"),
        send("3 MB", large).smoke(LIMITED),
        send("3 MB without a length", endless).smoke(LIMITED),
    ]
}

fn chunks() -> Vec<Case> {
    let encoding = |name, encoding: &str, body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {encoding}\r\n\r\n");
        send(name, format!("{head}{body}"))
    };
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    let gzip = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", GZIP].concat();
    vec![
        chunked("chunks", whole),
        chunked("chunks in upper case", "A\r\n0123456789\r\n0\r\n\r\n"),
        chunked("chunks with extensions", "5;a=b\r\nhello\r\n0;c\r\n\r\n"),
        chunked("chunks with trailers", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
        chunked("chunks with leading zeros", "0005\r\nhello\r\n000\r\n\r\n"),
        chunked("no last chunk", "5\r\nhello\r\n"),
        chunked("a chunk cut off", "5\r\nhe"),
        chunked("no chunk at all", ""),
        chunked("a last chunk without its end", "5\r\nhello\r\n0\r\n"),
        chunked("a size that is none", "hello\r\n0\r\n\r\n"),
        chunked("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        chunked("a size beyond 64 bits", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        chunked("a chunk longer than its size", "2\r\nhello\r\n0\r\n\r\n"),
        chunked("chunks by line feeds", "5\nhello\n0\n\n").both(CHUNK_LINES),
        chunked("an empty line before a size", "\r\n5\r\nhello\r\n0\r\n\r\n"),
        chunked("more behind the last chunk", "5\r\nhello\r\n0\r\n\r\nmore"),
        encoding("a length beside chunks", "chunked\r\nContent-Length: 3", whole),
        encoding("chunked in capitals", "CHUNKED", whole),
        encoding("chunked twice", "chunked\r\nTransfer-Encoding: chunked", whole),
        encoding("identity", "identity", "hello"),
        encoding("an unknown transfer encoding", "rot13", "hello"),
        encoding("gzip as a transfer encoding, and it is none", "gzip", "hello"),
        encoding("gzip and chunked, and it is none", "gzip, chunked", whole),
        send(
            "chunks in HTTP/1.0",
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{whole}"),
        )
        .both(CHUNK_LINES),
        send("gzip as a transfer encoding, as it is", gzip).both(TRANSFER),
        headers("gzip that nobody asked for, and it is none", "Content-Encoding: gzip\r\n"),
        headers("an unknown content encoding", "Content-Encoding: rot13\r\n"),
    ]
}

fn header_lines() -> Vec<Case> {
    let many = |n: usize, length: usize| {
        (0..n).map(|i| format!("X-{i}: {}\r\n", "y".repeat(length))).collect::<String>()
    };
    vec![
        headers("a header without a colon", "nonsense\r\n").compat(COLON),
        headers("a header without a name", ": x\r\n").smoke(STRICT),
        headers("a space in a name", "X Y: z\r\n").smoke(STRICT),
        headers("a space before the colon", "X : y\r\n").smoke(STRICT),
        headers("a folded header", "X: a\r\n b\r\n").smoke(STRICT),
        headers("a fold before any header", " b\r\n").compat(COLON),
        headers("a zero in a value", b"X: a\0b\r\n"),
        headers("a zero in a name", b"X\0: a\r\n"),
        headers("a control character in a value", b"X: a\x01b\r\n").smoke(STRICT),
        headers("UTF-8 in a value", "X: \u{e9}\r\n"),
        headers("bytes in a value", b"X: \xff\xfe\r\n"),
        headers("UTF-8 in a name", "X-\u{e9}: a\r\n").smoke(STRICT),
        headers("an empty value", "X:\r\n"),
        headers("a lone carriage return", "X: a\rb\r\n").both(RETURN),
        headers("100 headers more", many(100, 1)).smoke(STRICT),
        headers("2000 headers", many(2000, 1)).smoke(STRICT),
        headers("a header of 50 kB", many(1, 50_000)),
        headers("a header of 110 kB", many(1, 110_000)).smoke(LARGE),
        headers("headers of 200 kB", many(20, 10_000)),
        headers("headers of 600 kB", many(60, 10_000)),
        headers("a cookie that is none", "Set-Cookie: ===;;;\r\n"),
        headers("an upgrade that nobody asked for", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
        send("headers cut off", "HTTP/1.1 200 OK\r\nX: a\r\n").both(CUT),
        send("a header cut off", "HTTP/1.1 200 OK\r\nContent-Le").both(CUT),
    ]
}

fn connections() -> Vec<Case> {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nok";
    const LONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok";
    let keep = |name, bytes: &[u8]| case(name, Play::Keep(bytes.to_vec()));
    let reset = |name, bytes: &[u8]| case(name, Play::Reset(bytes.to_vec()));
    let drip = |name, ms| {
        let play = Play::Drip(OK.to_vec(), Duration::from_millis(ms));
        case(name, play)
    };
    vec![
        send("an empty reply", ""),
        case("a closed port", Play::ClosedPort),
        case("a server that hangs up", Play::HangUp),
        case("a server that resets", Play::ResetAtOnce),
        keep("a server that keeps the connection", OK),
        keep("a server that says nothing", b""),
        keep("a server that stops in the status line", b"HTTP/1.1 2"),
        keep("a server that stops in the headers", b"HTTP/1.1 200 OK\r\nX: a\r\n"),
        keep("a server that stops in the body", LONG),
        keep("a body without a length that goes on", OPEN),
        keep("a server that stops after 100", b"HTTP/1.1 100 Continue\r\n\r\n"),
        keep("204 on a kept connection", b"HTTP/1.1 204 No Content\r\n\r\n"),
        keep(
            "304 on a kept connection, with a length",
            b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n",
        ),
        keep(
            "more than the length, on a kept connection",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok ok",
        ),
        keep(
            "a last chunk without its end, on a kept connection",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        ),
        keep(
            "close, on a kept connection",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        ),
        reset("a reset after the whole answer", OK),
        reset("a reset instead of an answer", b""),
        reset("a reset in the headers", b"HTTP/1.1 200 OK\r\nX: a"),
        reset("a reset in the body", LONG),
        reset("a reset at the end of a body without a length", OPEN),
        drip("a slow server", 10),
        drip("a server that is too slow", 400),
    ]
}

fn tls() -> Vec<Case> {
    let https = |case: Case| Case { scheme: "https", ..case };
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    let no = b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno".to_vec();
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".to_vec();
    let open = b"HTTP/1.1 200 OK\r\n\r\nok".to_vec();
    let shown = |name, cert, bytes: &Vec<u8>| https(case(name, Play::Tls(cert, bytes.clone())));
    vec![
        https(send("TLS to a port without", &ok)),
        https(case("TLS to a server that hangs up", Play::HangUp)),
        https(case("TLS to a server that says nothing", Play::Keep(Vec::new()))),
        case("plain HTTP to a TLS port", Play::Tls(Cert::Good, ok.clone())),
        shown("TLS", Cert::Good, &ok),
        shown("TLS and 404", Cert::Good, &no),
        shown("TLS and a body cut off", Cert::Good, &cut),
        shown("TLS and no length", Cert::Good, &open),
        https(case("TLS and no length, cut off", Play::TlsCut(open.clone()))).both(TLS_END),
        https(case("TLS and a length, cut off", Play::TlsCut(ok.clone()))),
        shown("TLS by another name", Cert::WrongName, &ok),
        shown("TLS, expired", Cert::Expired, &ok),
    ]
}
