//! The field names that somebody here gives a meaning to. A name is looked up once, when its line is read; after that it
//! is a number, and whether a head has any of many names is one operation on bits.

use crate::bytes::repeated;

macro_rules! known {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a field name means: one of those that a decision is made by, or [`Known::Other`].
        ///
        /// The other variants that end in `Other` are families: every further name that begins like [`Known::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Known {
            /// Any name that is not in this list.
            Other,
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Known {
            /// Each of them, [`Known::Other`] aside.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, in lower case; for a family what its names begin with.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Other => "",
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

known! {
    Connection = "connection",
    ContentLength = "content-length",
    Expect = "expect",
    Host = "host",
    Http2Settings = "http2-settings",
    KeepAlive = "keep-alive",
    Te = "te",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",

    ApiKey = "api-key",
    Authorization = "authorization",
    PrivateToken = "private-token",
    XApiKey = "x-api-key",
    XGoogApiKey = "x-goog-api-key",

    ProxyAuthorization = "proxy-authorization",
    /// A family:
    ProxyOther = "proxy-",

    Forwarded = "forwarded",
    XRealIp = "x-real-ip",
    /// A family:
    XForwardedOther = "x-forwarded-",
    /// A family:
    XOriginalOther = "x-original-",
    /// A family:
    XRewriteOther = "x-rewrite-",

    Origin = "origin",
    Referer = "referer",
    SecFetchDest = "sec-fetch-dest",
    SecFetchMode = "sec-fetch-mode",
    SecFetchSite = "sec-fetch-site",
    /// A family:
    SecFetchOther = "sec-fetch-",
    SecPurpose = "sec-purpose",
    AccessControlRequestHeaders = "access-control-request-headers",
    AccessControlRequestMethod = "access-control-request-method",
    /// A family:
    AccessControlOther = "access-control-",

    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptRanges = "accept-ranges",
    AltSvc = "alt-svc",
    CcproxyError = "ccproxy-error",
    CcproxyRequestId = "ccproxy-request-id",
    ClearSiteData = "clear-site-data",
    ContentDigest = "content-digest",
    ContentEncoding = "content-encoding",
    ContentLocation = "content-location",
    ContentMd5 = "content-md5",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Digest = "digest",
    Link = "link",
    Location = "location",
    ReprDigest = "repr-digest",
    SetCookie = "set-cookie",
    SetCookie2 = "set-cookie2",
    StrictTransportSecurity = "strict-transport-security",
}

impl Known {
    /// What a name means to some server: case does not count, and many read `_` as `-` (CGI, WSGI; CVE-2025-64484). What
    /// only one spelling may do is asked of a field by [`crate::Field::is`].
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        Self::look_up(name).0
    }

    /// What a name means, and whether it is that name, case aside, and no alias.
    #[inline]
    pub(crate) fn look_up(name: &[u8]) -> (Self, bool) {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return (Self::Other, false) };
        let (whole, canonical) = SLOTS[slot(name.len(), *first, *last)];
        if name.len() == canonical.len() {
            if same_letters(name, canonical) {
                return (whole, true);
            }
            if same(name, canonical) {
                return (whole, false);
            }
        }
        match first | 0x20 {
            b'x' | b'p' | b's' | b'a' => Self::in_family(name, first | 0x20),
            _ => (Self::Other, false),
        }
    }

    /// Whether every name that begins like this one is meant.
    #[inline]
    pub const fn is_family(self) -> bool {
        FAMILIES.contains(self)
    }

    /// Names that have their beginning in common. Few share even their first byte with one.
    fn in_family(name: &[u8], first: u8) -> (Self, bool) {
        let among = |family: &[Self], otherwise: Self| {
            let begins =
                |end: usize| name.get(..end).is_some_and(|start| same(start, otherwise.name().as_bytes()));
            let whole = |known: &&Self| same(name, known.name().as_bytes());
            begins(otherwise.name().len()).then(|| family.iter().find(whole).copied().unwrap_or(otherwise))
        };
        let found = match first {
            b'x' => among(&[], Self::XForwardedOther)
                .or_else(|| among(&[], Self::XOriginalOther))
                .or_else(|| among(&[], Self::XRewriteOther)),
            b'p' => among(&[Self::ProxyAuthorization], Self::ProxyOther),
            b's' => among(&[Self::SecFetchSite, Self::SecFetchMode, Self::SecFetchDest], Self::SecFetchOther),
            b'a' => among(
                &[Self::AccessControlRequestMethod, Self::AccessControlRequestHeaders],
                Self::AccessControlOther,
            ),
            _ => None,
        };
        found.map_or((Self::Other, false), |known| (known, !name.contains(&b'_')))
    }
}

