//! What surrounds the commands on a machine: the shell completes them, `man` shows them.

use std::fs;

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

#[tokio::test]
async fn every_command_has_a_page_that_man_shows() {
    let home = Home::new();
    let told = home.ccproxy(&["man", "share/man1", "--json"]).await.expect_success().json();
    let directory = home.user_dir().join("share/man1");
    assert_eq!(told["directory"], directory.to_str().unwrap());
    let mut pages: Vec<_> =
        told["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    pages.sort_unstable();
    let mut written: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort_unstable();
    assert_eq!(written, pages);
    for page in ["ccproxy.1", "ccproxy-auth-login.1", "ccproxy-man.1"] {
        assert!(pages.contains(&page), "{page} is not among {pages:?}");
    }
    for page in pages {
        let text = fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains(".TH ccproxy") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
        // Where there is no `man` the text above must do.
        if let Ok(shown) =
            home.command("man").args(["--warnings", "-l"]).arg(directory.join(page)).output().await
        {
            assert_eq!((shown.status.code(), String::from_utf8_lossy(&shown.stderr).as_ref()), (Some(0), ""));
        }
    }
}

#[tokio::test]
async fn pages_are_replaced_and_a_directory_that_cannot_be_is_named() {
    let home = Home::new();
    let page = home.user_dir().join("man1/ccproxy.1");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    home.write(&page, "old");
    let told = home.ccproxy(&["man", "man1"]).await.expect_success();
    assert!(told.stdout.ends_with(" pages into man1\n"), "{told}");
    assert!(fs::read_to_string(&page).unwrap().contains(".SH NAME"));
    let told = home.ccproxy(&["man", "man1/ccproxy.1"]).await.expect_code(1);
    assert!(told.stderr.starts_with("error: cannot make man1/ccproxy.1: "), "{told}");
}
