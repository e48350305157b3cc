//! What every provider tells and asks people in the same words.

use ccproxy_plugin_sdk::{Error, Secret};

/// The command that logs a connection in, also before it exists: a failed login stores nothing, so
/// what was said the first time must be said again.
///
/// `settings` are the flags with their values, those that are not set left out.
pub fn login_command<'a>(
    provider: &str,
    connection: &str,
    settings: impl IntoIterator<Item = (&'a str, &'a Option<String>)>,
) -> String {
    let mut command = format!("ccproxy auth login {provider}");
    if connection != provider {
        command.push_str(&format!(" --connection {connection}"));
    }
    for (flag, value) in settings {
        if let Some(value) = value {
            command.push_str(&format!(" --{flag} {value}"));
        }
    }
    command
}

/// A token as typed, piped or pasted: one line. Its prefix is not looked at: who gives tokens
/// changes them.
///
/// # Errors
/// `invalid_config` for what cannot stand in a header field; nothing of it is quoted.
pub fn entered_token(text: &Secret) -> Result<Secret, Error> {
    let token = Secret::new(text.expose().trim());
    if token.is_field_value() {
        return Ok(token);
    }
    Err(Error::invalid_config("this is not a token: a token is one line without spaces"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_command_says_again_what_was_said_and_no_more() {
        let (id, host) = (Some("Iv1.x".to_owned()), Some("ghe.example.com".to_owned()));
        let command = |label, id, host| login_command("github", label, [("client-id", id), ("host", host)]);
        assert_eq!(command("github", &None, &None), "ccproxy auth login github");
        assert_eq!(
            command("acme/work", &id, &host),
            "ccproxy auth login github --connection acme/work --client-id Iv1.x --host ghe.example.com"
        );
    }

    #[test]
    fn a_token_is_one_line_of_what_a_header_field_can_hold() {
        assert_eq!(entered_token(&Secret::new(" ya29.x\n")).unwrap().expose(), "ya29.x");
        for wrong in ["", "two words", "a\r\nx-evil: 1"] {
            assert!(entered_token(&Secret::new(wrong)).is_err(), "{wrong:?}");
        }
    }
}
