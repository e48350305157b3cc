//! Each quirk of a real server is one test that fails when its handling is taken out.

use ccproxy_plugin_sdk::ErrorCode;
use pretty_assertions::assert_eq;

use super::*;

fn answer(status: u16, content_type: &str, body: &str) -> Result<Answer, Error> {
    let headers = vec![("Content-Type".to_owned(), content_type.as_bytes().to_vec())];
    read("token endpoint", &Response { status, headers, body: body.into() }, UnixMillis(0))
}

fn granted(status: u16, content_type: &str, body: &str) -> Members {
    match answer(status, content_type, body) {
        Ok(Answer::Granted(members)) => members,
        Ok(Answer::Refused(refusal)) => panic!("refused: {}", refusal.summary()),
        Err(error) => panic!("{error}"),
    }
}

fn refused(status: u16, body: &str) -> Refusal {
    match answer(status, "application/json", body) {
        Ok(Answer::Refused(refusal)) => refusal,
        Ok(Answer::Granted(_)) => panic!("granted"),
        Err(error) => panic!("{error}"),
    }
}

fn token_of(body: &str) -> Value {
    Value::Object(token(&granted(200, "application/json", body)).unwrap())
}

const BEARER: &str = r#""access_token":"at","token_type":"bearer""#;

#[test]
fn the_answer_of_the_rfc() {
    assert_eq!(
        token_of(
            r#"{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"rt","scope":"a b","id_token":"x.y.z","example":1}"#
        ),
        json!({"access_token": "at", "token_type": "bearer", "expires_in": 3600, "refresh_token": "rt", "scope": "a b", "id_token": "x.y.z"})
    );
}

#[test]
fn github_form_encoded_answer() {
    let body = "access_token=gho_16C7&scope=repo%2Cgist&token_type=bearer";
    let members = granted(200, "application/x-www-form-urlencoded; charset=utf-8", body);
    assert_eq!(
        Value::Object(token(&members).unwrap()),
        json!({"access_token": "gho_16C7", "token_type": "bearer", "scope": "repo gist"})
    );
}

