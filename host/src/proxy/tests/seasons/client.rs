//! The clients of a season.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep, timeout};

use super::super::half::{Framing, Half, Random};
use super::script::{Client, How, Script, Upstream};
use super::{FOR_EVER, World, write_in_pieces};
use crate::pipe::End;

/// A connection to the proxy.
struct Proxy {
    read: Half<ReadHalf<End>>,
    write: WriteHalf<End>,
}

impl Proxy {
    fn connect(world: &World, random: &mut Random) -> Self {
        let (read, write) = split(world.inside.client(random.one(&[500, 5_000, 100_000, 1_000_000])));
        Self { read: Half::new(read, "secret-token"), write }
    }

    fn go(self, how: How) {
        if how == How::Resets {
            self.read.stream.unsplit(self.write).break_off();
        }
    }
}

/// What a client got.
enum Got {
    Response {
        head: String,
        body: Vec<u8>,
        is_whole: bool,
    },
    /// The connection ended before.
    Nothing,
    /// It did not stay to see.
    Left(How),
}

/// How far the request went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Whole,
    /// There is more, which will not come.
    Part,
    Gone(How),
}

/// One exchange after the other, until the season ends.
pub(super) async fn live(world: Rc<World>, first: u64) {
    let (mut number, mut random, mut kept) = (first, Random(first), None);
    while Instant::now() < world.end {
        let idle = random.one(&[0, 0, 0, 0, 1, 10, 70, 90]);
        sleep(Duration::from_secs(idle)).await;
        let mut proxy = match kept.take() {
            // Who says nothing for 75 seconds is left.
            Some(mut proxy) if idle > 80 => {
                let left: &mut Proxy = &mut proxy;
                assert_eq!(left.read.all().await, b"", "nobody asked for anything");
                Proxy::connect(&world, &mut random)
            }
            Some(proxy) => proxy,
            None => Proxy::connect(&world, &mut random),
        };
        let is_burst = random.below(8) == 0;
        let count = if is_burst { 3 } else { 1 };
        let scripts: Vec<_> = std::iter::from_fn(|| {
            number += 1;
            Some(Script::of(number))
        })
        .filter(|script| !is_burst || script.is_calm && script.method == "GET" && !script.is_http10)
        .take(count)
        .collect();
        kept = match is_burst {
            true => burst(&world, &mut proxy, scripts).await.then_some(proxy),
            false => one(&world, proxy, scripts.into_iter().next().expect("it is one")).await,
        };
    }
}

/// Requests sent together are answered in their order.
async fn burst(world: &World, proxy: &mut Proxy, mut scripts: Vec<Script>) -> bool {
    let since = Instant::now();
    let heads: Vec<u8> = scripts.iter_mut().flat_map(Script::request_head).collect();
    let first = scripts.first_mut().expect("there are three");
    let mut random = Random(first.number);
    write_in_pieces(&mut proxy.write, &heads, &mut random, false).await.expect("nobody has closed");
    let mut stays = true;
    for script in &scripts {
        let got = timeout(FOR_EVER, read_response(&mut proxy.read, script, None)).await;
        stays &= judge(world, script, since, &got.expect("every request is answered"));
    }
    stays
}

/// One exchange. The connection, if it stays.
async fn one(world: &World, mut proxy: Proxy, mut script: Script) -> Option<Proxy> {
    let since = Instant::now();
    let mut head = script.request_head();
    let body = script.request_body();
    if let Client::Garbles(at, byte) = script.client {
        let behind_host = head.windows(2).position(|two| two == b"\r\n").expect("a line") + 2;
        head.splice(behind_host..behind_host, *b"X-Garbled: yes\r\n");
        let from = behind_host + b"X-Garbled: yes\r\n".len();
        let at = from + at % (head.len() - from);
        head[at] = byte;
    }
    if script.client == Client::ReadsSlowly {
        proxy.read.pace = Some(Random(script.number));
    }
    let ended = timeout(4 * FOR_EVER, exchange(&mut proxy, &mut script, &head, &body)).await;
    let (got, written) = ended.expect("every exchange ends");
    proxy.read.pace = None;
    let stays = judge(world, &script, since, &got);
    if let Got::Left(how) = got {
        proxy.go(how);
        return None;
    }
    // A slow reader does not know how long the other side has been waiting.
    let ours = !matches!(script.client, Client::Garbles(..) | Client::Stops(_) | Client::ReadsSlowly);
    (stays && written == Some(Written::Whole) && ours).then_some(proxy)
}

