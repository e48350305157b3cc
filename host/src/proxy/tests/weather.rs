//! Clients and an upstream that do everything HTTP/1.1 allows, and break off where it hurts: what arrives is what was
//! sent, or shows that it is not whole.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::half::{Framing, Half, Random};
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
            tokio::spawn(play_upstream(Half::new(upstream.accept().await.unwrap().0, "client-secret")));
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
        bytes.extend(self.random.framed(self.response, &self.answer, "secret-token"));
        match self.breaks_after {
            Some(after) if after < bytes.len() => {
                bytes.truncate(after);
                (bytes, true)
            }
            _ => (bytes, self.response == Framing::Close),
        }
    }
}

async fn play_upstream(mut client: Half<TcpStream>) {
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
            None => Half::new(soon(TcpStream::connect(address)).await.unwrap(), "secret-token"),
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
        bytes.extend(pieces.framed(script.request, &script.sent, "client-secret"));
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
