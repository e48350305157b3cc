use pretty_assertions::assert_eq;

use super::*;

const CANARY: &str = "s3cr3t-canary";

/// Wherever a secret is written out, the answer is an error that does not repeat it.
#[test]
fn a_secret_written_out_is_refused_and_never_shown() {
    for text in [
        "[connections.a]\nprovider = \"x\"\nclient_secret = \"s3cr3t-canary\"\n",
        "[connections.a]\nprovider = \"x\"\nkey = \"s3cr3t-canary\"\n",
        "[connections.a]\nprovider = \"x\"\napi-key = \"s3cr3t-canary\"\n",
        "[connections.a]\nprovider = \"x\"\nextra_params = { password = \"s3cr3t-canary\" }\n",
        "[connections.a]\nprovider = \"x\"\nclient_secret = [\"s3cr3t-canary\"]\n",
        "[connections]\na = { provider = \"x\", upstream = \"nowhere\", token = \"s3cr3t-canary\" }\n",
        "[connections]\na = \"s3cr3t-canary\"\n",
        "[connections.a]\nprovider = \"x\"\nkey = { env = \"s3cr3t-canary\" }\n",
        "[server]\nclient_secret = \"s3cr3t-canary\"\n",
        "[upstream]\noutbound_proxy = \"http://ada:s3cr3t-canary@proxy:3128\"\n",
        "[connections.a]\nprovider = \"x\"\nupstream = \"https://ada:s3cr3t-canary@api.example\"\n",
        "[connections.a]\nprovider = \"x\"\nclient_secret = \"s3cr3t-canary\nclient_id = \"y\"\n",
        "[connections.a]\nprovider = \"x\"\nclient_secret = { env = \"X\", literal = \"s3cr3t-canary\" }\n",
    ] {
        let told = Home::with(text).mistakes();
        assert!(!told.contains(CANARY), "{text}\n{told}");
        let home = Home::new().file(
            "config/connections/global/z.toml",
            "provider = \"x\"\nclient_secret = \"s3cr3t-canary\"\n",
        );
        assert!(!home.mistakes().contains(CANARY));
    }
}

#[test]
fn the_refusal_says_where_and_what_to_write_instead() {
    let home = Home::with("[connections.a]\nprovider = \"x\"\nclient_secret = \"abc\"\n");
    let expected = "\
error: `connections.a.client_secret` is a secret written out
  ┌ config/config.toml:3:17
 3│ client_secret = •••••
  │                 ^^^^^ write where it is instead: `{ env = \"NAME\" }`, `{ file = \"path\" }` or `{ command = [\"program\", \"argument\"] }`
";
    assert_eq!(home.mistakes(), expected);
}

#[test]
fn the_shape_of_a_reference_is_checked_when_it_is_read() {
    for bad in [
        "{ env = 1 }",
        "{ env = \"A\", file = \"b\" }",
        "{ command = \"pass\" }",
        "{ enviroment = \"A\" }",
        "{}",
    ] {
        let told =
            Home::with(&format!("[connections.a]\nprovider = \"x\"\nclient_secret = {bad}\n")).mistakes();
        assert!(told.contains("`connections.a.client_secret` is no reference: "), "{bad}\n{told}");
    }
    for good in [
        "{ env = \"A\" }",
        "{ file = \"b\" }",
        "{ command = [\"pass\"] }",
        "{ keyring = \"c\" }",
        "{ vault = {} }",
    ] {
        Home::with(&format!("[connections.a]\nprovider = \"x\"\nclient_secret = {good}\n")).load();
    }
}

#[test]
fn a_secret_in_the_environment_becomes_a_reference_to_it() {
    let home = Home::with("[connections.azure-prod]\nprovider = \"azure\"\n")
        .var("CCPROXY_CONNECTIONS__AZURE_PROD__CLIENT_SECRET", CANARY);
    assert_eq!(
        home.shown("connections.azure-prod.client_secret"),
        "{\"env\":\"CCPROXY_CONNECTIONS__AZURE_PROD__CLIENT_SECRET\"} \
         (environment CCPROXY_CONNECTIONS__AZURE_PROD__CLIENT_SECRET)"
    );
    assert!(!home.load().show(true, &Schemas::new()).contains(CANARY));
    let home = Home::with("[connections.azure-prod]\nprovider = \"azure\"\n")
        .var("CCPROXY_CONNECTIONS__AZURE_PROD__CLIENT_SECRET__FILE", "/run/secrets/azure");
    assert!(home.shown("connections.azure-prod.client_secret").contains("/run/secrets/azure"));
}

#[test]
fn a_secret_on_the_command_line_is_refused() {
    let home =
        Home::with("[connections.a]\nprovider = \"x\"\n").set("connections.a.client_secret=s3cr3t-canary");
    let told = home.mistakes();
    assert!(told.contains("`connections.a.client_secret` is a secret written out"), "{told}");
    assert!(!told.contains(CANARY), "{told}");
    let home = Home::with("[connections.a]\nprovider = \"x\"\n").set("connections.a.client_secret.env=NAME");
    assert!(home.shown("connections.a.client_secret").starts_with("{\"env\":\"NAME\"}"));
}

/// Whatever slip of the pen makes of a file with a secret in it: an answer, no panic, and not the secret.
#[test]
fn no_slip_of_the_pen_shows_the_secret() {
    const BASE: &str = "[server]\nworkers = 1\n\n[connections.a]\nprovider = \"x\"\nclient_secret = \"s3cr3t-canary\"\n\
        key = \"\"\"\n= s3cr3t-canary\n\"\"\"\n\n[routes.r]\nconnection = \"a\"\nmethods = [\"GET\"]\n";
    // xorshift: the same slips on every run.
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let outside =
        |at: usize| !BASE.match_indices(CANARY).any(|(start, _)| (start..start + CANARY.len()).contains(&at));
    let mut refused = 0;
    for _ in 0..3000 {
        let mut text = BASE.to_owned();
        let at = random(BASE.len());
        if outside(at) {
            text.remove(at);
        }
        let slips = ["\"", "'", "\n", "=", "[", "]", "{", "}", ".", "#", ",", "ü", "x", "\u{7}"];
        text.insert_str(random(at + 1), slips[random(slips.len())]);
        let mut problems = Vec::new();
        match tree::parse_file(Path::new("c.toml"), text.clone()) {
            Ok(table) => check::check_file(&table, &mut problems),
            Err(errors) => problems = errors,
        }
        refused += usize::from(!problems.is_empty());
        let told: String = problems.iter().map(Diagnostic::to_string).collect();
        assert!(!told.contains(CANARY), "{text}\n{told}");
    }
    assert!(refused > 2000, "{refused} of 3000 were refused");
}
