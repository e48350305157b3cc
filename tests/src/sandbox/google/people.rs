//! The accounts. A name with an `@` is one of a Workspace, any other a private one.

use serde_json::{Value, json};

/// Whose administrator lets in no app that he has not looked at.
pub(super) const UNDER_POLICY: &str = "eve@strict.test";

/// Who unticks everything but who they are.
pub(super) const WARY: &str = "wary";

/// The Workspace domain of an account.
pub(super) fn domain(user: &str) -> Option<&str> {
    user.split_once('@').map(|(_, domain)| domain)
}

/// Who it is, in the words of ID tokens and userinfo.
pub(super) fn claims(user: &str) -> Value {
    let email = if user.contains('@') { user.to_owned() } else { format!("{user}@gmail.test") };
    let mut claims = json!({ "sub": number(user), "email": email, "email_verified": true });
    if let Some(domain) = domain(user) {
        claims["hd"] = json!(domain);
    }
    claims
}

/// A subject is a number of 21 digits, the same for all clients.
fn number(user: &str) -> String {
    let number =
        user.bytes().fold(7_u128, |number, byte| (number * 257 + u128::from(byte)) % 10_u128.pow(20));
    format!("1{number:020}")
}