#[test]
fn github_error_with_status_200() {
    assert_eq!(refused(200, r#"{"error":"bad_verification_code"}"#).error, "bad_verification_code");
}

#[test]
fn google_pending_with_status_428() {
    let body = r#"{"error":"authorization_pending","error_description":"Precondition Required"}"#;
    assert_eq!(refused(428, body).error, "authorization_pending");
}

#[test]
fn google_quota_in_error_code() {
    let refusal = refused(403, r#"{"error_code":"rate_limit_exceeded"}"#);
    assert_eq!(refusal.to_error().code, ErrorCode::RateLimited);
}

#[test]
fn an_error_beside_a_token_is_an_error() {
    assert_eq!(refused(200, r#"{"access_token":"at","error":"access_denied"}"#).error, "access_denied");
}

#[test]
fn an_empty_error_member_is_no_error() {
    assert_eq!(token_of(&format!(r#"{{{BEARER},"error":null}}"#))["access_token"], "at");
    assert_eq!(token_of(&format!(r#"{{{BEARER},"error":""}}"#))["access_token"], "at");
}

#[test]
fn expires_in_as_text() {
    assert_eq!(token_of(&format!(r#"{{{BEARER},"expires_in":"3599"}}"#))["expires_in"], 3599);
}

#[test]
fn expires_in_with_a_fraction() {
    assert_eq!(token_of(&format!(r#"{{{BEARER},"expires_in":3599.7}}"#))["expires_in"], 3599);
}

#[test]
fn expires_in_missing_or_senseless_is_none() {
    for odd in ["null", "\"\"", "\"soon\"", "\"nan\"", "-1", "[]", "true"] {
        let token = token_of(&format!(r#"{{{BEARER},"expires_in":{odd}}}"#));
        assert_eq!(token.get("expires_in"), None, "{odd}");
    }
    assert_eq!(token_of(&format!("{{{BEARER}}}")).get("expires_in"), None);
}

#[test]
fn expires_in_past_every_clock_is_cut() {
    for endless in ["1e300", "18446744073709551615", "\"1e300\"", "\"inf\""] {
        let token = token_of(&format!(r#"{{{BEARER},"expires_in":{endless}}}"#));
        assert_eq!(token["expires_in"], 3_155_760_000_u64, "{endless}");
    }
}

#[test]
fn a_missing_token_type_is_bearer() {
    assert_eq!(token_of(r#"{"access_token":"at"}"#)["token_type"], "bearer");
    assert_eq!(token_of(r#"{"access_token":"at","token_type":null}"#)["token_type"], "bearer");
}

#[test]
fn a_token_type_we_cannot_use_is_refused() {
    for other in [r#""DPoP""#, r#""mac""#, "7"] {
        let members = granted(200, "", &format!(r#"{{"access_token":"at","token_type":{other}}}"#));
        assert_eq!(token(&members).unwrap_err().code, ErrorCode::InvalidResponse, "{other}");
    }
}

#[test]
fn scope_with_commas_with_spaces_and_as_a_list() {
    for scope in [r#""repo,gist""#, r#""repo gist""#, r#""repo, gist""#, r#"["repo","gist"]"#] {
        assert_eq!(token_of(&format!(r#"{{{BEARER},"scope":{scope}}}"#))["scope"], "repo gist", "{scope}");
    }
}

#[test]
fn an_empty_or_null_refresh_token_is_none() {
    for none in ["null", "\"\"", "0"] {
        assert_eq!(token_of(&format!(r#"{{{BEARER},"refresh_token":{none}}}"#)).get("refresh_token"), None);
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(token_of(&format!("\u{feff} {{{BEARER}}}\r\n"))["access_token"], "at");
}

#[test]
fn json_under_any_content_type() {
    for kind in ["text/html", "application/x-www-form-urlencoded", "", "application/problem+json"] {
        assert_eq!(granted(200, kind, &format!("{{{BEARER}}}"))["access_token"], "at");
    }
}

#[test]
fn a_token_with_status_201_is_granted() {
    assert_eq!(granted(201, "application/json", &format!("{{{BEARER}}}"))["access_token"], "at");
}

#[test]
fn empty_bodies_are_judged_by_their_status() {
    for (status, code) in [
        (401, ErrorCode::CredentialsRejected),
        (403, ErrorCode::AccessDenied),
        (429, ErrorCode::RateLimited),
        (503, ErrorCode::ProviderUnavailable),
    ] {
        assert_eq!(refused(status, " \r\n").to_error().code, code);
    }
    for status in [200, 204, 302, 400] {
        let error = answer(status, "", "").err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
        assert_eq!(error.message, format!("the token endpoint answered {status} with an empty body"));
    }
}

#[test]
fn pages_are_not_answers_and_are_not_quoted() {
    let page = "<html>access_token=canary</html>";
    for status in [200, 302, 400, 404] {
        let error = answer(status, "text/html", page).err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
        assert!(
            error.message.ends_with(&format!("answered {status} with neither JSON nor a form (text/html)"))
        );
    }
    assert_eq!(refused(502, page).to_error().code, ErrorCode::ProviderUnavailable);
    assert!(answer(200, "text/plain", "please=wait").is_err());
    for odd in ["[1]", "\"at\"", "{\"access_token\":", "nothing"] {
        assert!(answer(200, "application/json", odd).is_err(), "{odd}");
    }
}

#[test]
fn a_token_that_cannot_stand_in_a_field_is_refused() {
    for odd in ["a b", "a\\r\\nX-Evil: 1", "", "t\u{f6}ken"] {
        let members = granted(200, "", &format!(r#"{{"access_token":"{odd}"}}"#));
        assert_eq!(token(&members).unwrap_err().code, ErrorCode::InvalidResponse, "{odd:?}");
    }
    for odd in ["7", "null", "[\"at\"]"] {
        let members = granted(200, "", &format!(r#"{{"access_token":{odd}}}"#));
        assert_eq!(token(&members).unwrap_err().message, "the token answer has no `access_token`");
    }
}

#[test]
fn nesting_without_end_is_unreadable() {
    let deep = format!(r#"{{"access_token":"at","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(answer(200, "application/json", &deep).err().unwrap().code, ErrorCode::InvalidResponse);
}

#[test]
fn google_device_answer_with_verification_url() {
    let members = granted(
        200,
        "application/json",
        r#"{"device_code":"dc","user_code":"GQVQ-JKEC","verification_url":"https://www.google.com/device","expires_in":"1800"}"#,
    );
    assert_eq!(
        Value::Object(device_authorization(&members)),
        json!({"device_code": "dc", "user_code": "GQVQ-JKEC", "verification_uri": "https://www.google.com/device", "expires_in": 1800})
    );
}

#[test]
fn a_device_answer_without_a_lifetime_or_with_interval_zero() {
    let members = granted(200, "", r#"{"device_code":"dc","interval":0}"#);
    assert_eq!(
        Value::Object(device_authorization(&members)),
        json!({"device_code": "dc", "expires_in": 600})
    );
}
