use pretty_assertions::assert_eq;
use serde_json::{Value as Json, json};

use super::*;

/// As schemars writes it: an optional enum by reference, a list, a number, a flag.
fn schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "issuer": {"type": "string"},
            "pkce": {"anyOf": [{"$ref": "#/$defs/Pkce"}, {"type": "null"}]},
            "client_auth": {"enum": ["auto", "basic", "post"], "default": "auto"},
            "required_scopes": {"type": "array", "items": {"type": "string"}},
            "leeway": {"type": ["integer", "null"]},
            "sealed": {"type": "boolean"},
            "extra_params": {"type": "object", "additionalProperties": {"type": "string"}},
            "seal": {"anyOf": [{"$ref": "#/$defs/SecretRef"}, {"type": "null"}]},
            "pin": {"type": "string", "writeOnly": true},
        },
        "required": ["issuer"],
        "$defs": {"SecretRef": {"type": "object", "additionalProperties": true}, "Pkce": {"oneOf": [{"const": "S256", "type": "string"}, {"const": "off", "type": "string"}]}},
    })
}

fn told(settings: &str) -> Vec<String> {
    let home = Home::with(&format!("[connections.corp]\nprovider = \"oidc\"\n{settings}\n"));
    let diagnostics = home.load().check_settings(&id("corp"), &schema());
    diagnostics
        .iter()
        .map(|it| {
            home.cut(&format!(
                "{} ({}){}",
                it.message,
                it.origin,
                it.hint.iter().map(|hint| format!(" {hint}")).collect::<String>()
            ))
        })
        .collect()
}

#[test]
fn settings_are_checked_by_the_schema_of_the_plugin() {
    let issuer = "issuer = \"https://id.example\"\n";
    for (setting, expected) in [
        (
            "isuer = \"https://id.example\"",
            "unknown key `isuer` in [connections.corp] (config/config.toml:4:1) did you mean `issuer`?",
        ),
        (
            "scope = [\"a\"]",
            "unknown key `scope` in [connections.corp] (config/config.toml:4:1) did you mean `scopes`?",
        ),
        ("zzz = 1", "unknown key `zzz` in [connections.corp] (config/config.toml:4:1)"),
        (
            "pkce = \"s256\"",
            "`connections.corp.pkce` = \"s256\" is not one of \"S256\", \"off\" (config/config.toml:4:8) did you mean `S256`?",
        ),
        (
            "client_auth = \"bsic\"",
            "`connections.corp.client_auth` = \"bsic\" is not one of \"auto\", \"basic\", \"post\" (config/config.toml:4:15) did you mean `basic`?",
        ),
        (
            "required_scopes = [1]",
            "`connections.corp.required_scopes` = [1] is not a list, each text (config/config.toml:4:19)",
        ),
        (
            "leeway = \"5\"",
            "`connections.corp.leeway` = \"5\" is not a whole number (config/config.toml:4:10)",
        ),
    ] {
        assert_eq!(told(&format!("{issuer}{setting}")), [expected], "{setting}");
    }
    let pin = told(&format!("{issuer}pin = \"0000\""));
    assert!(pin[0].starts_with("`connections.corp.pin` is a secret written out"), "{pin:?}");
    let seal = told(&format!("{issuer}seal = \"0000\""));
    assert!(seal[0].starts_with("`connections.corp.seal` is a secret written out"), "{seal:?}");
    let seal = told(&format!("{issuer}seal = {{ enw = \"X\" }}"));
    assert!(seal[0].starts_with("`connections.corp.seal` is no reference"), "{seal:?}");
    assert_eq!(told(""), ["[connections.corp] has no `issuer` (config/config.toml:1:14) add `issuer`"]);
}

#[test]
fn common_settings_and_references_are_known_to_every_provider() {
    let all = r#"
issuer = "https://id.example"
flow = "device"
client_id = "cli"
client_secret = { env = "S" }
scopes = ["openid"]
upstream = "https://api.example"
redirect_uri = "http://127.0.0.1:7777/callback"
extra_ca = "/ca.pem"
outbound_proxy = "none"
timeout = "10s"
token_endpoint = "https://id.example/token"
pin = { file = "/run/pin" }
extra_params = { prompt = "login" }
pkce = "off"
"#;
    assert_eq!(told(all), Vec::<String>::new());
}

#[test]
fn text_from_the_environment_gets_the_type_of_the_schema() {
    let home = Home::with("[connections.corp]\nprovider = \"oidc\"\nissuer = \"https://id.example\"\n")
        .var("CCPROXY_CONNECTIONS__CORP__LEEWAY", "5")
        .var("CCPROXY_CONNECTIONS__CORP__SEALED", "true")
        .var("CCPROXY_CONNECTIONS__CORP__REQUIRED_SCOPES", "a, b")
        .var("CCPROXY_CONNECTIONS__CORP__CLIENT_ID", "12345");
    let config = home.load();
    assert_eq!(config.check_settings(&id("corp"), &schema()), []);
    let settings = config.typed_settings(&id("corp"), &schema());
    assert_eq!(
        Json::from(settings),
        json!({"client_id": "12345", "issuer": "https://id.example", "leeway": 5, "required_scopes": ["a", "b"], "sealed": true})
    );
}

#[test]
fn show_includes_the_defaults_of_installed_providers() {
    let home = Home::with("[connections.corp]\nprovider = \"oidc\"\nissuer = \"https://id.example\"\n");
    let schemas = Schemas::from([("oidc".parse().unwrap(), schema())]);
    let shown = home.cut(&home.load().show(true, &schemas));
    assert!(shown.contains("connections.corp.client_auth = \"auto\"  # plugin oidc\n"), "{shown}");
    let home = home.set("connections.corp.client_auth=post");
    let shown = home.load().show(true, &schemas);
    assert!(
        shown
            .contains("connections.corp.client_auth = \"post\"  # flag --set connections.corp.client_auth\n"),
        "{shown}"
    );
}

/// A misspelt secret is an unknown key first; its value is not shown for that.
#[test]
fn an_unknown_setting_does_not_show_its_value() {
    let home = Home::with(
        "[connections.corp]\nprovider = \"oidc\"\nissuer = \"https://id.example\"\ncs = \"s3cr3t-canary\"\n",
    );
    let diagnostics = home.load().check_settings(&id("corp"), &schema());
    let shown = home.cut(&diagnostics[0].to_string());
    let expected = "\
error: unknown key `cs` in [connections.corp]
  ┌ config/config.toml:4:1
 4│ cs …
  │ ^^";
    assert_eq!(shown, expected);
}

#[test]
fn a_table_on_a_command_line_is_json_or_toml() {
    let wanted = json!({"env": "X"});
    for text in [r#"{"env":"X"}"#, r#"{ env = "X" }"#] {
        assert_eq!(setting_of_text(&schema(), "extra_params", text), wanted, "{text}");
        assert_eq!(setting_of_text(&schema(), "seal", text), wanted, "{text}");
    }
    // Neither: the check by the schema says what is expected.
    assert_eq!(setting_of_text(&schema(), "seal", "X"), json!("X"));
}