/// Writes and reads at once.
async fn exchange(
    proxy: &mut Proxy,
    script: &mut Script,
    head: &[u8],
    body: &[u8],
) -> (Got, Option<Written>) {
    let Proxy { read, write } = proxy;
    let (mut rest, mut early) = ([head, body].concat(), None);
    if let Some(patience) = script.expects
        && matches!(script.client, Client::Well | Client::ReadsSlowly)
    {
        rest = body.to_vec();
        if write.write_all(head).await.is_err() {
            return (Got::Nothing, None);
        }
        match timeout(patience, read.head()).await {
            Ok(Some(told)) if told.starts_with("HTTP/1.1 100 ") => {}
            Ok(Some(told)) => early = Some(told),
            Ok(None) => return (Got::Nothing, None),
            Err(_) => {}
        }
    }
    if early.is_some() {
        // There is no need to send the body.
        return (read_response(read, script, early).await, Some(Written::Part));
    }
    let mut random = Random(!script.number);
    let script = &*script;
    let mut writing = pin!(send(write, &rest, script.client, &mut random));
    let mut reading = pin!(read_response(read, script, None));
    let mut written = None;
    loop {
        tokio::select! {
            biased;
            how = &mut writing, if written.is_none() => {
                written = Some(how);
                if let Written::Gone(how) = how {
                    return (Got::Left(how), written);
                }
            }
            got = &mut reading => return (got, written),
        }
    }
}

async fn send(write: &mut WriteHalf<End>, bytes: &[u8], client: Client, random: &mut Random) -> Written {
    let until = match client {
        Client::Goes(_, at) | Client::Stops(at) | Client::FallsSilent(at) => at.min(bytes.len()),
        _ => bytes.len(),
    };
    let is_heard = write_in_pieces(write, &bytes[..until], random, client == Client::Pauses).await.is_ok();
    match client {
        Client::Goes(how, _) => return Written::Gone(how),
        Client::Stops(_) => drop(write.shutdown().await),
        _ => {}
    }
    if is_heard && until == bytes.len() { Written::Whole } else { Written::Part }
}

/// Reads the response, of which the head may have been read.
async fn read_response(read: &mut Half<ReadHalf<End>>, script: &Script, mut head: Option<String>) -> Got {
    let head = loop {
        let Some(next) = (match head.take() {
            Some(head) => Some(head),
            None => read.head().await,
        }) else {
            return Got::Nothing;
        };
        if next.starts_with("HTTP/1.1 103 ") {
            assert!(script.interim > 0, "nobody said so: {next}");
            continue;
        }
        if !next.starts_with("HTTP/1.1 100 ") {
            break next;
        }
        assert!(script.expects.is_some(), "nobody asked to be asked");
    };
    if let Client::GoesWhileReading(how) = script.client {
        return Got::Left(how);
    }
    let status = &head[9..12];
    let (body, is_whole) = match () {
        () if script.method == "HEAD" || status == "204" || status == "304" => (Vec::new(), true),
        () if head.contains("\r\ntransfer-encoding: chunked\r\n") => {
            read.body_or_part(Framing::Chunks, &head).await
        }
        () if head.contains("\r\ncontent-length: ") => read.body_or_part(Framing::Length, &head).await,
        () => {
            let body = read.all().await;
            (body, !read.was_reset)
        }
    };
    Got::Response { head, body, is_whole }
}

/// Whether that may have come of it, and the connection may be used again.
fn judge(world: &World, script: &Script, since: Instant, got: &Got) -> bool {
    let number = script.number;
    let (head, body, is_whole) = match got {
        Got::Left(_) => {
            world.saw("left");
            return false;
        }
        Got::Nothing => {
            assert!(!script.is_calm, "{number}: no answer: {script}");
            world.saw("no answer");
            return false;
        }
        Got::Response { head, body, is_whole } => (head, body, *is_whole),
    };
    if head.contains("\r\nccproxy-error: ") {
        let is_upstreams = head.contains("\r\nccproxy-error: upstream_");
        assert!(!script.is_calm || is_upstreams && world.was_troubled(since), "{head}{script}");
        assert!(!head.contains("X-Marker"), "{number}: {head}");
        world.saw("refused");
    } else if matches!(script.client, Client::Garbles(..)) {
        world.saw("garbled");
        return false;
    } else if matches!(script.upstream, Upstream::Babbles(_)) && script.method == "HEAD" {
        // No coding is wrong where there is no body.
        world.saw("whole");
    } else {
        let is_rejection = script.rejects && head.starts_with("HTTP/1.1 401 ");
        if !is_rejection {
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", script.status)), "{number}: {head}");
            assert!(head.contains(&format!("\r\nX-Marker: {number}\r\n")), "{number}: {head}");
        }
        assert!(
            script.answer.starts_with(body),
            "{number}: other bytes: {} of {} in {head}, {script}",
            body.len(),
            script.answer.len()
        );
        assert!(is_whole || !script.is_calm, "{number}: cut on its way");
        // Who frames a body by closing alone may close anywhere.
        let is_open_ended =
            script.response == Framing::Close && matches!(script.upstream, Upstream::Breaks(How::Closes, _));
        if is_whole && !is_rejection && !is_open_ended {
            assert_eq!(body.len(), script.answer.len(), "{number}: a part is taken for the whole: {head}");
        }
        world.saw(if is_whole { "whole" } else { "cut" });
    }
    is_whole
        && !head.contains("\r\nconnection: close\r\n")
        && (!script.is_http10 || head.contains("\r\nconnection: keep-alive\r\n"))
}
