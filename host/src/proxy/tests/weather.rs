//! Clients and an upstream that do everything HTTP/1.1 allows, and break off where it hurts: what arrives is what was
//! sent, or shows that it is not whole.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::house::Plan;
use super::soon;
use pretty_assertions::assert_eq;

/// Exchanges of one client, and clients at a time. `CCPROXY_WEATHER=100000` for a night.
const EXCHANGES: u64 = 150;
const CLIENTS: u64 = 4;

#[tokio::test]
async fn what_arrives_is_what_was_sent_or_is_visibly_not_whole() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let house = Plan::to(format!("http://{}", upstream.local_addr().unwrap())).start();
    tokio::spawn(async move {
        loop {
            tokio::spawn(play_upstream(Half::new(upstream.accept().await.unwrap().0)));
        }
    });
    let exchanges = std::env::var("CCPROXY_WEATHER").ok().and_then(|count| count.parse().ok());
    let exchanges = exchanges.unwrap_or(EXCHANGES);
    let address = house.address();
    let clients =
        (0..CLIENTS).map(|client| tokio::spawn(play_client(address, client * exchanges, exchanges)));
    let mut seen = Seen::default();
    for client in clients.collect::<Vec<_>>() {
        let of_one = client.await.unwrap();
        seen = Seen { whole: seen.whole + of_one.whole, broken: seen.broken + of_one.broken };
    }
    assert_eq!(seen.whole + seen.broken, CLIENTS * exchanges);
    assert!(seen.whole > 0 && seen.broken > 0, "{seen:?}: it rained always or never");
}

/// One exchange, decided by its number alone, so that either end knows what the other does.
struct Script {
    method: &'static str,
    request: Framing,
    sent: Vec<u8>,
    response: Framing,
    answer: Vec<u8>,
    /// The upstream closes after so many bytes of its response.
    breaks_after: Option<usize>,
    random: Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Nothing,
    Length,
    Chunks,
    Close,
}

#[derive(Debug, Default)]
struct Seen {
    whole: u64,
    broken: u64,
}

impl Script {
    fn of(number: u64) -> Self {
        let mut random = Random(number);
        let method = ["GET", "POST", "PUT", "HEAD"][random.below(4)];
        let request = match method {
            "POST" | "PUT" => [Framing::Length, Framing::Chunks][random.below(2)],
            _ => Framing::Nothing,
        };
        let response = match method {
            "HEAD" => Framing::Nothing,
            _ => [Framing::Length, Framing::Chunks, Framing::Chunks, Framing::Close][random.below(4)],
        };
        let sent = if request == Framing::Nothing { Vec::new() } else { random.bytes() };
        let answer = if response == Framing::Nothing { Vec::new() } else { random.bytes() };
        let breaks = response != Framing::Close && random.below(4) == 0;
        let breaks_after = breaks.then(|| random.below(answer.len() + 40));
        Self { method, request, sent, response, answer, breaks_after, random }
    }

    /// The response as bytes, cut where it breaks off.
    fn response(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        match self.response {
            Framing::Nothing => bytes.extend_from_slice(b"Content-Length: 5\r\n\r\n"),
            Framing::Close => bytes.extend_from_slice(b"\r\n"),
            Framing::Length => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.answer.len()).as_bytes());
            }
            Framing::Chunks => bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
        }
        bytes.extend(self.random.framed(self.response, &self.answer));
        match self.breaks_after {
            Some(after) if after < bytes.len() => {
                bytes.truncate(after);
                (bytes, true)
            }
            _ => (bytes, self.response == Framing::Close),
        }
    }
}

async fn play_upstream(mut client: Half) {
    while let Some(head) = client.head().await {
        let number = head.split('/').nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        let mut script = Script::of(number);
        assert!(head.starts_with(script.method), "{head}");
        assert!(head.contains("authorization: Bearer secret-token-1\r\n"), "{head}");
        let request = match script.sent.is_empty() {
            true if !head.contains("chunked") => Framing::Nothing,
            _ => script.request,
        };
        assert_eq!(client.body(request, &head).await.as_ref(), Some(&script.sent), "{number}");
        let (bytes, closes) = script.response();
        if client.write_in_pieces(&bytes, &mut script.random).await.is_err() || closes {
            return;
        }
    }
}

