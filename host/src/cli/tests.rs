use clap::CommandFactory;
use pretty_assertions::assert_eq;

use super::*;

/// The path of every command that does something, `auth login` and the like, with its help text.
fn help_texts() -> Vec<(String, String)> {
    fn walk(command: &mut clap::Command, path: &str, texts: &mut Vec<(String, String)>) {
        let mut names = Vec::new();
        texts.push((path.to_owned(), command.render_long_help().to_string()));
        names.extend(command.get_subcommands().map(|command| command.get_name().to_owned()));
        for name in names {
            if let Some(below) = command.find_subcommand_mut(&name) {
                walk(below, &format!("{path} {name}"), texts);
            }
        }
    }
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut texts = Vec::new();
    walk(&mut root, "ccproxy", &mut texts);
    texts
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    for (path, text) in help_texts() {
        insta::assert_snapshot!(path.replace(' ', "-"), text);
    }
}

#[test]
fn the_commands_are_those_of_the_interface() {
    let paths: Vec<String> = help_texts().into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "ccproxy",
            "ccproxy serve",
            "ccproxy status",
            "ccproxy reload",
            "ccproxy stop",
            "ccproxy auth",
            "ccproxy auth login",
            "ccproxy auth create",
            "ccproxy auth status",
            "ccproxy auth list",
            "ccproxy auth refresh",
            "ccproxy auth logout",
            "ccproxy auth rename",
            "ccproxy auth token",
            "ccproxy auth test",
            "ccproxy login",
            "ccproxy plugin",
            "ccproxy plugin list",
            "ccproxy plugin info",
            "ccproxy plugin verify",
            "ccproxy plugin trust",
            "ccproxy plugin new",
            "ccproxy plugin test",
            "ccproxy plugin run",
            "ccproxy routes",
            "ccproxy explain",
            "ccproxy env",
            "ccproxy run",
            "ccproxy key",
            "ccproxy key create",
            "ccproxy key list",
            "ccproxy key revoke",
            "ccproxy config",
            "ccproxy config check",
            "ccproxy config show",
            "ccproxy config schema",
            "ccproxy config init",
            "ccproxy hooks",
            "ccproxy hooks tail",
            "ccproxy doctor",
            "ccproxy completions",
            "ccproxy man",
            "ccproxy version",
        ]
    );
}

#[test]
fn the_tree_holds_together() {
    Cli::command().debug_assert();
}

/// The failure of a line that does not parse.
fn refused(line: &str) -> CliError {
    match Cli::try_parse_from(line.split(' ')) {
        Ok(cli) => panic!("it parsed: {cli:?}"),
        Err(error) => error.into(),
    }
}

#[test]
fn a_misspelt_command_or_flag_names_the_nearest() {
    let error = refused("ccproxy auth statsu");
    assert_eq!(error.exit, Exit::USAGE);
    assert_eq!(error.message, "unrecognized subcommand 'statsu'");
    assert_eq!(error.hint.as_deref(), Some("did you mean `status`?"));
    let error = refused("ccproxy auth status --chekc");
    assert_eq!(error.message, "unexpected argument '--chekc' found");
    assert_eq!(error.hint.as_deref(), Some("did you mean `--check`?"));
    let error = refused("ccproxy auth login github --flow devise");
    assert_eq!(error.hint.as_deref(), Some("did you mean `device`?"));
}

#[test]
fn a_word_that_is_like_no_command_leads_to_all_of_them() {
    assert_eq!(refused("ccproxy frobnicate").hint.as_deref(), Some("ccproxy --help"));
    assert_eq!(refused("ccproxy auth frobnicate").hint.as_deref(), Some("ccproxy auth --help"));
    assert_eq!(
        refused("ccproxy auth logout").hint.as_deref(),
        Some("ccproxy auth logout <[ORG/]CONNECTION>|--all")
    );
}

#[test]
fn a_missing_argument_shows_the_usage() {
    let error = refused("ccproxy auth refresh");
    assert_eq!(error.message, "the following required arguments were not provided: <[ORG/]CONNECTION>");
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth refresh <[ORG/]CONNECTION>"));
}

#[test]
fn a_group_without_a_command_shows_its_help_and_is_a_mistake() {
    let error = refused("ccproxy auth");
    assert_eq!((error.exit, error.message.as_str()), (Exit::USAGE, "a command is missing"));
    assert!(error.transcript.is_some_and(|help| help.contains("Usage: ccproxy auth")));
}

#[test]
fn commands_of_later_are_not_there_yet() {
    for line in ["ccproxy ca path", "ccproxy secret set x"] {
        assert_eq!(refused(line).exit, Exit::USAGE, "{line}");
    }
}

#[test]
fn flows_exclude_each_other() {
    assert_eq!(refused("ccproxy auth login github --web --device").exit, Exit::USAGE);
    assert_eq!(refused("ccproxy auth login github --flow token --with-token").exit, Exit::USAGE);
}
