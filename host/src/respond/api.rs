//! The problem documents of the admin API.

use serde_json::json;

use super::problem::{self, Subject, classify_fault, retry_after};
use super::{ERROR_FIELD, Reply};
use crate::refusal::{ApiRefusal, Refusal, Why};

/// Status and code of what the admin API refuses.
fn classify(refused: &ApiRefusal) -> (u16, &'static str) {
    match &refused.why {
        Why::Failed => (classify_fault(refused.fault.code).0, refused.fault.code.as_str()),
        Why::Invalid => (400, refused.fault.code.as_str()),
        Why::NotFound => (404, "not_found"),
        Why::Conflict => (409, "conflict"),
        Why::Unfit => (409, refused.fault.code.as_str()),
        Why::MethodNotAllowed { .. } => (405, "method_not_allowed"),
        Why::MediaType => (415, "unsupported_media_type"),
        Why::TooLarge => (413, "body_too_large"),
        Why::TurnedOff => (403, "turned_off"),
        Why::Guard(refusal) => {
            let (status, code, _) = problem::classify(refusal);
            (status, code)
        }
        Why::NotAdmin => (403, "admin_not_allowed"),
        Why::TooMany { .. } => (429, "too_many_attempts"),
    }
}

/// The reply to what the admin API does not do. The title says what is wrong, for that is what a command
/// prints.
pub fn api_problem(refused: &ApiRefusal) -> Reply {
    let (status, code) = classify(refused);
    let after = match &refused.why {
        Why::TooMany { after } => Some(*after),
        Why::Failed => retry_after(&Refusal::Credential(refused.fault.clone()), status),
        _ => None,
    };
    let (title, hint) = match &refused.why {
        Why::Guard(refusal) => (problem::classify(refusal).2, guard_hint(refusal)),
        _ => (refused.fault.message.as_str(), refused.fault.hint.clone()),
    };
    let mut body = json!({
        "type": format!("urn:ccproxy:error:{code}"),
        "title": title,
        "status": status,
        "code": code,
        "hint": hint,
    });
    if let Some(transcript) = &refused.fault.transcript {
        body["detail"] = transcript.as_str().into();
    }
    let mut fields = vec![
        ("content-type", b"application/problem+json".to_vec()),
        ("cache-control", b"no-store".to_vec()),
        ("x-content-type-options", b"nosniff".to_vec()),
        (ERROR_FIELD, code.as_bytes().to_vec()),
    ];
    if let Some(after) = after.map(|after| after.as_secs().max(1)) {
        body["retry_after"] = after.into();
        fields.push(("retry-after", after.to_string().into_bytes()));
    }
    if let Why::MethodNotAllowed { allow } = &refused.why {
        fields.push(("allow", allow.clone().into_bytes()));
    }
    if status == 401 {
        fields.push(("www-authenticate", b"Bearer realm=\"ccproxy\"".to_vec()));
    }
    Reply { status, error: Some(code), fields, body: body.to_string().into() }
}

/// What lets somebody in here, where keys are others and pages are none.
fn guard_hint(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::KeyRequired => {
            Some("ccproxy key create NAME --admin, then: Authorization: Bearer KEY".into())
        }
        Refusal::OriginNotAllowed => Some("only a page of this address may ask".into()),
        other => problem::hint(other, Subject::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Fault};
    use pretty_assertions::assert_eq;

    #[test]
    fn a_failure_keeps_the_code_that_commands_exit_by() {
        let refused = ApiRefusal::from(Fault::new(Code::Network, "down").hint("try"));
        let reply = api_problem(&refused);
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, body["code"].as_str()), (503, Some("network")));
        assert_eq!((body["title"].as_str(), body["hint"].as_str()), (Some("down"), Some("try")));
        assert_eq!(body["retry_after"], 5);
    }

    #[test]
    fn what_was_wrong_with_the_request_is_the_clients() {
        let status = |why| api_problem(&ApiRefusal::of(why, "x")).status;
        let all = [Why::Invalid, Why::NotFound, Why::Unfit, Why::MediaType, Why::TooLarge, Why::TurnedOff];
        assert_eq!(all.map(status), [400, 404, 409, 415, 413, 403]);
        let refused = api_problem(&ApiRefusal::of(Why::MethodNotAllowed { allow: "GET".into() }, "x"));
        assert!(refused.fields.contains(&("allow", b"GET".to_vec())), "{:?}", refused.fields);
    }
}
