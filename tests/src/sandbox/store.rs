//! Grants and the tokens that hang on them. A grant is a family: what revokes it kills all its tokens.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::authorize::{Code, SCOPES};
use super::device::DeviceLogin;

/// What one person (or client) allowed one client.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: SystemTime,
    /// GitHub asks for no client secret to refresh what a device login yielded.
    pub(crate) by_device: bool,
    pub(crate) revoked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Family(u64);

impl Family {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) family: Family,
    pub(crate) scope: String,
    pub(crate) audience: Option<String>,
    pub(crate) issued_at: SystemTime,
    /// None: never, as the tokens of GitHub's OAuth apps.
    pub(crate) expires_at: Option<SystemTime>,
    revoked: bool,
}

#[derive(Clone, Debug)]
struct RefreshToken {
    family: Family,
    expires_at: SystemTime,
    spent: bool,
    revoked: bool,
}

/// What an access token is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    Valid,
    Expired,
    Revoked,
    Unknown,
    Absent,
}

/// What a refresh token is worth when it is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshState {
    Live(Family),
    Spent(Family),
    Dead(Family),
    Unknown,
}

#[derive(Default)]
pub(crate) struct Store {
    families: u64,
    grants: HashMap<Family, Grant>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    keys: HashSet<String>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) devices: Vec<DeviceLogin>,
}

impl Store {
    pub(crate) fn add_grant(&mut self, grant: Grant) -> Family {
        self.families += 1;
        let family = Family(self.families);
        self.grants.insert(family, grant);
        family
    }

    /// Whether a person has let a client in before.
    pub(crate) fn has_grant(&self, client: &str, subject: &str) -> bool {
        self.grants.values().any(|grant| grant.client == client && grant.subject == subject && !grant.revoked)
    }

    pub(crate) fn grant(&self, family: Family) -> &Grant {
        self.grants.get(&family).expect("a family exists as long as the store")
    }

    pub(crate) fn add_access(
        &mut self,
        prefix: &str,
        family: Family,
        scope: String,
        audience: Option<String>,
        ttl: Option<Duration>,
    ) -> String {
        let token = random(prefix);
        let issued_at = SystemTime::now();
        let expires_at = ttl.map(|ttl| issued_at + ttl);
        let access = AccessToken { family, scope, audience, issued_at, expires_at, revoked: false };
        self.access.insert(token.clone(), access);
        token
    }

    pub(crate) fn add_refresh(&mut self, prefix: &str, family: Family, ttl: Duration) -> String {
        let token = random(prefix);
        let expires_at = SystemTime::now() + ttl;
        self.refresh.insert(token.clone(), RefreshToken { family, expires_at, spent: false, revoked: false });
        token
    }

    /// An access token for everything, which somebody asked for by himself.
    pub(crate) fn personal_token(&mut self, subject: &str) -> String {
        let scope = SCOPES.join(" ");
        let grant = Grant {
            client: "personal".to_owned(),
            subject: subject.to_owned(),
            scope: scope.clone(),
            nonce: None,
            auth_time: SystemTime::now(),
            by_device: false,
            revoked: false,
        };
        let family = self.add_grant(grant);
        self.add_access("sbxat_", family, scope, None, None)
    }

