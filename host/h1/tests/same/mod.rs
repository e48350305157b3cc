//! What has to hold for any bytes at all: for the mutants of the differential tests, and for those that `scripts/fuzz`
//! finds.

use ccproxy_h1::{
    Body, Fields, Form, HeadEnd, HeadError, Limits, RequestFraming, RequestHead, ResponseHead, Version,
    framing,
};
use pretty_assertions::assert_eq;

pub const LIMITS: Limits = Limits { start_line: 512, fields: 32, bytes: 4096 };

/// A request head that we read is read by httparse, as the same. Whether we read one: `None` if there is none yet.
pub fn request(bytes: &[u8]) -> Option<bool> {
    let mut room = Fields::new();
    let (end, ours) = match of_request(bytes, &mut room) {
        Ok(head) => head?,
        Err(_) => return Some(false),
    };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Request::new(&mut fields);
    let parsed = theirs.parse(bytes);
    assert_eq!(parsed, Ok(httparse::Status::Complete(end)), "{}", bytes.escape_ascii());
    assert_eq!(theirs.method.map(str::as_bytes), Some(ours.method));
    assert_eq!(theirs.path.map(str::as_bytes), Some(ours.target));
    assert_eq!(theirs.version, Some(u8::from(ours.version == Version::Http11)));
    assert_same_fields(theirs.headers, &ours.fields, bytes);
    Some(true)
}

/// The same of a response head.
pub fn response(bytes: &[u8]) -> Option<bool> {
    let mut room = Fields::new();
    let (end, ours) = match of_response(bytes, &mut room) {
        Ok(head) => head?,
        Err(_) => return Some(false),
    };
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Response::new(&mut fields);
    let parsed = theirs.parse(bytes);
    assert_eq!(parsed, Ok(httparse::Status::Complete(end)), "{}", bytes.escape_ascii());
    assert_eq!(theirs.code, Some(ours.status), "{}", bytes.escape_ascii());
    assert_eq!(theirs.version, Some(u8::from(ours.version == Version::Http11)));
    assert_same_fields(theirs.headers, &ours.fields, bytes);
    Some(true)
}

/// Wherever the bytes are cut on their way, they are one head or none.
pub fn head_in_pieces(bytes: &[u8]) {
    let at_once = HeadEnd::default().find(bytes, &LIMITS);
    let mut bytewise = HeadEnd::default();
    let one_by_one = (1..=bytes.len()).map(|count| bytewise.find(&bytes[..count], &LIMITS));
    let one_by_one = one_by_one.into_iter().find(|found| *found != Ok(None)).unwrap_or(Ok(None));
    assert_eq!(read(bytes, one_by_one), read(bytes, at_once), "{}", bytes.escape_ascii());
}

/// What comes of bytes in which an end was found. Whether a fault is met by who looks for the end or by who reads, and
/// which of two is met first, may depend on the pieces.
fn read(bytes: &[u8], end: Result<Option<usize>, HeadError>) -> Result<Option<usize>, ()> {
    let Some(end) = end.map_err(drop)? else { return Ok(None) };
    let (mut request, mut response) = (Fields::new(), Fields::new());
    let is_head = ccproxy_h1::request(&bytes[..end], &LIMITS, &mut request).is_ok()
        || ccproxy_h1::response(&bytes[..end], &LIMITS, &mut response).is_ok();
    if is_head { Ok(Some(end)) } else { Err(()) }
}

/// Wherever a request is cut on its way, its content is the same, and so is what follows it.
pub fn body_in_pieces(bytes: &[u8]) {
    let mut room = Fields::new();
    let Ok(Some((end, head))) = of_request(bytes, &mut room) else { return };
    let Ok(framing) = framing::of_request(head.version, &head.fields) else { return };
    for form in [Form::Data, Form::Wire] {
        let at_once = body(framing, &bytes[end..], usize::MAX, form);
        assert_eq!(body(framing, &bytes[end..], 1, form), at_once, "{form:?}: {}", bytes.escape_ascii());
    }
}

/// A body that comes so many bytes at a time, and where it ends; nothing if it is broken or not all there.
fn body(framing: RequestFraming, bytes: &[u8], step: usize, form: Form) -> Option<(Vec<u8>, usize)> {
    let mut body = Body::of_request(framing);
    let (mut used, mut at, mut there) = (Vec::new(), 0, 0);
    while !body.is_done() {
        let piece = body.next(&bytes[at..there], form).ok()?;
        used.extend_from_slice(&bytes[at + piece.skip..at + piece.skip + piece.take]);
        at += piece.skip + piece.take;
        if piece.skip + piece.take == 0 {
            if there == bytes.len() {
                return None;
            }
            there = there.saturating_add(step).min(bytes.len());
        }
    }
    Some((used, at))
}

/// The content of a request that we would forward and that is all there.
pub fn content(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut room = Fields::new();
    let (end, head) = of_request(bytes, &mut room).ok()??;
    let framing = framing::of_request(head.version, &head.fields).ok()?;
    Some(body(framing, &bytes[end..], usize::MAX, Form::Data)?.0)
}

fn of_request<'f, 'a: 'f>(
    bytes: &'a [u8],
    room: &'f mut Fields<'a>,
) -> Result<Option<(usize, RequestHead<'f>)>, HeadError> {
    let Some(end) = HeadEnd::default().find(bytes, &LIMITS)? else { return Ok(None) };
    Ok(Some((end, ccproxy_h1::request(&bytes[..end], &LIMITS, room)?)))
}

fn of_response<'f, 'a: 'f>(
    bytes: &'a [u8],
    room: &'f mut Fields<'a>,
) -> Result<Option<(usize, ResponseHead<'f>)>, HeadError> {
    let Some(end) = HeadEnd::default().find(bytes, &LIMITS)? else { return Ok(None) };
    // Nothing stands in front of a response.
    let head = &bytes[..end];
    Ok(Some((end, ccproxy_h1::response(head, &LIMITS, room)?)))
}

fn assert_same_fields(theirs: &[httparse::Header<'_>], ours: &[ccproxy_h1::Field<'_>], bytes: &[u8]) {
    let theirs: Vec<_> = theirs.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
    let ours: Vec<_> = ours.iter().map(|field| (field.name, field.value)).collect();
    assert_eq!(ours, theirs, "{}", bytes.escape_ascii());
}
