//! What Entra says no with. `error` and `suberror` decide what it means; the AADSTS line is shown to
//! the person, but its numbers and words may change (Microsoft's reference says so).

use ccproxy_plugin_oauth::{Refusal, shown_line};
use ccproxy_plugin_sdk::{Error, ErrorCode};

use crate::advice::Advice;

/// The meaning of a refusal, with what to do about it; `None` where ours is as good.
pub(crate) fn read(refusal: &Refusal, advice: &Advice) -> Option<Error> {
    tell_support(refusal);
    let meaning = match refusal.text("suberror") {
        Some(suberror) => by_suberror(suberror, advice),
        None => None,
    };
    let (code, hint) = meaning.or_else(|| by_error(&refusal.error, advice))?;
    let message = format!("Entra answered {}", refusal.summary());
    let error = Error::new(code, message).with_retry_after(refusal.retry_after);
    Some(if hint.is_empty() { error } else { error.with_hint(hint) })
}

type Meaning = (ErrorCode, String);

/// `suberror` is the finer word: it says what a person has to do.
fn by_suberror(suberror: &str, advice: &Advice) -> Option<Meaning> {
    Some(match suberror {
        "consent_required" => consent(advice),
        // Multi-factor authentication, terms of use, a device to register: a browser can do it.
        "basic_action" | "additional_action" => in_person(advice),
        // Conditional access said no, and has a text for the person on the page.
        "message_only" => policy("the sign-in logs of the tenant say which policy it was"),
        "protection_policy_required" | "device_authentication_failed" => {
            policy("the policy wants a managed device, which ccproxy is not")
        }
        "user_password_expired" => password_expired(advice),
        "bad_token" | "token_expired" => (ErrorCode::ReauthRequired, advice.login.clone()),
        "client_mismatch" => (ErrorCode::ReauthRequired, advice.login.clone()),
        _ => return None,
    })
}

fn by_error(error: &str, advice: &Advice) -> Option<Meaning> {
    let Advice { login, has_secret, .. } = advice;
    Some(match error {
        "consent_required" => consent(advice),
        "interaction_required" | "login_required" => in_person(advice),
        // A refresh token that is dead, a code that was spent: in every case a person logs in anew.
        "invalid_grant" => (ErrorCode::ReauthRequired, login.clone()),
        "user_password_expired" => password_expired(advice),
        "authorization_declined" => (ErrorCode::AccessDenied, format!("if that was a mistake: {login}")),
        "bad_verification_code" => {
            (ErrorCode::CredentialsRejected, format!("a device code works once, at one tenant: {login}"))
        }
        "invalid_client" if *has_secret => (
            ErrorCode::CredentialsRejected,
            "check `client_secret`: its value, not its id, and it may have expired; an app registered as a public client has none".into(),
        ),
        // AADSTS7000218: the app is confidential, or the redirect URI is one of the platform Web.
        "invalid_client" => (
            ErrorCode::CredentialsRejected,
            "the app wants a secret: set `client_secret`, or make it a public client (Authentication: Allow public client flows, and http://localhost under Mobile and desktop applications)".into(),
        ),
        "unauthorized_client" => (
            ErrorCode::CredentialsRejected,
            "check `client_id` and `tenant`: the app must be registered in the tenant or admitted to it".into(),
        ),
        "invalid_resource" => (
            ErrorCode::InvalidConfig,
            format!("check the resource in `scopes`: this tenant knows none of that name, or nobody let it in: {}", advice.admin_consent),
        ),
        "invalid_scope" => {
            (ErrorCode::InvalidConfig, "change `scopes`: RESOURCE/.default, or permissions of one resource".into())
        }
        "invalid_request" => {
            (ErrorCode::InvalidConfig, "check `tenant`, `client_id`, `scopes` and `redirect_uri`".into())
        }
        "temporarily_unavailable" | "server_error" => (ErrorCode::ProviderUnavailable, String::new()),
        "access_denied" => (ErrorCode::AccessDenied, String::new()),
        _ => return None,
    })
}

fn consent(advice: &Advice) -> Meaning {
    let Advice { login, admin_consent, .. } = advice;
    let hint =
        format!("agree when asked: {login}\nor an administrator agrees for everybody: {admin_consent}");
    (ErrorCode::ConsentRequired, hint)
}

fn in_person(advice: &Advice) -> Meaning {
    (ErrorCode::ReauthRequired, format!("a policy wants you in person: {} --flow browser", advice.login))
}

fn policy(why: &str) -> Meaning {
    (ErrorCode::AccessDenied, why.to_owned())
}

fn password_expired(advice: &Advice) -> Meaning {
    let hint = format!("change the password at https://myaccount.microsoft.com, then: {}", advice.login);
    (ErrorCode::ReauthRequired, hint)
}

/// What Microsoft's support asks for first. Neither is a secret.
fn tell_support(refusal: &Refusal) {
    let id = |name: &str| refusal.text(name).map(shown_line).unwrap_or_default();
    tracing::debug!(
        error = %shown_line(&refusal.error),
        suberror = %id("suberror"),
        trace_id = %id("trace_id"),
        correlation_id = %id("correlation_id"),
        "Entra refused"
    );
}
