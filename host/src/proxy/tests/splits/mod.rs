//! Every kind of exchange with its bytes cut on their way: at every place into two, and into single bytes. Each piece is
//! dealt with to the end before the next one comes; what either side gets is the same as if nothing had been cut.

mod cases;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use insta::assert_snapshot;
use pretty_assertions::assert_eq;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::task::spawn_local;

use super::house::{Events, Issuer, Plan, token};
use super::inside::{Inside, ROOM, quiet, run};
use crate::pipe::End;
use crate::route::Policy;
use cases::{Case, Step};

/// What follows from each case if nothing is cut: the other tests compare with this.
#[test]
fn what_either_side_gets_of_each_exchange() {
    let mut all = String::new();
    for case in cases::all() {
        let told = play(&case, Cut::Nowhere, Cut::Nowhere);
        all.push_str(&format!("# {}\n", case.name));
        for (number, told) in (1..).zip(&told.upstream) {
            all.push_str(&format!("## upstream {number}\n{told}\n"));
        }
        all.push_str(&format!("## client\n{}\n\n", told.client));
    }
    assert_snapshot!(all.replace("\r\n", "\n"));
}

#[test]
fn a_client_whose_bytes_come_in_two_pieces_is_understood_alike() {
    for case in cases::all() {
        let whole = play(&case, Cut::Nowhere, Cut::Nowhere);
        for at in places(case.bytes_of_client()) {
            whole.assert_alike(&play(&case, Cut::At(at), Cut::Nowhere), &case, &format!("client, {at}"));
        }
    }
}

#[test]
fn an_upstream_whose_bytes_come_in_two_pieces_is_understood_alike() {
    for case in cases::all() {
        let whole = play(&case, Cut::Nowhere, Cut::Nowhere);
        for at in places(case.bytes_of_upstream()) {
            whole.assert_alike(&play(&case, Cut::Nowhere, Cut::At(at)), &case, &format!("upstream, {at}"));
        }
    }
}

#[test]
fn bytes_that_come_one_by_one_are_understood_alike() {
    for case in cases::all() {
        let whole = play(&case, Cut::Nowhere, Cut::Nowhere);
        for (client, upstream) in [
            (Cut::Everywhere, Cut::Nowhere),
            (Cut::Nowhere, Cut::Everywhere),
            (Cut::Everywhere, Cut::Everywhere),
        ] {
            let cut = format!("client {client:?}, upstream {upstream:?}");
            whole.assert_alike(&play(&case, client, upstream), &case, &cut);
        }
    }
}

/// Where bytes are cut in two: everywhere; of what is long, often enough and wherever its end is near.
fn places(count: usize) -> impl Iterator<Item = usize> {
    (1..count).filter(move |at| count < 2_000 || at % 997 == 0 || at + 40 > count)
}

/// How the bytes of one side are cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Nowhere,
    At(usize),
    Everywhere,
}

impl Cut {
    /// Cuts what comes after `before` bytes of the same side.
    fn pieces(self, bytes: &[u8], before: usize) -> Vec<&[u8]> {
        match self {
            Self::At(at) if at > before && at < before + bytes.len() => {
                let (one, other) = bytes.split_at(at - before);
                vec![one, other]
            }
            // What is long comes in few enough pieces for the clocks of a second or two.
            Self::Everywhere if bytes.len() > 2_000 => bytes.chunks(61).collect(),
            Self::Everywhere => bytes.chunks(1).collect(),
            _ => vec![bytes],
        }
    }
}

/// What both sides got.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    client: String,
    /// By connection.
    upstream: Vec<String>,
}

impl Told {
    fn assert_alike(&self, other: &Self, case: &Case, cut: &str) {
        if !case.breaks {
            assert_eq!(self, other, "{}, cut: {cut}", case.name);
            return;
        }
        // How much goes through before the fault shows may depend on the pieces, what it is does not.
        let sides = |told: &Self| {
            let all = [&told.client].into_iter().chain(&told.upstream).cloned();
            all.map(|text| {
                text.rsplit_once('\n').map(|(bytes, end)| (bytes.to_owned(), end.to_owned())).unwrap()
            })
            .collect::<Vec<_>>()
        };
        let (one, other) = (sides(self), sides(other));
        assert_eq!(one.len(), other.len(), "{}, cut: {cut}", case.name);
        for ((one, one_end), (other, other_end)) in one.iter().zip(&other) {
            assert_eq!(one_end, other_end, "{}, cut: {cut}", case.name);
            let is_alike = one.starts_with(other) || other.starts_with(one);
            assert!(is_alike, "{}, cut: {cut}\n{one}\n---\n{other}", case.name);
        }
    }
}

/// Runs one exchange in a house of its own.
fn play(case: &Case, of_client: Cut, of_upstream: Cut) -> Told {
    run(async {
        let mut plan = Plan::to("http://127.0.0.1:4000/api");
        if case.looks_into_json {
            plan.policy = Policy { rewrite_json: ["html_url".to_owned()].into(), ..Policy::default() };
        }
        let issuer = Arc::new(Issuer::default());
        issuer.will_answer(Ok(token(2)));
        let inside = Inside::new(plan, issuer, Arc::new(Events::default()));
        let mut stage = Stage::new(&inside);
        stage.play(&case.steps, of_client, of_upstream).await;
        let mut told = stage.told();
        if case.is_eager {
            told.client = told.client.replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        }
        stage.leave(&inside).await;
        told
    })
}

