//! What clients and upstreams of the random tests have in common: strict reading, and bodies in every framing.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Nothing,
    Length,
    Chunks,
    Close,
}

/// One end of a connection that reads strictly: what is not framed to its end is no body.
pub(super) struct Half<S> {
    pub(super) stream: S,
    read: Vec<u8>,
    /// What must never come, in a head or between chunks. Of bodies each byte is compared.
    forbidden: &'static str,
    /// Whether it ended in a failure.
    pub(super) was_reset: bool,
    /// Reads little at a time, with pauses.
    pub(super) pace: Option<Random>,
}

impl<S: AsyncRead + Unpin> Half<S> {
    pub(super) fn new(stream: S, forbidden: &'static str) -> Self {
        Self { stream, read: Vec::new(), forbidden, was_reset: false, pace: None }
    }

    async fn more(&mut self) -> Option<()> {
        let most = match &mut self.pace {
            Some(random) => {
                tokio::time::sleep(random.pause()).await;
                1 + random.below(20_000)
            }
            None => usize::MAX,
        };
        let mut taken = (&mut self.stream).take(most as u64);
        let count = taken.read_buf(&mut self.read).await;
        self.was_reset |= count.is_err();
        (count.unwrap_or(0) > 0).then_some(())
    }

    pub(super) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                let line: Vec<u8> = self.read.drain(..at + end.len()).collect();
                let text = String::from_utf8_lossy(&line);
                assert!(!text.contains(self.forbidden), "{} in {text}", self.forbidden);
                return Some(line);
            }
            self.more().await?;
        }
    }

    pub(super) async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Some(self.read.drain(..count).collect())
    }

    pub(super) async fn head(&mut self) -> Option<String> {
        Some(String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap())
    }

    /// The body, if it is whole.
    pub(super) async fn body(&mut self, framing: Framing, head: &str) -> Option<Vec<u8>> {
        let (body, is_whole) = self.body_or_part(framing, head).await;
        is_whole.then_some(body)
    }

    /// What there is of the body, and whether that is all of it.
    pub(super) async fn body_or_part(&mut self, framing: Framing, head: &str) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        match framing {
            Framing::Nothing => (body, true),
            Framing::Length | Framing::Close => {
                let length = head.to_ascii_lowercase();
                let length =
                    length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                let is_whole = self.move_to(&mut body, length.unwrap().parse().unwrap()).await;
                (body, is_whole)
            }
            Framing::Chunks => loop {
                let Some(line) = self.until(b"\r\n").await else { return (body, false) };
                let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
                if !self.move_to(&mut body, size).await {
                    return (body, false);
                }
                match self.exactly(2).await {
                    Some(end) => assert_eq!(end, b"\r\n"),
                    None => return (body, false),
                }
                if size == 0 {
                    return (body, true);
                }
            },
        }
    }

    async fn move_to(&mut self, body: &mut Vec<u8>, mut count: usize) -> bool {
        loop {
            let moved = count.min(self.read.len());
            body.extend(self.read.drain(..moved));
            count -= moved;
            if count == 0 {
                return true;
            }
            if self.more().await.is_none() {
                return false;
            }
        }
    }

    /// All that comes.
    pub(super) async fn all(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.read)
    }
}

impl<S: AsyncWrite + Unpin> Half<S> {
    pub(super) async fn write_in_pieces(
        &mut self,
        mut bytes: &[u8],
        random: &mut Random,
    ) -> std::io::Result<()> {
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
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// One of them.
    pub(super) fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Mostly none, now and then seconds, seldom longer than anybody waits.
    pub(super) fn pause(&mut self) -> Duration {
        let most = match self.below(100) {
            0..80 => return Duration::ZERO,
            80..95 => 3_000,
            95..99 => 100_000,
            _ => 400_000,
        };
        Duration::from_millis(self.below(most) as u64)
    }

    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let most = [1, 20, 1_000, 20_000, 300_000][self.below(5)];
        let (length, start) = (self.below(most), self.below(251));
        let mut bytes: Vec<u8> = (0..251).collect();
        bytes.rotate_left(start);
        bytes = bytes.repeat(length / 251 + 1);
        bytes.truncate(length);
        bytes
    }

    /// A body in its framing: chunks of any size, in any spelling, with this secret in extensions and trailers.
    pub(super) fn framed(&mut self, framing: Framing, body: &[u8], secret: &str) -> Vec<u8> {
        if framing != Framing::Chunks {
            return body.to_vec();
        }
        let (mut out, mut rest) = (Vec::new(), body);
        while !rest.is_empty() {
            let most = [3, 50, 70_000][self.below(3)];
            let (chunk, after) = rest.split_at(rest.len().min(1 + self.below(most)));
            let extension = if self.below(20) == 0 { format!(";name=\"{secret}\"") } else { String::new() };
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
        let trailers =
            if self.below(4) == 0 { format!("Authorization: {secret}\r\n") } else { String::new() };
        out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        out
    }
}
