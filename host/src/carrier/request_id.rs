//! Request ids: 16 hex digits, unique enough to find one request in a log.

use std::cell::Cell;

use http::HeaderValue;

/// Makes ids without a system call: seeded once per worker, stepped by SplitMix64.
pub(super) struct RequestIds(Cell<u64>);

/// The id of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId(u64);

impl RequestIds {
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids still differ within this worker, which is all that is promised.
        let _ = getrandom::fill(&mut seed);
        Self(Cell::new(u64::from_ne_bytes(seed)))
    }

    pub(super) fn next(&self) -> RequestId {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RequestId(mixed ^ (mixed >> 31))
    }
}

impl RequestId {
    /// The id as text.
    pub(super) fn text(self) -> String {
        self.digits().map(char::from).into_iter().collect()
    }

    /// The digits of the text.
    pub(super) fn digits(self) -> [u8; 16] {
        let digit = |place: usize| b"0123456789abcdef"[(self.0 >> (60 - 4 * place) & 0xf) as usize];
        std::array::from_fn(digit)
    }

    /// The id as the value of a field of HTTP/2.
    pub(super) fn value(self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.digits()).expect("hex digits are a field value");
        // No secret, but "never indexed" (RFC 7541 section 6.2.3) is said by this flag: an id does not come again, and fifty
        // of them would push every other field out of the table, and be compared with each new one.
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_16_hex_digits_and_differ() {
        let ids = RequestIds::new();
        let (one, other) = (ids.next().text(), ids.next().text());
        assert_ne!(one, other);
        assert!(one.len() == 16 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