/// The two ends that a test has in its hands.
struct Stage {
    client: Option<WriteHalf<End>>,
    /// Connections to the upstream in their order.
    upstream: Rc<RefCell<Vec<Option<WriteHalf<End>>>>>,
    of_client: Ear,
    of_upstream: Rc<RefCell<Vec<Ear>>>,
}

/// What is heard at one end, and how it ended.
#[derive(Clone, Default)]
struct Ear(Rc<RefCell<(Vec<u8>, &'static str)>>);

impl Ear {
    fn listen(&self, mut end: ReadHalf<End>) {
        let ear = self.clone();
        spawn_local(async move {
            let mut read = Vec::new();
            let how = loop {
                match end.read_buf(&mut read).await {
                    Ok(0) => break "[end]",
                    Ok(_) => ear.0.borrow_mut().0.append(&mut read),
                    Err(_) => break "[reset]",
                }
            };
            ear.0.borrow_mut().1 = how;
        });
    }

    fn told(&self) -> String {
        let (bytes, how) = &*self.0.borrow();
        format!("{}\n{}", readable(bytes), if how.is_empty() { "[open]" } else { how })
    }
}

impl Stage {
    fn new(inside: &Inside) -> Self {
        let (of_client, client) = split(inside.client(ROOM));
        let stage = Self {
            client: Some(client),
            upstream: Rc::default(),
            of_client: Ear::default(),
            of_upstream: Rc::default(),
        };
        stage.of_client.listen(of_client);
        let (upstream, ears, mut asked) = (stage.upstream.clone(), stage.of_upstream.clone(), inside.asked());
        spawn_local(async move {
            while let Some(answer) = asked.recv().await {
                let Some(end) = Inside::connect(answer, ROOM) else { continue };
                let (read, write) = split(end);
                let ear = Ear::default();
                ear.listen(read);
                ears.borrow_mut().push(ear);
                upstream.borrow_mut().push(Some(write));
            }
        });
        stage
    }

    async fn play(&mut self, steps: &[Step], of_client: Cut, of_upstream: Cut) {
        let (mut from_client, mut from_upstream) = (0, 0);
        for step in steps {
            match step {
                Step::Client(bytes) => {
                    for piece in of_client.pieces(bytes, from_client) {
                        let client = self.client.as_mut().expect("the client has not left");
                        // Who was refused may find nobody listening any more.
                        let _ = client.write_all(piece).await;
                        quiet().await;
                    }
                    from_client += bytes.len();
                }
                Step::ClientEnds => {
                    let _ = self.client.take().expect("the client has not left").shutdown().await;
                }
                Step::Upstream(bytes) => {
                    let last = self.upstream.borrow_mut().last_mut().and_then(Option::take);
                    let number = self.upstream.borrow().len();
                    let mut last = last.expect("a connection to the upstream is open");
                    for piece in of_upstream.pieces(bytes, from_upstream) {
                        let _ = last.write_all(piece).await;
                        quiet().await;
                    }
                    self.upstream.borrow_mut()[number - 1] = Some(last);
                    from_upstream += bytes.len();
                }
                Step::UpstreamEnds => {
                    let last = self.upstream.borrow_mut().last_mut().and_then(Option::take);
                    let _ = last.expect("a connection to the upstream is open").shutdown().await;
                }
            }
            quiet().await;
        }
    }

    fn told(&self) -> Told {
        let upstream = self.of_upstream.borrow().iter().map(Ear::told).collect();
        Told { client: self.of_client.told(), upstream }
    }

    /// All go home, and nothing is left of them.
    async fn leave(self, inside: &Inside) {
        if let Some(mut client) = self.client {
            let _ = client.shutdown().await;
        }
        for mut upstream in self.upstream.take().into_iter().flatten() {
            let _ = upstream.shutdown().await;
        }
        tokio::time::sleep(std::time::Duration::from_secs(100)).await;
        inside.assert_left().await;
    }
}

/// Bytes as text: ids and dates are all one, and chunks that follow each other are one chunk, in brackets.
fn readable(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let ids = text.split("ccproxy-request-id: ").skip(1).filter_map(|after| after.get(..16));
    for id in ids.map(str::to_owned).collect::<Vec<_>>() {
        text = text.replace(&id, "0123456789abcdef");
    }
    let mut dated = text.split("\r\ndate: ");
    let mut text = dated.next().unwrap_or_default().to_owned();
    for after in dated {
        text.push_str("\r\ndate: today");
        text.push_str(&after[29.min(after.len())..]);
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("transfer-encoding: chunked\r\n") {
        let Some(end) = rest[at..].find("\r\n\r\n") else { break };
        out.push_str(&rest[..at + end + 4]);
        let (content, after) = chunks(&rest[at + end + 4..]);
        out.push_str(&content);
        rest = after;
    }
    out + rest
}

/// What is in chunks, and what follows them. Where their end is missing, so is the bracket.
fn chunks(mut rest: &str) -> (String, &str) {
    let mut content = "[".to_owned();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("we write no other sizes");
        if size == 0 && after.starts_with("\r\n") {
            content.push(']');
            return (content, &after[2..]);
        }
        content.push_str(&after[..size.min(after.len())]);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    (content, "")
}