async fn play_client(address: SocketAddr, first: u64, count: u64) -> Seen {
    let mut seen = Seen::default();
    let mut connection = None;
    for number in first..first + count {
        let mut script = Script::of(number);
        let mut proxy = match connection.take() {
            Some(proxy) => proxy,
            None => Half::new(soon(TcpStream::connect(address)).await.unwrap()),
        };
        let mut bytes =
            format!("{} /up/{number} HTTP/1.1\r\nHost: {address}\r\n", script.method).into_bytes();
        bytes.extend_from_slice(
            match script.request {
                Framing::Chunks => b"Transfer-Encoding: chunked\r\n\r\n".to_vec(),
                Framing::Length => format!("Content-Length: {}\r\n\r\n", script.sent.len()).into_bytes(),
                Framing::Nothing | Framing::Close => b"\r\n".to_vec(),
            }
            .as_slice(),
        );
        let mut pieces = Random(!number);
        bytes.extend(pieces.framed(script.request, &script.sent));
        proxy.write_in_pieces(&bytes, &mut pieces).await.unwrap();

        let is_cut = script.breaks_after.is_some_and(|after| after < script.response().0.len() + 1);
        let whole = match soon(proxy.head()).await {
            Some(head) if head.starts_with("HTTP/1.1 200 ") => {
                let framing = match script.response {
                    Framing::Nothing => Framing::Nothing,
                    _ if head.contains("transfer-encoding: chunked") => Framing::Chunks,
                    _ => Framing::Length,
                };
                let body = soon(proxy.body(framing, &head)).await;
                if let Some(body) = &body {
                    assert_eq!(body.len(), script.answer.len(), "{number}");
                    assert!(*body == script.answer, "{number}: other bytes");
                }
                body.is_some()
            }
            // It broke off within its head, or before: we say so, and this connection goes on.
            Some(head) => {
                assert!(head.starts_with("HTTP/1.1 502 ") && is_cut, "{number}: {head}");
                let framing = if script.method == "HEAD" { Framing::Nothing } else { Framing::Length };
                soon(proxy.body(framing, &head)).await.unwrap();
                connection = Some(proxy);
                seen.broken += 1;
                continue;
            }
            None => false,
        };
        if whole {
            seen.whole += 1;
            connection = Some(proxy);
        } else {
            assert!(is_cut, "{number}: a whole response was cut on its way");
            seen.broken += 1;
        }
    }
    seen
}

/// One end of a connection that reads strictly: what is not framed to its end is no body.
struct Half {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Half {
    fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::new() }
    }

    async fn more(&mut self) -> Option<()> {
        (self.stream.read_buf(&mut self.read).await.unwrap_or(0) > 0).then_some(())
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return Some(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Some(self.read.drain(..count).collect())
    }

    async fn head(&mut self) -> Option<String> {
        Some(String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap())
    }

    async fn body(&mut self, framing: Framing, head: &str) -> Option<Vec<u8>> {
        match framing {
            Framing::Nothing => Some(Vec::new()),
            Framing::Length | Framing::Close => {
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().unwrap();
                self.exactly(length).await
            }
            Framing::Chunks => {
                let mut body = Vec::new();
                loop {
                    let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
                    let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                    let chunk = self.exactly(size + 2).await?;
                    assert!(chunk.ends_with(b"\r\n"));
                    body.extend_from_slice(&chunk[..size]);
                    if size == 0 {
                        return Some(body);
                    }
                }
            }
        }
    }

    async fn write_in_pieces(&mut self, mut bytes: &[u8], random: &mut Random) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let most = [1, 7, 100, 5_000, 200_000][random.below(5)];
            let (piece, rest) = bytes.split_at(bytes.len().min(1 + random.below(most)));
            self.stream.write_all(piece).await?;
            bytes = rest;
            if random.below(8) == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let most = [1, 20, 1_000, 20_000, 300_000][self.below(5)];
        let (length, start) = (self.below(most), self.below(251));
        (0..length).map(|at| ((at + start) % 251) as u8).collect()
    }

    /// A body in its framing: chunks of any size, in any spelling, with extensions and trailers.
    fn framed(&mut self, framing: Framing, body: &[u8]) -> Vec<u8> {
        if framing != Framing::Chunks {
            return body.to_vec();
        }
        let (mut out, mut rest) = (Vec::new(), body);
        while !rest.is_empty() {
            let most = [3, 50, 70_000][self.below(3)];
            let (chunk, after) = rest.split_at(rest.len().min(1 + self.below(most)));
            let extension = if self.below(20) == 0 { ";name=\"v\"" } else { "" };
            let size = match self.below(3) {
                0 => format!("{:X}", chunk.len()),
                1 => format!("0{:x}", chunk.len()),
                _ => format!("{:x}", chunk.len()),
            };
            out.extend_from_slice(format!("{size}{extension}\r\n").as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
            rest = after;
        }
        let trailers = if self.below(4) == 0 { "Authorization: trailing\r\n" } else { "" };
        out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        out
    }
}
