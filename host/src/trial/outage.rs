//! A provider that fails or talks nonsense while a token is renewed: told as what it is, and no login is lost
//! over it.

use serde_json::{Value, json};

use super::Trial;
use super::grant::Renewal;
use super::report::{Finding, Objection};
use super::sandbox::Sandbox;
use crate::fault::{Code, Fault};
use crate::model::ConnectionId;

/// Longer than any call may take.
const SILENCE_MS: u64 = 60_000;
/// More than the host hands on.
const HUGE: usize = 3 << 20;

/// What a provider does, and what it is to be told as.
struct Outage {
    check: &'static str,
    /// In words: "a provider that ...".
    what: &'static str,
    /// What the sandbox does, one after the other.
    faults: Vec<Value>,
    fits: fn(Code) -> bool,
    /// The codes, for who got it wrong.
    wanted: &'static str,
}

fn outages() -> Vec<Outage> {
    let body = |status: u16, media_type: &str, body: &str| json!({ "kind": "body", "status": status, "content_type": media_type, "body": body });
    let later = "`provider_unavailable`, `network`, `timeout` or `rate_limited`";
    let senseless = "`invalid_response`";
    let makes_no_sense = |code: Code| code == Code::InvalidResponse || code.is_transient();
    vec![
        Outage {
            check: "outage.silent",
            what: "does not answer",
            faults: vec![json!({ "kind": "delay", "ms": SILENCE_MS })],
            fits: Code::is_transient,
            wanted: later,
        },
        Outage {
            check: "outage.error",
            what: "answers 500, 503 or 429",
            faults: vec![
                json!({ "kind": "status", "status": 500 }),
                json!({ "kind": "status", "status": 503, "retry_after": 7 }),
                json!({ "kind": "status", "status": 429, "retry_after": 7 }),
            ],
            fits: Code::is_transient,
            wanted: later,
        },
        Outage {
            check: "outage.html",
            what: "answers with a web page",
            faults: vec![
                body(200, "text/html", "<!doctype html><title>Sign in</title>"),
                body(502, "text/html", "<!doctype html><title>Bad Gateway</title>"),
            ],
            fits: makes_no_sense,
            wanted: senseless,
        },
        Outage {
            check: "outage.huge",
            what: "answers with 3 MiB",
            faults: vec![json!({ "kind": "large", "bytes": HUGE })],
            fits: makes_no_sense,
            wanted: senseless,
        },
        Outage {
            check: "outage.nonsense",
            what: "answers with what is no token",
            faults: [
                "",
                "[]",
                "{}",
                "{\"access_token\":",
                r#"{"access_token":7,"token_type":"Bearer"}"#,
                r#"{"access_token":"","token_type":"Bearer"}"#,
                r#"{"access_token":"a\r\nx-injected: b","token_type":"Bearer","expires_in":3600}"#,
                r#"{"access_token":null,"expires_in":{"a":[]}}"#,
            ]
            .map(|text| body(200, "application/json", text))
            .to_vec(),
            fits: makes_no_sense,
            wanted: senseless,
        },
    ]
}

impl Trial<'_> {
    /// Every outage, and after them a refresh that works.
    pub(super) async fn outages(
        &mut self,
        id: &ConnectionId,
        renewal: &Renewal,
        sandbox: &Sandbox,
    ) -> Result<(), Fault> {
        for outage in outages() {
            let finding = self.outage(id, &outage, renewal, sandbox).await?;
            sandbox.behave().await?;
            self.note(outage.check, finding).await?;
        }
        let finding = match self.house.app().refresh(id).await {
            Ok(_) => Ok("after all of these the grant is as good as before".to_owned()),
            Err(fault) => {
                Err(self.objection("an outage cost the login: the refresh after it failed", &fault))
            }
        };
        self.note("outage.over", finding).await?;
        Ok(())
    }

    async fn outage(
        &self,
        id: &ConnectionId,
        outage: &Outage,
        renewal: &Renewal,
        sandbox: &Sandbox,
    ) -> Result<Finding, Fault> {
        let mut told = Vec::new();
        for fault in &outage.faults {
            sandbox.fault(&renewal.endpoint, &renewal.grant_type, fault).await?;
            let outcome = self.house.app().refresh(id).await;
            sandbox.behave().await?;
            let described = described(fault);
            match outcome {
                Ok(_) => {
                    let what = format!("a refresh succeeded at a provider that {}: {described}", outage.what);
                    return Ok(Err(Objection::failed(what).hint(format!("answer {}", outage.wanted))));
                }
                Err(fault) => {
                    self.ear.hear_fault(&fault);
                    if !(outage.fits)(fault.code) {
                        let what = format!(
                            "a provider that {} ({described}) is told as `{}`: {}",
                            outage.what, fault.code, fault.message
                        );
                        return Ok(Err(Objection::failed(what).hint(format!("answer {}", outage.wanted))));
                    }
                    told.push(fault.code.as_str());
                }
            }
        }
        told.dedup();
        Ok(Ok(format!("a provider that {} is told as `{}`", outage.what, told.join("`, `"))))
    }
}

/// A fault in a few words, for who has to find it again.
fn described(fault: &Value) -> String {
    match fault["kind"].as_str().unwrap_or_default() {
        "body" => {
            let body = fault["body"].as_str().unwrap_or_default();
            format!("{} {}", fault["status"], if body.is_empty() { "and nothing" } else { body })
        }
        "status" => format!("status {}", fault["status"]),
        kind => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn no_outage_may_be_told_as_the_end_of_a_login() {
        for outage in outages() {
            for code in Code::ALL.into_iter().filter(|code| code.needs_login() || *code == Code::PluginFailed)
            {
                assert!(!(outage.fits)(code), "{} {code}", outage.check);
            }
            assert!(!outage.faults.is_empty());
        }
    }

    #[test]
    fn a_fault_is_described_by_what_matters() {
        assert_eq!(described(&json!({ "kind": "status", "status": 503 })), "status 503");
        assert_eq!(described(&json!({ "kind": "body", "status": 200, "body": "" })), "200 and nothing");
        assert_eq!(described(&json!({ "kind": "large", "bytes": 1 })), "large");
    }
}