/// Whether two names are one to some server, the second of which may be in any form, too.
pub fn same_name(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| fold(*one) == fold(*other))
}

/// [`same_name`], of a name in lower case and with `-`.
#[inline]
fn same(name: &[u8], canonical: &[u8]) -> bool {
    name.len() == canonical.len() && name.iter().zip(canonical).all(|(one, other)| fold(*one) == *other)
}

/// Whether a name is one in lower case and of the same length, case aside, eight bytes at a time.
#[inline]
fn same_letters(name: &[u8], canonical: &[u8]) -> bool {
    // Of letters, and of no other byte of a canonical name, bit 6 is set; their case is bit 5.
    let differ = |one: &[u8; 8], other: &[u8; 8]| {
        let (one, other) = (u64::from_le_bytes(*one), u64::from_le_bytes(*other));
        (one ^ other) & !((other & repeated(0x40)) >> 1)
    };
    // The last eight may overlap those before.
    let (Some(last), Some(other)) = (name.last_chunk(), canonical.last_chunk()) else {
        return differ(&widened(name), &widened(canonical)) == 0;
    };
    let whole = name.as_chunks().0.iter().zip(canonical.as_chunks().0);
    whole.fold(differ(last, other), |found, (one, other)| found | differ(one, other)) == 0
}

/// The bytes of a short name, some of them twice, as two names of one length do alike.
#[inline]
fn widened(name: &[u8]) -> [u8; 8] {
    let mut wide = [0; 8];
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        wide[..4].copy_from_slice(first);
        wide[4..].copy_from_slice(last);
    } else if let (Some(first), Some(last)) = (name.first_chunk::<2>(), name.last_chunk::<2>()) {
        wide[..2].copy_from_slice(first);
        wide[2..4].copy_from_slice(last);
    } else if let [one] = name {
        wide[0] = *one;
    }
    wide
}

const fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Where a name of this length and with these ends is to be found, if it is known. No name that is looked up begins or
/// ends with what has two spellings, but for case.
const fn slot(length: usize, first: u8, last: u8) -> usize {
    (length + (first | 0x20) as usize + (last | 0x20) as usize * 19) % SLOT_COUNT
}

const SLOT_COUNT: usize = 256;

/// The names that are of no family. Two in one place would not compile.
static SLOTS: [(Known, &[u8]); SLOT_COUNT] = {
    let mut slots: [(Known, &[u8]); SLOT_COUNT] = [(Known::Other, b""); SLOT_COUNT];
    let mut at = 0;
    while at < Known::ALL.len() {
        let known = Known::ALL[at];
        let name = known.name().as_bytes();
        if !is_of_family(name) {
            let slot = slot(name.len(), name[0], name[name.len() - 1]);
            assert!(matches!(slots[slot].0, Known::Other), "two names have one slot");
            slots[slot] = (known, name);
        }
        at += 1;
    }
    slots
};

const fn is_of_family(name: &[u8]) -> bool {
    let mut at = 0;
    while at < Known::ALL.len() {
        let family = Known::ALL[at];
        if family.is_family() && begins(name, family.name().as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn begins(name: &[u8], start: &[u8]) -> bool {
    if name.len() < start.len() {
        return false;
    }
    let mut at = 0;
    while at < start.len() {
        if name[at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// See [`Known::is_family`].
const FAMILIES: NameSet = {
    let (mut families, mut at) = (NameSet(0), 0);
    while at < Known::ALL.len() {
        if matches!(Known::ALL[at].name().as_bytes(), [.., b'-']) {
            families.insert(Known::ALL[at]);
        }
        at += 1;
    }
    families
};

/// A set of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSet(u64);

const _: () = assert!(Known::ALL.len() < 64, "a set has a bit for each name");

impl NameSet {
    /// Of these names.
    pub const fn of(names: &[Known]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < names.len() {
            bits |= 1 << names[at] as u8;
            at += 1;
        }
        // What means nothing is in no set.
        Self(bits & !1)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a name is in it.
    #[inline]
    pub const fn contains(self, name: Known) -> bool {
        self.0 >> name as u8 & 1 == 1
    }

    /// Whether any name is in both.
    #[inline]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds a name.
    #[inline]
    pub const fn insert(&mut self, name: Known) {
        self.0 |= 1 << name as u8 & !1;
    }
}
