//! The chunked coding against a model: RFC 9112 section 7.1 a line at a time over the whole body, where ours takes bytes
//! as they come.

mod random;

use ccproxy_h1::{Body, Form, RequestFraming};
use pretty_assertions::assert_eq;
use random::Random;

const ROUNDS: u64 = 50_000;

/// Chunks of every spelling, whole and broken, cut into pieces: content, end and fault are those of the model.
#[test]
fn a_chunked_body_is_what_the_model_reads() {
    let (mut whole, mut broken, mut unfinished) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut random = Random(round);
        let mut bytes = chunks(&mut random);
        for _ in 0..random.one(&[0, 0, 1, 2]) {
            mutate(&mut random, &mut bytes);
        }
        let text = bytes.escape_ascii();
        let model = model_of_chunks(&bytes);
        let ours = read(&bytes, Form::Data, &mut random);
        match (&model, &ours) {
            (Chunks::Whole { content, length, .. }, Ok(Some(read))) => {
                assert_eq!(read, &(content.clone(), *length), "{text}");
                whole += 1;
            }
            (Chunks::Broken, Err(_)) => broken += 1,
            // What cannot end well may be refused before the line is whole in which that shows.
            (Chunks::Unfinished, Ok(None) | Err(_)) => unfinished += 1,
            _ => panic!("round {round}: {model:?}, and we: {ours:?}: {text}"),
        }
        // In its own framing it is the same again, without what is dropped.
        let wire = read(&bytes, Form::Wire, &mut random);
        match (model, wire) {
            (Chunks::Whole { content, length, .. }, Ok(Some((wire, end)))) => {
                assert_eq!(end, length, "{text}");
                let again = Chunks::Whole { content, length: wire.len(), is_plain: true };
                assert_eq!(model_of_chunks(&wire), again, "{text}");
            }
            (_, wire) => assert_eq!(wire.is_err(), ours.is_err(), "{text}"),
        }
    }
    assert!(whole > 10_000 && broken > 10_000 && unfinished > 1_000, "{whole} {broken} {unfinished}");
}

/// What a model reads of chunks.
#[derive(Debug, PartialEq, Eq)]
enum Chunks {
    Whole { content: Vec<u8>, length: usize, is_plain: bool },
    Broken,
    Unfinished,
}

/// RFC 9112 section 7.1, a line at a time, from the first byte to the last.
fn model_of_chunks(bytes: &[u8]) -> Chunks {
    let (mut content, mut at, mut is_plain) = (Vec::new(), 0, true);
    loop {
        let line = match line_at(bytes, at) {
            Ok(line) => line,
            Err(other) => return other,
        };
        let text: String = line.iter().map(|byte| char::from(*byte)).collect();
        at += line.len() + 2;
        let (size, extensions) =
            text.split_once(';').map_or((&*text, None), |(size, rest)| (size, Some(rest)));
        let is_size = (1..=15).contains(&size.len()) && size.chars().all(|digit| digit.is_ascii_hexdigit());
        if !is_size || !extensions.is_none_or(is_text) {
            return Chunks::Broken;
        }
        is_plain &= extensions.is_none();
        let size = usize::from_str_radix(size, 16).expect("fifteen digits fit");
        if size == 0 {
            break;
        }
        content.extend(bytes[at..].iter().take(size));
        match bytes.get(at + size..) {
            Some([b'\r', b'\n', ..]) => at += size + 2,
            Some([] | [b'\r']) | None => return Chunks::Unfinished,
            Some(_) => return Chunks::Broken,
        }
    }
    loop {
        let line = match line_at(bytes, at) {
            Ok(line) => line,
            Err(other) => return other,
        };
        at += line.len() + 2;
        if line.is_empty() {
            return Chunks::Whole { content, length: at, is_plain };
        }
        is_plain = false;
        let text: String = line.iter().map(|byte| char::from(*byte)).collect();
        let Some((name, value)) = text.split_once(':') else { return Chunks::Broken };
        let is_tchar = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        if name.is_empty() || !name.chars().all(is_tchar) || !is_text(value) {
            return Chunks::Broken;
        }
    }
}

/// The line that begins there, without its end: CR LF, and neither of them anywhere else.
fn line_at(bytes: &[u8], at: usize) -> Result<&[u8], Chunks> {
    let rest = &bytes[at..];
    let Some(end) = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n') else {
        return Err(Chunks::Unfinished);
    };
    match &rest[end..] {
        [b'\r', b'\n', ..] => Ok(&rest[..end]),
        [b'\r'] => Err(Chunks::Unfinished),
        _ => Err(Chunks::Broken),
    }
}

/// No control byte but a tab.
fn is_text(text: &str) -> bool {
    text.chars().all(|letter| letter == '\t' || (letter >= ' ' && letter != '\x7f'))
}

/// What we read of them in pieces of any size: content, or bytes as they go on, and where they end.
fn read(bytes: &[u8], form: Form, random: &mut Random) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let mut body = Body::of_request(RequestFraming::Chunked);
    let (mut used, mut content, mut at, mut there) = (Vec::new(), 0, 0, 0);
    while !body.is_done() {
        let piece = body.next(&bytes[at..there], form).map_err(drop)?;
        used.extend_from_slice(&bytes[at + piece.skip..at + piece.skip + piece.take]);
        content += piece.content;
        at += piece.skip + piece.take;
        if piece.skip + piece.take == 0 && !body.is_done() {
            if there == bytes.len() {
                return Ok(None);
            }
            let most = random.one(&[1, 4, 1000]);
            there = (there + 1 + random.below(most)).min(bytes.len());
        }
    }
    assert!(form == Form::Wire || content == used.len());
    Ok(Some((used, at)))
}

/// A body in chunks of any size and spelling, and something behind it.
fn chunks(random: &mut Random) -> Vec<u8> {
    let mut out = String::new();
    for _ in 0..random.below(4) {
        let most = random.one(&[3, 20, 300]);
        let size = 1 + random.below(most);
        let spelled = match random.below(20) {
            0..5 => format!("{size:X}"),
            5..9 => format!("{size:05x}"),
            9 => format!("{size:015x}"),
            // More digits than we read.
            10 => format!("{size:016x}"),
            _ => format!("{size:x}"),
        };
        let extension = random.one(&["", "", "", ";", ";a", ";a=\"b;c\"", "; a = b", ";\t\u{e9}"]);
        let content = random.one(&["x", "0\r\n\r\n", "\r", "GET / HTTP/1.1\r\n\r\n"]).repeat(size);
        out.push_str(&format!("{spelled}{extension}\r\n{}\r\n", &content[..size]));
    }
    out.push_str(random.one(&["0", "0", "000", "0;x"]));
    out.push_str("\r\n");
    for _ in 0..random.one(&[0, 0, 1, 2]) {
        out.push_str(random.one(&["A: b\r\n", "x:\r\n", "Authorization:\tx y\r\n", "!: ;\r\n"]));
    }
    out.push_str("\r\n");
    out.push_str(random.one(&["", "", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\n", "x"]));
    out.into_bytes()
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len() + 1);
    let piece = random.one(&[
        "\r",
        "\n",
        "\r\n",
        " ",
        "\t",
        ";",
        ":",
        "0",
        "f",
        "g",
        "-",
        "+",
        "0x",
        "\0",
        "\x7f",
        "a: b\r\n",
        "0\r\n\r\n",
    ]);
    match random.below(3) {
        0 => drop(bytes.splice(at..at, piece.bytes())),
        1 => drop(bytes.splice(at..(at + 1).min(bytes.len()), piece.bytes())),
        _ => bytes.truncate(at),
    }
}
