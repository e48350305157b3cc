//! Framing against a model: RFC 9112 section 6.3 sentence by sentence, without a thought for speed, and what we refuse
//! beyond it. Neither knows of the other; they agree on every one of many generated messages.

mod random;

use ccproxy_h1::{Fields, FramingError, HeadEnd, Limits, RequestFraming, ResponseFraming, Version, framing};
use pretty_assertions::assert_eq;
use random::Random;

const LIMITS: Limits = Limits { start_line: 512, fields: 32, bytes: 4096 };
const ROUNDS: usize = 50_000;

/// A field as a list of bytes has it: name and value.
type Line = (String, String);

#[test]
fn a_request_is_framed_as_in_the_model() {
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        let mut random = Random(round as u64);
        let ((version, name), lines) = (version(&mut random), lines(&mut random));
        let head = head(&format!("POST / {name}"), &lines);
        let end = HeadEnd::default().find(&head, &LIMITS).unwrap().unwrap();
        let mut room = Fields::new();
        let parsed = ccproxy_h1::request(&head[..end], &LIMITS, &mut room).unwrap();
        let ours = framing::of_request(parsed.version, &parsed.fields).map(|framing| match framing {
            RequestFraming::None => Model::None,
            RequestFraming::Length(length) => Model::Length(length),
            RequestFraming::Chunked => Model::Chunked,
        });
        seen.compare(ours, model_of_request(version, &lines), &lines);
        let keeps = framing::keeps_alive(parsed.version, &parsed.fields);
        assert_eq!(keeps, model_keeps_alive(version, &lines), "{version:?} {lines:?}");
    }
    seen.assert_useful();
}

#[test]
fn a_response_is_framed_as_in_the_model() {
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        let mut random = Random(!(round as u64));
        let ((version, name), lines) = (version(&mut random), lines(&mut random));
        let method = random.one(&["GET", "GET", "POST", "HEAD", "head"]);
        let status = random.one(&[200, 200, 200, 201, 206, 404, 500, 100, 101, 103, 204, 205, 304, 599]);
        let head = head(&format!("{name} {status} x"), &lines);
        let end = HeadEnd::default().find(&head, &LIMITS).unwrap().unwrap();
        let mut room = Fields::new();
        let parsed = ccproxy_h1::response(&head[..end], &LIMITS, &mut room).unwrap();
        let ours = framing::of_response(method.as_bytes(), parsed.version, parsed.status, &parsed.fields);
        let ours = ours.map(|framing| match framing {
            ResponseFraming::None => Model::None,
            ResponseFraming::Length(length) => Model::Length(length),
            ResponseFraming::Chunked => Model::Chunked,
            ResponseFraming::UntilClose => Model::UntilClose,
        });
        seen.compare(ours, model_of_response(method, status, version, &lines), &lines);
        let twice =
            !values(&lines, "content-length").is_empty() && !values(&lines, "transfer-encoding").is_empty();
        assert_eq!(framing::is_framed_twice(&parsed.fields), twice, "{lines:?}");
    }
    seen.assert_useful();
}

/// What a model says of the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What is wrong: 400, or 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Ambiguous,
    Coding,
}

/// Requests: sentences 3, 4 and 6 to 8 of RFC 9112 section 6.3, where ours are stricter.
fn model_of_request(version: Version, lines: &[Line]) -> Result<Model, Vec<Fault>> {
    let (codings, lengths) = (values(lines, "transfer-encoding"), values(lines, "content-length"));
    let (coding, length) = (coding(version, &codings), length(&lengths));
    let mut faults = Vec::new();
    faults.extend(coding.and_then(Result::err));
    faults.extend(length.and_then(Result::err));
    if !codings.is_empty() && !lengths.is_empty() {
        faults.push(Fault::Ambiguous);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    match (coding, length) {
        (Some(_), _) => Ok(Model::Chunked),
        (None, Some(Ok(length))) => Ok(Model::Length(length)),
        (None, _) => Ok(Model::None),
    }
}

/// Responses: sentences 1, 3 to 6 and 8.
fn model_of_response(
    method: &str,
    status: u16,
    version: Version,
    lines: &[Line],
) -> Result<Model, Vec<Fault>> {
    if (100..200).contains(&status) || status == 204 {
        return Ok(Model::None);
    }
    if method == "HEAD" || status == 304 {
        // RFC 9110 section 8.6: what is no length is not passed on as one.
        let fault = length(&values(lines, "content-length")).and_then(Result::err);
        return fault.map_or(Ok(Model::None), |fault| Err(vec![fault]));
    }
    // Chunks win over a length.
    match coding(version, &values(lines, "transfer-encoding")) {
        Some(Ok(())) => return Ok(Model::Chunked),
        Some(Err(fault)) => return Err(vec![fault]),
        None => {}
    }
    match length(&values(lines, "content-length")) {
        Some(Ok(length)) => Ok(Model::Length(length)),
        Some(Err(fault)) => Err(vec![fault]),
        None => Ok(Model::UntilClose),
    }
}

/// One field, one `chunked` at its end, none before; what stands there is a coding that we do not read.
fn coding(version: Version, values: &[&str]) -> Option<Result<(), Fault>> {
    let value = values.first()?.to_ascii_lowercase();
    let codings: Vec<_> = value.split(',').map(|coding| coding.trim_matches([' ', '\t'])).collect();
    let is_well_formed = version == Version::Http11
        && values.len() == 1
        && codings.iter().all(|coding| !coding.is_empty())
        && codings.iter().position(|coding| *coding == "chunked") == Some(codings.len() - 1);
    Some(match (is_well_formed, codings.len()) {
        (true, 1) => Ok(()),
        (true, _) => Err(Fault::Coding),
        (false, _) => Err(Fault::Ambiguous),
    })
}

/// One field, of digits alone, which make a number of 64 bits.
fn length(values: &[&str]) -> Option<Result<u64, Fault>> {
    let value = values.first()?;
    let is_number =
        values.len() == 1 && !value.is_empty() && value.chars().all(|digit| digit.is_ascii_digit());
    let number = is_number.then(|| value.parse().ok()).flatten();
    Some(number.ok_or(Fault::Ambiguous))
}

/// RFC 9112 section 9.3: `close` wins, then the version, then `keep-alive`.
fn model_keeps_alive(version: Version, lines: &[Line]) -> bool {
    let options = values(lines, "connection").join(",").to_ascii_lowercase();
    let options: Vec<_> = options.split(',').map(|option| option.trim_matches([' ', '\t'])).collect();
    !options.contains(&"close") && (version == Version::Http11 || options.contains(&"keep-alive"))
}

fn values<'a>(lines: &'a [Line], name: &str) -> Vec<&'a str> {
    let named = |line: &&Line| line.0.to_ascii_lowercase() == name;
    lines.iter().filter(named).map(|(_, value)| value.trim_matches([' ', '\t'])).collect()
}

