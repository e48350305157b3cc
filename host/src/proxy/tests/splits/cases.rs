//! The exchanges that are cut.

/// One exchange, or a few on one connection.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) steps: Vec<Step>,
    /// It ends in a fault: how much goes through before that may depend on the pieces.
    pub(super) breaks: bool,
    /// Its client does not wait for a 100, which it may get for a body that comes late.
    pub(super) is_eager: bool,
    /// Its route rewrites links in JSON.
    pub(super) looks_into_json: bool,
}

/// What happens next, once everything before has had its effect.
pub(super) enum Step {
    Client(Vec<u8>),
    ClientEnds,
    /// On the connection that was opened last.
    Upstream(Vec<u8>),
    UpstreamEnds,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self { name, steps: Vec::new(), breaks: false, is_eager: false, looks_into_json: false }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    fn client(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Client(bytes.into()))
    }

    fn client_ends(self) -> Self {
        self.step(Step::ClientEnds)
    }

    fn upstream(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Upstream(bytes.into()))
    }

    fn upstream_ends(self) -> Self {
        self.step(Step::UpstreamEnds)
    }

    fn breaks(mut self) -> Self {
        self.breaks = true;
        self
    }

    pub(super) fn bytes_of_client(&self) -> usize {
        let of_client = |step: &Step| if let Step::Client(bytes) = step { bytes.len() } else { 0 };
        self.steps.iter().map(of_client).sum()
    }

    pub(super) fn bytes_of_upstream(&self) -> usize {
        let of_upstream = |step: &Step| if let Step::Upstream(bytes) = step { bytes.len() } else { 0 };
        self.steps.iter().map(of_upstream).sum()
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [requests(), responses(), on_one_connection(), broken(), answered_here(), refused()]
        .into_iter()
        .flatten()
        .collect()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CHUNKS: &str = "5;name=\"v\"\r\nhello\r\n0A;x\r\n, world!!!\r\n0\r\nAuthorization: x\r\nX-Sum:\r\n\r\n";

/// A request head with these lines between its first one and `Host`.
fn head(start: &str, fields: &str) -> String {
    format!("{start}\r\n{fields}Host: 127.0.0.1:8462\r\n\r\n")
}

fn get() -> String {
    head("GET /up/a?b=%20 HTTP/1.1", "Accept: */*\r\n")
}

fn requests() -> Vec<Case> {
    let fields = "accept:\t*/* \r\nAuthorization: Bearer dummy\r\nX_Vendor_Key: dummy\r\nCookie: a=b\r\n\
                  Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Kept: \u{e9}\r\n";
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    let expects = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let mut eager = Case::new("a body that does not wait")
        .client(head("PUT /up/a HTTP/1.1", expects) + "hello")
        .upstream(OK);
    eager.is_eager = true;
    vec![
        eager,
        Case::new("GET with what must not go further")
            .client(head("GET /up//a%2Fb?x=%20 HTTP/1.1", fields))
            .upstream(OK),
        Case::new("HEAD")
            .client(head("HEAD /up/a HTTP/1.1", ""))
            .upstream("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        Case::new("an empty line in front").client(format!("\r\n{}", get())).upstream(OK),
        Case::new("POST of known length")
            .client(head("POST /up/a HTTP/1.1", "Content-Length: 12\r\n") + "hello\r\n\r\nyou")
            .upstream(OK),
        Case::new("POST of nothing").client(head("POST /up/a HTTP/1.1", "")).upstream(OK),
        Case::new("POST in chunks").client(head("POST /up/a HTTP/1.1", chunked) + CHUNKS).upstream(OK),
        Case::new("GET with a body")
            .client(head("GET /up/a HTTP/1.1", "Content-Length: 2\r\n") + "hi")
            .upstream(OK),
        Case::new("a body that waits to be asked for")
            .client(head("PUT /up/a HTTP/1.1", expects))
            .client("hello")
            .upstream(OK),
        Case::new("a credential that was rejected")
            .client(head("POST /up/a HTTP/1.1", "Content-Length: 5\r\n") + "hello")
            .upstream("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
            .upstream(OK),
        Case::new("HTTP/1.0").client("GET /up/a HTTP/1.0\r\nHost: 127.0.0.1:8462\r\n\r\n").upstream(OK),
        Case::new("HTTP/1.0 that stays")
            .client(head("GET /up/a HTTP/1.0", "Connection: Keep-Alive\r\n"))
            .upstream(OK)
            .client(head("GET /up/b HTTP/1.0", "Connection: Keep-Alive\r\n"))
            .upstream(OK),
        Case::new("absolute form").client(head("GET http://127.0.0.1:8462/up/a HTTP/1.1", "")).upstream(OK),
    ]
}

fn responses() -> Vec<Case> {
    let answered = |name, bytes: String| Case::new(name).client(get()).upstream(bytes);
    let fields = "Connection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nLocation: http://127.0.0.1:4000/api/next?page=2\r\n\
                  X-Echo: Bearer secret-token-1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Empty:\r\n";
    let json = "{\"html_url\" : \"http:\\/\\/127.0.0.1:4000\\/api\\/x\", \"other\":[{\"html_url\":\
                \"http://127.0.0.1:4000/api/y?z\"},\"http://127.0.0.1:4000/api/\"]}";
    let json_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let mut looking =
        answered("JSON with links", format!("{json_head}Content-Length: {}\r\n\r\n{json}", json.len()));
    looking.looks_into_json = true;
    vec![
        answered(
            "what concerns one hop",
            format!("HTTP/1.1 201 Well  done\r\n{fields}Content-Length: 0\r\n\r\n"),
        ),
        answered("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".into()),
        answered(
            "a response in chunks",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", CHUNKS),
        ),
        answered("a length beside chunks", {
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                .into()
        }),
        answered("until it closes", "HTTP/1.1 200 OK\r\n\r\nall that\r\n0\r\n\r\nthere is".into())
            .upstream_ends(),
        answered("HTTP/1.0 above", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
        answered("204", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n".into()),
        answered("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n".into()),
        answered("205 with a length", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".into()),
        Case::new("interim responses while a body is waited for")
            .client(head("PUT /up/a HTTP/1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n"))
            .upstream("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </api/a>\r\n")
            .upstream("\r\nHTTP/1.1 100 Continue\r\n\r\n")
            .client("hello")
            .upstream(OK),
        Case::new("interim responses to HTTP/1.0")
            .client("GET /up/a HTTP/1.0\r\nHost: 127.0.0.1:8462\r\n\r\n")
            .upstream(format!("HTTP/1.1 103 Early Hints\r\nLink: </api/a>\r\n\r\n{OK}")),
        answered("interim responses", {
            format!(
                "HTTP/1.1 103 Early Hints\r\nLink: </api/a>\r\n{fields}\r\nHTTP/1.1 100 Continue\r\n\r\n{OK}"
            )
        }),
        answered("events", {
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
             9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n"
                .into()
        }),
        answered("more than was asked for", format!("{OK}HTTP/1.1 200 OK\r\n\r\nforged"))
            .client(get())
            .upstream(OK),
        looking,
        Case::new("chunks for HTTP/1.0")
            .client(head("GET /up/a HTTP/1.0", "Connection: Keep-Alive\r\n"))
            .upstream(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            ),
        Case::new("an answer before the body has come")
            .client(head("POST /up/a HTTP/1.1", "Content-Length: 10\r\n") + "hello")
            .upstream("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"),
    ]
}

fn on_one_connection() -> Vec<Case> {
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    vec![
        Case::new("two requests at once")
            .client(get() + &head("GET /up/second HTTP/1.1", "Connection: close\r\n"))
            .upstream("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
            .upstream("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"),
        Case::new("a request behind a body in chunks")
            .client(
                head("POST /up/a HTTP/1.1", "Transfer-Encoding: chunked\r\n")
                    + "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
                    + &get(),
            )
            .upstream(OK)
            .upstream("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        // A body that is not there yet would end the connection: nobody waits for what nobody wants.
        Case::new("a request behind one that we answer")
            .client(head("GET /nowhere/a HTTP/1.1", "") + &get())
            .upstream(OK),
        Case::new("a WebSocket")
            .client(head("GET /up/ws HTTP/1.1", handshake) + "too early")
            .upstream(format!("{switch}hello"))
            .client("ping")
            .upstream("pong")
            .client_ends()
            .upstream("last words")
            .upstream_ends(),
        Case::new("a WebSocket that is not to be")
            .client(head("GET /up/ws HTTP/1.1", handshake))
            .upstream("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
            .client(get())
            .upstream(OK),
    ]
}

/// What breaks off, or breaks the protocol, when it has begun.
fn broken() -> Vec<Case> {
    let cut = |name, bytes: &str| Case::new(name).client(get()).upstream(bytes).upstream_ends().breaks();
    let sent = |name, fields: &str, body: &str| {
        Case::new(name).client(head("POST /up/a HTTP/1.1", fields) + body).breaks()
    };
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        cut("a head that breaks off", "HTTP/1.1 200 OK\r\nContent-Le"),
        cut("a length that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        cut(
            "chunks that break off",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo",
        ),
        cut(
            "chunks without an end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        ),
        cut(
            "chunks that are none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
        ),
        Case::new("chunks that break off for HTTP/1.0")
            .client(head("GET /up/a HTTP/1.0", ""))
            .upstream("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .upstream_ends()
            .breaks(),
        cut("not a word", ""),
        cut("a bare line feed", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        cut("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
        Case::new("two lengths of no body")
            .client(head("HEAD /up/a HTTP/1.1", ""))
            .upstream("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        cut("another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
        cut("a folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        cut("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        cut("another version", "HTTP/2.0 200 OK\r\n\r\n"),
        cut(
            "a switch that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nabc",
        ),
        cut("promises", &"HTTP/1.1 100 Continue\r\n\r\n".repeat(9)),
        sent("a size that is none", chunked, "3\r\nabc\r\n0x2\r\nab\r\n0\r\n\r\n"),
        sent("a chunk that is longer", chunked, "3\r\nabcd\r\n0\r\n\r\n"),
        sent("a trailer that is none", chunked, "3\r\nabc\r\n0\r\nX : y\r\n\r\n"),
        sent("a request that breaks off", "Content-Length: 10\r\n", "hello").client_ends(),
        sent("chunks of a request that break off", chunked, "5\r\nhello\r\n").client_ends(),
        Case::new("a head of a request that breaks off").client(&get()[..30]).client_ends(),
        Case::new("a client that leaves").client(get()).client_ends(),
    ]
}

fn answered_here() -> Vec<Case> {
    vec![
        Case::new("alive").client(head("GET /_ccproxy/livez HTTP/1.1", "")),
        Case::new("the index, twice")
            .client(head("GET / HTTP/1.1", "Accept: application/json\r\n"))
            .client(head("HEAD / HTTP/1.1", "")),
        Case::new("no such route").client(head("GET /nowhere HTTP/1.1", "")),
        Case::new("a missing slash").client(head("GET /up HTTP/1.1", "")),
    ]
}

/// Heads that go no further. Each has one fault.
fn refused() -> Vec<Case> {
    let many: String = (0..101).map(|number| format!("X-{number}: y\r\n")).collect();
    let one = |name, bytes: String| Case::new(name).client(bytes);
    let get = |fields: &str| head("GET /up/a HTTP/1.1", fields);
    let post = |fields: &str| head("POST /up/a HTTP/1.1", fields) + "5\r\nhello\r\n0\r\n\r\n";
    let (length, coding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    vec![
        one("a bare line feed", "GET /up/a HTTP/1.1\nHost: 127.0.0.1:8462\r\n\r\n".into()),
        one("a bare line feed behind a field", "GET /up/a HTTP/1.1\r\nHost: 127.0.0.1:8462\n\r\n".into()),
        one("a bare carriage return", get("X: a\rY: b\r\n")),
        one("a folded field", get("X: a\r\n b\r\n")),
        one("a field folded at the start", get(" X: a\r\n")),
        one("white space behind a name", get("X : a\r\n")),
        one("an empty name", get(": a\r\n")),
        one("no colon", get("nonsense\r\n")),
        one("a control byte in a value", get("X: a\u{b}b\r\n")),
        one("a null byte", get("X: \0\r\n")),
        one("a length and chunks", post(&format!("{length}{coding}"))),
        one("two lengths", post(&length.repeat(2))),
        one("a list of lengths", post("Content-Length: 5, 5\r\n")),
        one("a sign", post("Content-Length: +5\r\n")),
        one("no length at all", post("Content-Length:\r\n")),
        one("two codings", post(&coding.repeat(2))),
        one("a coding twice", post("Transfer-Encoding: chunked, chunked\r\n")),
        one("a coding that we do not read", post("Transfer-Encoding: gzip, chunked\r\n")),
        one("a coding that does not end", post("Transfer-Encoding: chunked, gzip\r\n")),
        one("a coding in HTTP/1.0", head("POST /up/a HTTP/1.0", coding) + "0\r\n\r\n"),
        one("a fragment", head("GET /up/a#b HTTP/1.1", "")),
        one("a target that is not ASCII", head("GET /up/\u{e9} HTTP/1.1", "")),
        one("a dot segment", head("GET /up/%2e%2e/a HTTP/1.1", "")),
        one("another authority", head("GET http://evil.example/up/a HTTP/1.1", "")),
        one("a foreign host", "GET /up/a HTTP/1.1\r\nHost: evil.example\r\n\r\n".into()),
        one("two hosts", get("Host: 127.0.0.1:8462\r\n")),
        one("no host", "GET /up/a HTTP/1.1\r\nAccept: */*\r\n\r\n".into()),
        one("two spaces", head("GET  /up/a HTTP/1.1", "")),
        one("no version", "GET /up/a\r\n\r\n".into()),
        one("another version", head("GET /up/a HTTP/1.2", "")),
        one("the next version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        one("no start line", "\r\n\r\nGET /up/a HTTP/1.1\r\n\r\n".into()),
        one("another protocol", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".into()),
        one("TRACE", head("TRACE /up/a HTTP/1.1", "")),
        one("CONNECT", head("CONNECT 127.0.0.1:8462 HTTP/1.1", "")),
        one("expectations", get("Expect: miracles\r\n")),
        one("a web page", get("Origin: https://evil.example\r\n")),
        one("too many fields", get(&many)),
        one("too long a target", head(&format!("GET /up/{} HTTP/1.1", "a".repeat(17_000)), "")),
        one("too large a head", get(&format!("X: {}\r\n", "a".repeat(66_000)))),
    ]
}