    /// Every secret that was handed out or accepted so far, for one who looks for leaks.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let codes = self.devices.iter().map(|login| &login.device_code).chain(self.codes.keys());
        codes
            .chain(self.access.keys())
            .chain(self.refresh.keys())
            .chain(&self.keys)
            .map(String::as_str)
            .collect()
    }

    /// The token and its grant, where the token is good now.
    pub(crate) fn valid_access(&self, token: &str) -> Option<(&AccessToken, &Grant)> {
        let access = self.access.get(token)?;
        (self.state_of(access) == TokenState::Valid).then(|| (access, self.grant(access.family)))
    }

    pub(crate) fn access_state(&self, token: &str) -> TokenState {
        match self.access.get(token) {
            Some(access) => self.state_of(access),
            None if self.keys.contains(token) => TokenState::Valid,
            None => TokenState::Unknown,
        }
    }

    fn state_of(&self, access: &AccessToken) -> TokenState {
        if access.revoked || self.grant(access.family).revoked {
            TokenState::Revoked
        } else if access.expires_at.is_some_and(|at| at <= SystemTime::now()) {
            TokenState::Expired
        } else {
            TokenState::Valid
        }
    }

    pub(crate) fn refresh_state(&self, token: &str) -> RefreshState {
        let Some(refresh) = self.refresh.get(token) else { return RefreshState::Unknown };
        let family = refresh.family;
        let dead = refresh.revoked || self.grant(family).revoked || refresh.expires_at <= SystemTime::now();
        match (refresh.spent, dead) {
            (true, _) => RefreshState::Spent(family),
            (false, true) => RefreshState::Dead(family),
            (false, false) => RefreshState::Live(family),
        }
    }

    pub(crate) fn spend_refresh(&mut self, token: &str) {
        if let Some(refresh) = self.refresh.get_mut(token) {
            refresh.spent = true;
        }
    }

    pub(crate) fn revoke_family(&mut self, family: Family) {
        if let Some(grant) = self.grants.get_mut(&family) {
            grant.revoked = true;
        }
    }

    /// Kills the access tokens of a family but not its refresh tokens.
    pub(crate) fn revoke_access_of(&mut self, family: Family) {
        self.access
            .values_mut()
            .filter(|access| access.family == family)
            .for_each(|access| access.revoked = true);
    }

    /// RFC 7009: a refresh token takes its grant along, an access token only itself. Says what was known.
    pub(crate) fn revoke(&mut self, token: &str, client: &str) -> Option<Family> {
        let family = self.family_of(token)?;
        if self.grant(family).client != client {
            return None;
        }
        match self.access.get_mut(token) {
            Some(access) => access.revoked = true,
            None => self.revoke_family(family),
        }
        Some(family)
    }

    pub(crate) fn family_of(&self, token: &str) -> Option<Family> {
        let access = self.access.get(token).map(|access| access.family);
        access.or_else(|| self.refresh.get(token).map(|refresh| refresh.family))
    }

    pub(crate) fn expire_access(&mut self, client: Option<&str>) -> usize {
        let now = SystemTime::now();
        let grants = &self.grants;
        let live = self.access.values_mut().filter(|access| {
            let of_client = client.is_none_or(|client| grants[&access.family].client == client);
            of_client && access.expires_at.is_none_or(|at| at > now)
        });
        live.map(|access| access.expires_at = Some(now)).count()
    }

    pub(crate) fn revoke_refresh(&mut self, client: Option<&str>) -> usize {
        let grants = &self.grants;
        let live = self.refresh.values_mut().filter(|refresh| {
            let of_client = client.is_none_or(|client| grants[&refresh.family].client == client);
            of_client && !refresh.revoked && !refresh.spent
        });
        live.map(|refresh| refresh.revoked = true).count()
    }

    pub(crate) fn accept_key(&mut self, key: &str) {
        self.keys.insert(key.to_owned());
    }

    /// Approves (with a user) or denies a pending device login; false where none waits for this code.
    pub(crate) fn decide_device(&mut self, user_code: &str, user: Option<&str>) -> bool {
        let login = self.devices.iter_mut().find(|login| login.waits_for(user_code));
        login.map(|login| login.decide(user)).is_some()
    }
}

/// The first 8 hex digits of a secret's SHA-256: enough to tell two apart, nothing to use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    pub fn of(secret: &str) -> Self {
        let digest = Sha256::digest(secret.as_bytes());
        Self(digest[..4].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A new secret: the prefix and 40 letters and digits, as GitHub's codes have.
pub(crate) fn random(prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 40];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    prefix.chars().chain(letters).collect()
}