/// How many messages were framed, and how many were not.
#[derive(Default)]
struct Seen {
    framed: usize,
    ambiguous: usize,
    coded: usize,
}

impl Seen {
    fn compare(
        &mut self,
        ours: Result<Model, FramingError>,
        model: Result<Model, Vec<Fault>>,
        lines: &[Line],
    ) {
        match (ours, model) {
            (Ok(ours), Ok(model)) => {
                assert_eq!(ours, model, "{lines:?}");
                self.framed += 1;
            }
            (Err(FramingError::Ambiguous(_)), Err(faults)) if faults.contains(&Fault::Ambiguous) => {
                self.ambiguous += 1;
            }
            (Err(FramingError::Coding), Err(faults)) if faults.contains(&Fault::Coding) => self.coded += 1,
            (ours, model) => panic!("{lines:?}: {ours:?}, in the model {model:?}"),
        }
    }

    fn assert_useful(&self) {
        let Self { framed, ambiguous, coded } = *self;
        assert!(framed > 5_000 && ambiguous > 5_000 && coded > 500, "{framed} {ambiguous} {coded}");
    }
}

/// Fields among which some frame a body, some nearly do, some do it twice.
fn lines(random: &mut Random) -> Vec<Line> {
    const LENGTHS: &[&str] = &[
        "0",
        "5",
        "007",
        "18446744073709551615",
        "18446744073709551616",
        "36893488147419103237",
        "99999999999999999999",
        "00000000000000000000000000000000005",
        "",
        "+5",
        "-0",
        "5,5",
        "5, 5",
        "5,",
        ",5",
        "5 5",
        "0x5",
        "5.0",
        "1e3",
        "five",
        "5;",
        "\"5\"",
    ];
    const CODINGS: &[&str] = &[
        "chunked",
        "chunked",
        "Chunked",
        "CHUNKED",
        "gzip, chunked",
        "gzip,deflate ,\tchunked",
        "chunked, chunked",
        "chunked, gzip",
        "gzip",
        "identity",
        "",
        ",chunked",
        "chunked,",
        "gzip,,chunked",
        "xchunked",
        "chunked;q=1",
        "chun ked",
        "\"chunked\"",
        ", ,chunked",
        "chunked chunked",
        "gzip;a=b, chunked",
        "chunked\t, identity",
    ];
    const NEARLY: &[&str] =
        &["Content_Length", "Content-Lengths", "X-Content-Length", "Transfer_Encoding", "TE"];
    let mut lines = Vec::new();
    for _ in 0..random.below(5) {
        let (name, value) = match random.below(8) {
            0..=2 => ("content-length", random.one(LENGTHS)),
            3..=5 => ("transfer-encoding", random.one(CODINGS)),
            6 => (random.one(NEARLY), random.one(&["5", "chunked"])),
            _ => (
                "connection",
                random.one(&["close", "keep-alive", "Keep-Alive, x", "x,CLOSE", "closed", "", ","]),
            ),
        };
        let name = match random.below(3) {
            0 => name.to_ascii_uppercase(),
            1 => name
                .split('-')
                .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
                .collect::<Vec<_>>()
                .join("-"),
            _ => name.to_owned(),
        };
        let space = |random: &mut Random| random.one(&["", "", " ", "\t", " \t "]);
        lines.push((name, format!("{}{value}{}", space(random), space(random))));
    }
    lines
}

fn head(start: &str, lines: &[Line]) -> Vec<u8> {
    let fields: String = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
    format!("{start}\r\n{fields}\r\n").into_bytes()
}

fn version(random: &mut Random) -> (Version, &'static str) {
    random.one(&[(Version::Http11, "HTTP/1.1"), (Version::Http11, "HTTP/1.1"), (Version::Http10, "HTTP/1.0")])
}
