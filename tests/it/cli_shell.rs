//! What surrounds the commands on a machine: the shell completes them.

use ccproxy_tests::home::Home;
use pretty_assertions::assert_eq;

/// Completes the words of a line as bash does on a tab: by the function that the script registered.
const TAB: &str = r#"
set -u
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
registered=$(complete -p ccproxy)
[[ $registered =~ \ -F\ ([^ ]+) ]] || exit 9
"${BASH_REMATCH[1]}" ccproxy "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[tokio::test]
async fn bash_completes_commands_and_options() {
    let home = Home::new();
    let script = home.ccproxy(&["completions", "bash"]).await.expect_success();
    assert_eq!(script.stderr, "");
    let file = home.user_dir().join("ccproxy.bash");
    home.write(&file, &script.stdout);
    let tab = async |line: &[&str]| {
        let told =
            home.command("bash").args(["-c", TAB, "bash"]).arg(&file).args(line).output().await.unwrap();
        assert_eq!((told.status.code(), String::from_utf8_lossy(&told.stderr).as_ref()), (Some(0), ""));
        String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tab(&["ccproxy", "auth", "lo"]).await, ["login", "logout"]);
    assert_eq!(tab(&["ccproxy", "comp"]).await, ["completions"]);
    assert_eq!(tab(&["ccproxy", "config", "show", "--or"]).await, ["--origin"]);
}

#[tokio::test]
async fn every_shell_has_a_script_and_another_word_is_a_mistake() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let told = home.ccproxy(&["completions", shell, "--json"]).await.expect_success().json();
        assert_eq!((&told["schema"], &told["shell"]), (&"ccproxy.completions/1".into(), &shell.into()));
        let plain = home.ccproxy(&["completions", shell]).await.expect_success();
        assert_eq!(told["script"], plain.stdout);
        assert!(plain.stdout.contains("logout"), "{shell}");
    }
    let told = home.ccproxy(&["completions", "zhs"]).await.expect_code(2);
    assert!(told.stderr.contains("bash, elvish, fish, powershell, zsh"), "{told}");
}
