//! Scopes: what is asked for, and what became of it. Google answers in an order of its own, with
//! some names written in full, and a person may untick each.

use crate::schemas::Settings;

/// The scopes of a login: those asked for, and what says whose login it is.
pub(crate) fn at_login(settings: &Settings, asked: &[String]) -> Vec<String> {
    let asked = if asked.is_empty() { &settings.scopes } else { asked };
    let mut scopes = vec!["openid".to_owned(), "email".to_owned()];
    for scope in asked {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}

/// Those of `asked` that are not in `granted`.
pub(crate) fn missing<'a>(asked: &'a [String], granted: &[String]) -> Vec<&'a str> {
    let is_granted = |scope: &str| granted.iter().any(|given| in_full(given) == in_full(scope));
    asked.iter().map(String::as_str).filter(|scope| !is_granted(scope)).collect()
}

/// The name that answers give to one of OpenID's scopes.
fn in_full(scope: &str) -> &str {
    match scope {
        "email" => "https://www.googleapis.com/auth/userinfo.email",
        "profile" => "https://www.googleapis.com/auth/userinfo.profile",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn order_and_full_names_make_no_difference() {
        let list = |scopes: &str| scopes.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let granted = list("https://www.googleapis.com/auth/userinfo.email openid");
        assert_eq!(missing(&list("openid email"), &granted), Vec::<&str>::new());
        assert_eq!(missing(&list("email openid profile"), &granted), ["profile"]);
    }
}
