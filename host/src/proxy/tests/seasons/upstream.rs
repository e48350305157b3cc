//! The upstream of a season.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::half::{Framing, Half, Random};
use super::super::inside::Inside;
use super::script::{How, Script, Upstream};
use super::{FOR_EVER, World, write_in_pieces};
use crate::pipe::End;

/// Answers whoever asks for a connection, in its own way.
pub(super) async fn open(world: Rc<World>, mut random: Random) {
    let (mut asked, mut served) = (world.inside.asked(), JoinSet::new());
    loop {
        let answer = tokio::select! {
            answer = asked.recv() => answer.expect("its worker lives as long as its world"),
            // What it found wrong is wrong for all.
            Some(ended) = served.join_next() => {
                ended.unwrap();
                continue;
            }
        };
        let room = random.one(&[500, 5_000, 100_000, 1_000_000]);
        let (kind, seed) = (random.below(40), random.below(usize::MAX) as u64);
        let world = world.clone();
        served.spawn_local(async move {
            match kind {
                0 => return world.trouble(),
                // Longer than anybody waits for a connection.
                1 => {
                    world.trouble();
                    return sleep(Duration::from_secs(10)).await;
                }
                2 => sleep(Duration::from_secs(4)).await,
                _ => {}
            }
            if let Some(end) = Inside::connect(answer, room) {
                serve(&world, Half::new(end, "client-secret"), room, Random(seed)).await;
            }
        });
    }
}

/// Serves a connection to its end.
async fn serve(world: &World, mut proxy: Half<End>, room: usize, mut random: Random) {
    let patience = Duration::from_secs(random.one(&[1, 5, 20, 60, 100]));
    loop {
        let Ok(head) = timeout(patience, proxy.head()).await else { return world.trouble() };
        let Some(head) = head else { return };
        if head.contains("X-Garbled: ") {
            // Nobody knows what is meant.
            let _ = proxy.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let _ = proxy.stream.shutdown().await;
            let _ = timeout(FOR_EVER, proxy.all()).await.expect("what was answered is closed");
            return;
        }
        let mut script = Script::of(number_of(&head));
        check(&head, &script);
        let arrival = arrive(world, &script);
        let credential = field(&head, "authorization").expect("checked");
        if script.upstream != Upstream::AnswersEarly && !read_body(&mut proxy, &script, &head).await {
            return;
        }
        if script.rejects && arrival == 1 {
            let rejection = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
            if proxy.stream.write_all(rejection).await.is_err()
                || !read_body_if_early(&mut proxy, &script, &head).await
            {
                return;
            }
            continue;
        }
        sleep(script.thinks).await;
        if !answer(world, (&mut proxy, room), &mut script, &credential).await {
            return;
        }
        if !read_body_if_early(&mut proxy, &script, &head).await {
            return;
        }
    }
}

/// Nobody's request comes twice but for what may be repeated, and for what a credential was rejected.
fn arrive(world: &World, script: &Script) -> u32 {
    let mut arrivals = world.arrivals.borrow_mut();
    let count = arrivals.entry(script.number).or_default();
    *count += 1;
    let most = if script.is_repeatable() { 2 } else { 1 } * if script.rejects { 2 } else { 1 };
    assert!(*count <= most, "{} came {count} times", script.number);
    *count
}

fn check(head: &str, script: &Script) {
    let start = format!("{} /api/{} HTTP/1.1\r\n", script.method, script.number);
    assert!(head.starts_with(&start), "{head}");
    let credential = field(head, "authorization").expect("a credential");
    assert!(credential.starts_with("Bearer secret-token-"), "{head}");
    assert_eq!(field(head, "host").as_deref(), Some("127.0.0.1:4000"), "{head}");
    for gone in ["cookie", "x_vendor-key", "expect", "connection", "trailer"] {
        assert_eq!(field(head, gone), None, "{head}");
    }
}

/// The value of a field that comes once.
fn field(head: &str, name: &str) -> Option<String> {
    let named = |line: &&str| line.split(':').next().is_some_and(|this| this.eq_ignore_ascii_case(name));
    let mut lines = head.split("\r\n").filter(named);
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{head}");
    Some(line.split_once(": ")?.1.to_owned())
}

fn number_of(head: &str) -> u64 {
    head.split('/').nth(2).and_then(|rest| rest.split(' ').next()).expect("a path").parse().expect("a number")
}

/// Reads a body: whole and right, or visibly not whole.
async fn read_body(proxy: &mut Half<End>, script: &Script, head: &str) -> bool {
    let framing = match script.request {
        Framing::Nothing => return true,
        framing => framing,
    };
    let read = timeout(FOR_EVER, proxy.body(framing, head)).await.expect("every request ends");
    match &read {
        Some(body) => assert!(*body == script.sent, "{}: other bytes reached the upstream", script.number),
        None => assert!(!script.is_calm, "{}: a request was cut on its way", script.number),
    }
    read.is_some()
}

/// Reads what has not been read before the answer.
async fn read_body_if_early(proxy: &mut Half<End>, script: &Script, head: &str) -> bool {
    script.upstream != Upstream::AnswersEarly || read_body(proxy, script, head).await
}

/// Answers; whether another request may follow.
async fn answer(
    world: &World,
    (proxy, room): (&mut Half<End>, usize),
    script: &mut Script,
    credential: &str,
) -> bool {
    let mut bytes = match script.upstream {
        Upstream::Babbles(text) => text.as_bytes().to_vec(),
        _ => script.response_bytes(credential),
    };
    match script.upstream {
        Upstream::FallsSilent(at) if at >= bytes.len() => script.upstream = Upstream::Well,
        Upstream::Breaks(_, at) | Upstream::FallsSilent(at) => {
            if at >= bytes.len() {
                // Behind its end, perhaps when the next request is on its way.
                world.trouble();
            }
            bytes.truncate(at);
        }
        _ => {}
    }
    let mut random = Random(script.number);
    let more = b"HTTP/1.1 200 OK\r\nX-Marker: 666\r\nContent-Length: 6\r\n\r\npoison";
    let is_written = match script.upstream {
        // What comes at once is seen at once: later nobody could tell it from the answer to the next request. Behind a
        // body that ends with its connection it would be body.
        Upstream::SaysMore if script.response != Framing::Close && bytes.len() + more.len() <= room => {
            proxy.stream.write_all(&[&bytes, more.as_slice()].concat()).await
        }
        how => write_in_pieces(&mut proxy.stream, &bytes, &mut random, how == Upstream::Pauses).await,
    };
    let ends = match script.upstream {
        Upstream::Breaks(How::Resets, _) => {
            proxy.stream.break_off();
            return false;
        }
        Upstream::FallsSilent(_) => {
            let _ = timeout(FOR_EVER, proxy.all()).await.expect("who falls silent is left");
            return false;
        }
        Upstream::Breaks(How::Closes, _) | Upstream::Babbles(_) => true,
        _ => script.closes || script.response == Framing::Close,
    };
    if ends {
        let _ = proxy.stream.shutdown().await;
        let _ = timeout(FOR_EVER, proxy.all()).await.expect("who has closed is left");
    }
    !ends && is_written.is_ok()
}
